"""The training state, from which a killed run goes on. It lies beside the model and is no output of the stage."""

import hashlib
import json
import logging
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from cloome.model.checkpoint import write_torch

log = logging.getLogger(__name__)

NAMED = 3  # at most so many changes stand in the log


class State:
    """One state file in a folder of its own, replaced as a whole.

    Parameters
    ----------
    folder : path
        Folder for the file; one run uses it at a time.
    matters : dict
        Everything that changes the result, from `flat` and `digest`: the state's key, stored in plain so that the
        log can name what changed. A state with another one is not used.
    speaks : bool
        Whether `load` writes into the log; of several processes one does.
    """

    def __init__(self, folder: str | Path, matters: dict[str, Any], speaks: bool = True):
        self.path = Path(folder) / "state.pt"
        # Always the same name, so that what a killed run left half-written is overwritten and finally removed.
        self._temporary = Path(folder) / "state.pt.tmp"
        self._matters = matters
        self._level = logging.WARNING if speaks else logging.DEBUG

    def load(self) -> dict[str, Any] | None:
        """The values last saved; None, with a line in the log, where the training has to start from the beginning."""
        if not self.path.exists():
            return None
        try:
            # PyTorch writes checksums, but does not compare them.
            if zipfile.ZipFile(self.path).testzip():
                raise ValueError("a checksum differs")
            values = torch.load(self.path, map_location="cpu", weights_only=True)
            found = json.loads(values["matters"])
        except Exception:  # a damaged file fails in whichever part of the reader first meets the damage
            log.log(self._level, "%s cannot be read; training starts over", self.path)
            return None
        if changes := _changes(found, json.loads(self._text())):
            log.log(
                self._level, "%s belongs to other settings or inputs (%s); training starts over", self.path, changes
            )
            return None
        return values

    def save(self, values: dict[str, Any]) -> None:
        """Replace the state; a kill at any moment leaves the old one or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_torch({**values, "matters": self._text()}, self._temporary)
        os.replace(self._temporary, self.path)

    def remove(self) -> None:
        """Remove the state, and its folder if nothing else is in it."""
        self.path.unlink(missing_ok=True)
        self._temporary.unlink(missing_ok=True)
        with suppress(OSError):
            self.path.parent.rmdir()

    def _text(self) -> str:
        return json.dumps(self._matters, sort_keys=True)


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level of dotted names: ``{"train": {"batch": 64}}`` becomes ``{"train.batch": 64}``."""
    result = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            result |= flat(value, f"{prefix}{name}.")
        else:
            result[prefix + name] = value
    return result


def digest(*contents: bytes) -> str:
    """What stands for the contents of an input: ``sha256:`` and a hexadecimal number."""
    total = hashlib.sha256()
    for content in contents:
        total.update(hashlib.sha256(content).digest())
    return f"sha256:{total.hexdigest()}"


def _changes(before: dict[str, Any], now: dict[str, Any]) -> str:
    """What differs, as 'train.batch was 64, is 128'; empty where nothing does."""
    names = [name for name in {**now, **before} if before.get(name) != now.get(name)]
    texts = [_change(name, before.get(name), now.get(name)) for name in names[:NAMED]]
    if len(names) > NAMED:
        texts.append(f"and {len(names) - NAMED} more")
    return "; ".join(texts)


def _change(name: str, before: Any, now: Any) -> str:
    # The numbers that stand for contents would tell nobody anything.
    if str(before).startswith("sha256:") or str(now).startswith("sha256:"):
        return f"{name} changed"
    return f"{name} was {json.dumps(before)}, is {json.dumps(now)}"
