# The code that each stage depends on, as a parameter of its rules.
from hashlib import sha256

# The modules of cloome/ that each stage's result depends on. Snakemake does not see edits in imported code, but redoes a
# job whose parameters change. As inputs the files would have the same effect; but where jobs share no disk, Snakemake
# runs what reads a file of its own machine there, and that would be every job. tests/workflow/test_stage_imports.py
# holds this table against the imports. Left out on purpose: cloome/config*.py (settings come as values), cli.py,
# errors.py, data/locks.py, data/machine.py and data/near.py, which change no result; and the stage download, since a
# verified file is the same whatever fetched it, and terabytes are not fetched again for an edit.
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


@cache
def code(stage):
    """A digest of the source files of a stage, as a parameter of its rules."""
    digest = sha256()
    for entry in CODE[stage]:
        path = ROOT / "cloome" / entry
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        for file in files:
            if file.suffix in {".py", ".csv", ".html"}:
                digest.update(f"{file.name} {sha256(file.read_bytes()).hexdigest()}\n".encode())
    return f"code of {stage}: {digest.hexdigest()[:16]}"
