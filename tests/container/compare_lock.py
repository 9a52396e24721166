"""Check that installed packages have the versions of the lock; print how many.

    python3 tests/container/compare_lock.py PACKAGES CONSTRAINTS

PACKAGES holds lines NAME==VERSION, as `pip list --format=freeze` writes them.
"""

import re
import sys
from pathlib import Path

# The project itself, and what Debian's venv brings to install with.
NOT_LOCKED = {"cloome", "pip", "setuptools"}


def versions(path: str) -> dict[str, set[str]]:
    """Name -> versions that the file has for it: a lock may have one for each Python."""
    found: dict[str, set[str]] = {}
    for line in Path(path).read_text().splitlines():
        name, _, version = line.partition(" ;")[0].strip().partition("==")
        # A CPU build's 2.13.0+cpu is 2.13.0 too.
        found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), set()).add(version.partition("+")[0])
    return found


def main(packages: str, constraints: str) -> int:
    """The number of packages with another version, at most 1."""
    installed, locked = versions(packages), versions(constraints)
    wrong = [name for name in installed if name not in NOT_LOCKED and not installed[name] <= locked.get(name, set())]
    for name in wrong:
        print(f"{name} is {installed[name]}, the lock says {locked.get(name, 'nothing')}")
    print(f"{len(installed)} packages, {len(wrong)} with another version than the lock")
    return min(1, len(wrong))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
