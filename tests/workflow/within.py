"""Run a command, print the time it takes, and fail if it takes more memory or disk than it may.

usage: within.py MEMORY_GB DISK_GB COMMAND ...
Time has no limit here: it depends on what else the machine does. Memory is the largest sum over the whole process
tree, shared pages counted once; disk is what the folder grows by.
"""

import subprocess
import sys
import time
from pathlib import Path

import psutil

GIGABYTE = 1e9


def tree_memory(process: psutil.Process) -> int:
    """Proportional set size of a process and all its descendants, in bytes."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def disk_use(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if ".venv" not in file.parts and not file.is_dir())


def main(words: list[str]) -> int:
    limits, command = [float(word) for word in words[:2]], words[2:]
    before, start, peak = disk_use(Path()), time.monotonic(), 0
    process = subprocess.Popen(command)
    while process.poll() is None:
        peak = max(peak, tree_memory(psutil.Process(process.pid)))
        time.sleep(0.5)
    used = [peak / GIGABYTE, (disk_use(Path()) - before) / GIGABYTE]
    print(f"{' '.join(command)}: {(time.monotonic() - start) / 60:.2f} minutes")
    for what, value, limit in zip(("GB of memory", "GB of disk"), used, limits, strict=True):
        print(f"{' '.join(command)}: {value:.2f} {what}, allowed are {limit:g}")
    return process.returncode or int(any(value > limit for value, limit in zip(used, limits, strict=True)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
