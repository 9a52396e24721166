"""Illumination correction functions: how much brighter each place of a channel is than it should be.

CellProfiler writes them as MATLAB files (GigaDB, FACTS 5.2: ``Image``, 520 x 696 single precision) or as .npy.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.io

from cloome.errors import FormatError

Functions = Sequence[np.ndarray]  # float32 (H, W), one per channel
NAME = "Image"  # of the array in a MATLAB file
LARGEST_FILE = 256 << 20


def read_function(path: Path) -> np.ndarray:
    """Read the function of one channel, float32 (H, W), all above 0.

    Raises
    ------
    FormatError
        If the file is missing, damaged or no such function. No Python object is ever loaded from it.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise FormatError(f"{path}: {path.stat().st_size} bytes, allowed are {LARGEST_FILE}")
        function = np.load(path, allow_pickle=False) if path.suffix == ".npy" else _matlab(path)
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    except FormatError:
        raise
    # A damaged MATLAB file fails in whichever step of SciPy first meets the damage, with whatever error.
    except Exception as error:
        problem = str(error) or type(error).__name__
        raise FormatError(f"{path}: no illumination correction function: {problem}") from error
    if not isinstance(function, np.ndarray):
        raise FormatError(f"{path}: several arrays, expected one of numbers with a point, (H, W)")
    if function.ndim != 2 or function.dtype.kind != "f":
        raise FormatError(f"{path}: {function.dtype} {function.shape}, expected numbers with a point, (H, W)")
    with np.errstate(over="ignore"):
        function = function.astype(np.float32)
    if not (np.isfinite(function) & (function > 0)).all():
        raise FormatError(f"{path}: holds values that are not above 0, or no numbers; it cannot be divided by")
    return function


def corrected(pixels: np.ndarray, function: np.ndarray) -> np.ndarray:
    """Divide an image (H, W) by the function of its channel, rounded to the nearest grey value; of the same depth.

    Raises
    ------
    FormatError
        If the two differ in size.
    """
    if pixels.shape != function.shape:
        raise FormatError(f"it is {pixels.shape}, its illumination correction function {function.shape}")
    return np.clip(np.rint(pixels / function), 0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)


def _matlab(path: Path) -> np.ndarray:
    return scipy.io.loadmat(path, variable_names=[NAME], chars_as_strings=False)[NAME]
