"""Columns of ``train_log.csv``: one row per epoch; what needs a validation part is empty without one."""

LOG_COLUMNS = [
    "epoch",
    "step",  # steps of all epochs so far
    "learning_rate",  # of the epoch's last step
    "inv_tau",
    "train_loss",  # mean over the epoch's batches
    "validation_loss",  # mean over the batches of the validation part
    "top1_image_to_molecule",  # accuracy among all validation pairs, 0 to 1
    "top1_molecule_to_image",
    "images_per_second",  # of all processes, validation left out
    "waiting_share",  # share of the training time without work because images were not there, 0 to 1
    "peak_memory_mb",  # GPU memory of the first process; on a CPU, its memory
    "seconds",  # with validation
]
