"""Fixtures that several stages' tests share."""

import logging
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


@pytest.fixture(autouse=True)
def _log_handlers():
    """`cloome.cli.main` logs to the standard error of its test, which is closed behind it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
