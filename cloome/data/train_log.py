"""Columns of ``train_log.csv``: one row per epoch; validation_loss is empty without a validation part."""

LOG_COLUMNS = [
    "epoch",
    "step",
    "learning_rate",
    "inv_tau",
    "train_loss",
    "validation_loss",
    "images_per_second",
    "seconds",
]
