"""Commands for people with a trained model: ``cloome query`` and ``cloome encode``."""
