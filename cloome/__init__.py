"""CLOOME: a shared embedding space for Cell Painting images and chemical structures."""

__version__ = "0.1.0"
__all__ = ["Cloome", "__version__"]


def __getattr__(name):
    # Loaded on first use: most commands need neither torch nor RDKit, and some environments hold neither.
    if name == "Cloome":
        from cloome.use import Cloome

        return Cloome
    raise AttributeError(f"module 'cloome' has no attribute {name!r}")
