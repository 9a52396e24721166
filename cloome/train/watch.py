"""What is seen of a training: a bar on a terminal, lines in a log, a table, and TensorBoard's files."""

import logging
import math
import sys
import time
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from cloome.data.files import write_csv
from cloome.data.train_log import LOG_COLUMNS
from cloome.errors import ConfigError

log = logging.getLogger(__name__)

LOG_SECONDS = 30


class Watch:
    """Shows how a training goes.

    Parameters
    ----------
    folder : path or None
        Folder for ``train_log.csv`` and TensorBoard's files; None: nothing is shown, as in all processes but the first.
    epochs : int
        Epochs of the whole training.
    tensorboard : bool
        Write TensorBoard's files, into the folder ``tensorboard``.

    Raises
    ------
    ConfigError
        If TensorBoard's files are asked for but its package is missing.
    """

    def __init__(self, folder: str | Path | None, epochs: int, tensorboard: bool = False):
        self._folder = None if folder is None else Path(folder)
        self._epochs = epochs
        self._writer_class = _summary_writer() if tensorboard and folder is not None else None
        self._writer = None
        self._bar: tqdm | None = None
        self._said = 0.0

    def begin(self, epoch: int, steps: int, done: int) -> None:
        """An epoch of so many steps begins, or goes on after some of them."""
        self._name = f"epoch {epoch} of {self._epochs}"
        self._steps, self._done = steps, done
        hidden = self._folder is None or not sys.stderr.isatty()
        self._bar = tqdm(
            desc=self._name, total=steps, initial=done, unit="batch", file=sys.stderr, disable=hidden, leave=False
        )
        self._said = time.monotonic()

    def step(self) -> None:
        """A step is done."""
        self._done += 1
        self._bar.update()

    @property
    def due(self) -> bool:
        """Whether it is time for a line in the log."""
        return time.monotonic() - self._said >= LOG_SECONDS

    def say(self, loss: float, images_per_second: float) -> None:
        """Show the mean loss of the epoch so far, and in a log, now and then, how far it is."""
        self._bar.set_postfix(loss=f"{loss:.4f}")
        if self._folder is not None and self._bar.disable and self.due:
            log.info(
                "%s: batch %d of %d, loss %.4f, %.0f images/s",
                self._name,
                self._done,
                self._steps,
                loss,
                images_per_second,
            )
        if self.due:
            self._said = time.monotonic()

    def end(self, rows: list[dict[str, float]]) -> None:
        """An epoch is done; `rows` are those of the log, this epoch's last."""
        if self._folder is None:
            return
        row = rows[-1]
        text = f"{self._name}: loss {row['train_loss']:.4f}"
        if not math.isnan(row["validation_loss"]):
            text += f", validation {row['validation_loss']:.4f}, top-1 {row['top1_image_to_molecule']:.1%} image to "
            text += f"molecule, {row['top1_molecule_to_image']:.1%} molecule to image"
        log.info("%s, %.0f images/s, %.1f %% waiting", text, row["images_per_second"], 100 * row["waiting_share"])
        self.write(rows)
        if self._writer_class is not None:
            self._add(row, len(rows))

    def write(self, rows: list[dict[str, float]]) -> None:
        """Write ``train_log.csv``."""
        if self._folder is not None:
            write_csv(pd.DataFrame(rows, columns=LOG_COLUMNS), self._folder / "train_log.csv")

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def _add(self, row: dict[str, float], epoch: int) -> None:
        if self._writer is None:
            # What a killed run wrote about this epoch or later ones is hidden.
            self._writer = self._writer_class(self._folder / "tensorboard", purge_step=epoch)
        for name, value in row.items():
            if name not in ("epoch", "step") and not math.isnan(value):
                self._writer.add_scalar(name, value, epoch)
        self._writer.flush()


def _summary_writer() -> type:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "running.tensorboard needs the package tensorboard; install it (pip install tensorboard), or write "
            "running.tensorboard: false"
        ) from error
    return SummaryWriter
