"""A small folder of results, with the record of the command that made it."""

import json

import pytest

from cloome.config_files import load_config
from cloome.provenance.record import write_record


@pytest.fixture
def config(root):
    return load_config([str(root / "tests/workflow/tiny.yaml")])


@pytest.fixture
def folder(root, config, tmp_path):
    """``results/tiny`` with two files, ``resources`` with inputs and a record of a download, ``logs/commands``."""
    words = ["/usr/bin/snakemake", "--cores", "2", "--configfile", "tests/workflow/tiny.yaml"]
    write_record(tmp_path / "logs/commands", words, config, root)
    files = {
        "resources/compounds.csv": "BROAD_ID,CPD_SMILES\nBRD-1,CCO\n",
        "resources/plates/90001/qc.csv": "plate,well\n",
        "resources/checksums/plate_archive.json": json.dumps(
            {
                "item": "90001-Mito.zip",
                "bytes": 12,
                "sha256": "ab" * 32,
                "url": "https://host/a.zip",
                "date": "2026-01-02",
            }
        ),
        "results/tiny/index.parquet": "an index",
        "results/tiny/runs/random-cloob-seed0/model.pt": "a model",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path
