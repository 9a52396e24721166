"""How long Snakemake takes to plan the paper's run for Slurm: from nothing, and when there is nothing left to do.

    python benchmarks/dag.py

In a copy of the checkout. For the second time every output is there, as an empty file that Snakemake takes for finished
(`--touch`), and sealed as its job would have done. Needs the extra `slurm`.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cloome.data.seals import FOLDER, seal

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("Snakefile", "README.md", "cloome", "config", "envs", "profiles", "workflow")
COMMAND = ["--profile", "profiles/slurm", "--configfile", "config/paper.yaml"]


def snakemake(folder: Path, *words: str) -> tuple[float, str]:
    """Seconds and output of a command."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "snakemake", *COMMAND, *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    return time.perf_counter() - start, done.stdout + done.stderr


def main() -> None:
    """Print both times, and how many jobs Slurm would get."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in COPIED:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / part)
        seconds, output = snakemake(folder, "-n")
        groups = output.count("Group job ")
        print(f"dry run: {seconds:.1f} s, {groups} groups of jobs; {re.search(r'total +([0-9]+)', output)[1]} jobs")
        _, summary = snakemake(folder, "--summary")
        outputs = [line.split("\t")[0] for line in summary.splitlines() if re.match(r"(results|resources)/", line)]
        for path in outputs:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).touch()
        snakemake(folder, "--touch")
        with contextlib.chdir(folder):
            os.environ[FOLDER] = str(Path(".snakemake/seals").absolute())
            for path in outputs:
                seal(path)
        seconds, output = snakemake(folder)
        if "Nothing to be done" not in output:
            sys.exit("there was something left to do")
        print(f"nothing to do: {seconds:.1f} s, of {len(outputs)} files")


if __name__ == "__main__":
    main()
