"""Lend this machine's settings of pip to a build: write them as a pip.conf, print what is to be mounted where.

python3 tests/container/pip_settings.py FOLDER
"""

import subprocess
import sys
from pathlib import Path


def main(folder: str) -> None:
    """Write FOLDER/pip.conf; print lines SOURCE:TARGET:ro for it and for each local path that it names."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    settings = {}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        # The environment comes first in the list and counts more than files.
        settings.setdefault(name.rpartition(".")[2], value.strip("'\""))
    mounts = {}
    if "cert" in settings:
        # Not at its own place, where Debian's package of certificates would write.
        mounts[settings["cert"]] = "/etc/pip-certificates.pem"
        settings["cert"] = mounts[settings["cert"]]
    for value in settings.values():
        for word in value.replace("\\n", " ").split():
            path = Path(word.removeprefix("file://"))
            if path.is_absolute() and path.is_dir():
                # The pages of an index link to files beside its own folder.
                place = str(path.parent if word.startswith("file://") else path)
                mounts[place] = place
    target = Path(folder)
    target.mkdir(parents=True)
    lines = [f"{name} = " + value.replace("\\n", "\n  ") for name, value in settings.items()]
    (target / "pip.conf").write_text("\n".join(["[global]", *lines]) + "\n")
    mounts[str((target / "pip.conf").resolve())] = "/etc/pip.conf"
    print("\n".join(f"{source}:{inside}:ro" for source, inside in mounts.items()))


if __name__ == "__main__":
    main(sys.argv[1])
