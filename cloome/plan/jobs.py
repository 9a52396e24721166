"""How many jobs of each rule a run still has to do: Snakemake's own dry run says."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from cloome.errors import CloomeError

_HEADER = re.compile(r"job +count *")
_NOTHING = "Nothing to be done"
# What stands before an error that explains nothing.
_BEGUN = "Building DAG of jobs..."
_BANNER = ("Using workflow specific profile", "Assuming unrestricted shared filesystem")


def count_jobs(files: list[str]) -> dict[str, int]:
    """Ask Snakemake, in the current folder, what it would do; nothing runs.

    Parameters
    ----------
    files : list of str
        Configuration files, as for ``snakemake --configfile``.

    Returns
    -------
    dict of str to int
        Jobs by rule, in Snakemake's order; empty if nothing is left to do.

    Raises
    ------
    CloomeError
        If Snakemake is not installed, or refuses to plan; with its message.
    """
    if importlib.util.find_spec("snakemake") is None:
        raise CloomeError("Snakemake is not installed here; it plans the run: pip install 'cloome[workflow]'")
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--configfile", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CloomeError(f"Snakemake cannot plan this run from {Path.cwd()}:\n{_message(done.stdout + done.stderr)}")
    return parse_jobs(done.stdout + done.stderr)


def parse_jobs(output: str) -> dict[str, int]:
    """Read the job table of a dry run, without its rows ``all`` and ``total``, which do no work of their own.

    Raises CloomeError if there is neither a table nor Snakemake's word that nothing is to be done.
    """
    lines = iter(output.splitlines())
    if not any(_HEADER.fullmatch(line.strip()) for line in lines):
        if _NOTHING in output:
            return {}
        raise CloomeError(f"Snakemake's dry run ended without a table of jobs:\n{_message(output)}")
    next(lines)  # the rule below the header
    jobs = {}
    for line in lines:
        words = line.split()
        if len(words) != 2 or not words[1].isdigit():
            break
        jobs[words[0]] = int(words[1])
    return {rule: count for rule, count in jobs.items() if rule not in ("all", "total")}


def _message(output: str) -> str:
    """The part of an output that says what is wrong."""
    text = output.partition(_BEGUN)[2] or output
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(_BANNER)]
    return "\n".join(f"  {line}" for line in lines)
