"""The training state, from which a killed run goes on. It lies beside the model and is no output of the stage."""

import hashlib
import json
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger(__name__)


class State:
    """One state file in a folder of its own, replaced as a whole after each epoch.

    Parameters
    ----------
    folder : path
        Folder for the file; one run uses it at a time.
    key : str
        `key_of` everything that changes the result; a state with another key is not used.
    """

    def __init__(self, folder: str | Path, key: str):
        self.path = Path(folder) / "state.pt"
        # Always the same name, so that what a killed run left half-written is overwritten and finally removed.
        self._temporary = Path(folder) / "state.pt.tmp"
        self._key = key

    def load(self) -> dict[str, Any] | None:
        """The values last saved; None, with a line in the log, where the training has to start from the beginning."""
        if not self.path.exists():
            return None
        try:
            values = torch.load(self.path, map_location="cpu", weights_only=True)
            found = values["key"]
        except Exception:  # a damaged file fails in whichever part of the reader first meets the damage
            log.warning("%s cannot be read; training starts over", self.path)
            return None
        if found != self._key:
            log.warning("%s belongs to other settings or inputs; training starts over", self.path)
            return None
        return values

    def save(self, values: dict[str, Any]) -> None:
        """Replace the state; a kill at any moment leaves the old one or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({**values, "key": self._key}, self._temporary)
        os.replace(self._temporary, self.path)

    def remove(self) -> None:
        """Remove the state, and its folder if nothing else is in it."""
        self.path.unlink(missing_ok=True)
        self._temporary.unlink(missing_ok=True)
        with suppress(OSError):
            self.path.parent.rmdir()


def key_of(settings: dict[str, Any], *contents: bytes) -> str:
    """SHA-256 over settings, as plain values, and the contents of inputs."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for content in contents:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()
