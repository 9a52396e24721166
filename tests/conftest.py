"""Fixtures that several stages' tests share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real images, structures and labels; the test is skipped where it is absent."""
    folder = Path(os.environ.get("CLOOME_REAL_DATA", ROOT.parent / "shared" / "real"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set CLOOME_REAL_DATA to the folder that holds them")
    return folder
