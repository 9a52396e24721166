# The code that each stage depends on, as inputs of its rules.

# The modules of cloome/ that each stage's result depends on: Snakemake does not see edits in imported code, so rules
# name them as inputs. tests/workflow/test_stage_imports.py holds this table against the imports. Left out on
# purpose: cloome/config*.py (settings come as values), cli.py and errors.py, which change no result; and the stage
# download, since a verified file is the same whatever fetched it, and terabytes are not fetched again for an edit.
CODE = {
    "simulate": ["simulate", "data/files.py", "data/labels.py", "data/seals.py", "data/sources.py", "data/wells.py"],
    "images": [
        "images",
        "data/files.py",
        "data/pixels.py",
        "data/plain_tiff.py",
        "data/plates.py",
        "data/read_ahead.py",
        "data/refused.py",
        "data/seals.py",
        "data/wells.py",
    ],
    "molecules": [
        "molecules",
        "data/files.py",
        "data/index.py",
        "data/labels.py",
        "data/molecules.py",
        "data/plates.py",
        "data/refused.py",
        "data/seals.py",
        "data/splits.py",
        "data/wells.py",
    ],
    "train": [
        "train",
        "data/fields.py",
        "data/files.py",
        "data/index.py",
        "data/molecules.py",
        "data/plates.py",
        "data/read_ahead.py",
        "data/seals.py",
        "data/splits.py",
        "data/train_log.py",
        "model/checkpoint.py",
        "model/clip.py",
        "model/device.py",
        "model/feature_map.py",
        "model/image_encoder.py",
        "model/images.py",
        "model/losses.py",
        "model/molecule_encoder.py",
        "model/normalisation.py",
        "model/timm_encoder.py",
    ],
    "embed": [
        "embed",
        "data/embeddings.py",
        "data/fields.py",
        "data/files.py",
        "data/image_features.py",
        "data/index.py",
        "data/molecules.py",
        "data/plates.py",
        "data/read_ahead.py",
        "data/seals.py",
        "model/checkpoint.py",
        "model/clip.py",
        "model/device.py",
        "model/feature_map.py",
        "model/gapnet.py",
        "model/image_encoder.py",
        "model/images.py",
        "model/molecule_encoder.py",
        "model/normalisation.py",
        "model/timm_encoder.py",
    ],
    "evaluate": [
        "evaluate",
        "data/embeddings.py",
        "data/evaluation.py",
        "data/files.py",
        "data/image_features.py",
        "data/index.py",
        "data/labels.py",
        "data/molecules.py",
        "data/paired.py",
        "data/plates.py",
        "data/seals.py",
        "data/splits.py",
        "data/wells.py",
    ],
    "report": [
        "report",
        "data/embeddings.py",
        "data/evaluation.py",
        "data/files.py",
        "data/index.py",
        "data/molecules.py",
        "data/paired.py",
        "data/plates.py",
        "data/refused.py",
        "data/seals.py",
        "data/splits.py",
        "data/train_log.py",
    ],
}


def code(stage):
    """The source files of a stage, as inputs of its rules."""
    found = []
    for entry in CODE[stage]:
        path = ROOT / "cloome" / entry
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        found += [file for file in files if file.suffix in {".py", ".csv", ".html"}]
    return local([str(file.relative_to(ROOT)) if Path.cwd() == ROOT else str(file) for file in found])
