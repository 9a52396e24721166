"""What kind of machine this is: never its name."""

import os
import platform
from functools import cache
from pathlib import Path
from typing import Any


@cache
def describe_machine() -> dict[str, Any]:
    """The kind of this machine: system, processor, cores that may be used, memory, GPUs."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _value(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "cores": usable,
        "memory_bytes": memory,
        "gpus": [_value(file, "Model") for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))],
    }


def in_words(machine: dict[str, Any]) -> str:
    """The kind of a machine for people."""
    return ", ".join([machine["system"], f"{machine['cores']} cores", machine["processor"], *machine["gpus"]])


def _value(file: Path, key: str) -> str | None:
    """What follows a key in a file of lines ``key : value``."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in pairs if name.strip() == key), None)
