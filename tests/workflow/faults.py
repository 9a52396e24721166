"""Random faults, one after another, in the smallest experiment; after each, the same command again.

usage: faults.py FOLDER [--faults N] [--seed S] [--seconds T]

Each fault must end with the tables of an undisturbed run, or with a clear error; what such an error says to do is
done, and then the tables must be those. FOLDER keeps the clone, the undisturbed tables and `outcomes.csv`: a call on
the same folder goes on with the next fault, until N are done or T seconds are over. Everything random comes from the
seed and the number of the fault. Where this user may mount, a full disk is a small file system; elsewhere, a limit on
the size of files.
"""

import argparse
import csv
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
from conftest import TINY, Clone

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 300  # seconds for one command; more counts as hanging
IDENTICAL, CLEAR, BAD = "identical tables", "clear error", "BAD"
# Stage -> its logs, and its outputs; a stage is left to do by removing these and those of all later ones.
STAGES = {
    "simulate": ("simulate.log", "resources"),
    "download": ("download/*", "resources/simulated_tiny*/plates"),
    "images": ("images/*", "results/plates"),
    "molecules": ("molecules.log", "results/tiny/molecules.h5"),
    "split": ("splits/*", "results/tiny/splits"),
    "train": ("train/*", "results/tiny/runs/*/model.pt"),
    "embed": ("embed/*", "results/tiny/runs/*/embeddings.h5"),
    "evaluate": ("evaluate/*", "results/tiny/runs/*/evaluation/retrieval.csv"),
    "probe": ("probe/*", "results/tiny/runs/*/evaluation/probing.csv"),
    "report": ("report/*", "results/tiny/report"),
}
WORDS = ("--cores", "2", "--configfile", *TINY)


class Demo:
    """The experiment in a clone below a folder, and the tables that it ends with when it is left alone."""

    def __init__(self, folder: Path):
        self.folder = folder / "clone"
        self.output = folder / "output.txt"
        undisturbed = folder / "undisturbed"
        if not undisturbed.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
            Clone(ROOT, self.folder)
            start = time.monotonic()
            if self.run():
                sys.exit(f"the undisturbed run failed:\n{self.output.read_text()[-4000:]}")
            print(f"the undisturbed run took {time.monotonic() - start:.0f} s", flush=True)
            for path in self.table_paths():
                copy = undisturbed / path
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.folder / path, copy)
        self._expected = {path: (undisturbed / path).read_bytes() for path in self.table_paths(undisturbed)}

    def begin_anew(self) -> None:
        """Forget what a fault has spoilt, so that the next one is judged by itself."""
        for name in (".snakemake", "results", "resources", "logs"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        if self.run() != 0 or self.different_tables():
            sys.exit(f"the demo cannot be made anew:\n{self.output.read_text()[-4000:]}")

    def table_paths(self, folder: Path | None = None) -> list[Path]:
        folder = folder or self.folder
        found = [*folder.glob("results/tiny/runs/*/evaluation/*.csv"), *folder.glob("results/tiny/report/*.csv")]
        return sorted(path.relative_to(folder) for path in found)

    def different_tables(self) -> list[str]:
        found = {path: (self.folder / path).read_bytes() for path in self.table_paths()}
        paths = self._expected.keys() | found.keys()
        return sorted(str(path) for path in paths if self._expected.get(path) != found.get(path))

    def start(self, file_size: int | None = None) -> subprocess.Popen:
        """Start the command in a process group of its own, as a batch system would."""

        def limit() -> None:
            if file_size:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

        with self.output.open("w") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "snakemake", *WORDS],
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=limit,
            )

    def run(self, file_size: int | None = None) -> int | None:
        """Run the command to its end; its status, or None where it hangs."""
        process = self.start(file_size)
        try:
            return process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None

    def files(self, *folders: str) -> list[Path]:
        """What the workflow has written, without the simulated site, which stands for hosts on the internet."""
        found = [path for folder in folders for path in (self.folder / folder).rglob("*")]
        return sorted(
            path
            for path in found
            if path.is_file() and not {"site", "checksums"} & set(path.parts) and path.suffix != ".part"
        )

    def remove(self, pattern: str) -> None:
        for path in self.folder.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def leave_to_do(self, stage: str) -> None:
        """Remove what a stage and all later ones have written."""
        names = list(STAGES)
        for logs, outputs in [STAGES[name] for name in names[names.index(stage) :]]:
            self.remove(outputs)
            self.remove(f"logs/tiny/{logs}")

    def start_stage(self, stage: str) -> subprocess.Popen:
        """Start the command with a stage left to do, and return when the first job of the stage runs."""
        self.leave_to_do(stage)
        process = self.start()
        while not list(self.folder.glob(f"logs/tiny/{STAGES[stage][0]}")):
            if process.poll() is not None:
                sys.exit(f"{stage} did not start:\n{self.output.read_text()[-4000:]}")
            time.sleep(0.02)
        return process


def kill_job(demo: Demo, chance: random.Random) -> str:
    """One job gets kill -9; the workflow sees that it failed."""
    stage = chance.choice(list(STAGES))
    process = demo.start_stage(stage)
    time.sleep(chance.uniform(0, 2))
    pick = chance.random()
    while process.poll() is None:
        jobs = [job for job in psutil.Process(process.pid).children(recursive=True) if "cloome" in _words(job)]
        if jobs:
            killed = jobs[int(pick * len(jobs))]
            killed.kill()
            break
        time.sleep(0.02)
    process.wait(LIMIT)
    return f"in {stage}"


def kill_scheduler(demo: Demo, chance: random.Random) -> str:
    """Snakemake gets kill -9; its jobs live on, beside those that the next command starts."""
    stage = chance.choice(list(STAGES))
    process = demo.start_stage(stage)
    moment = chance.uniform(0, 2)
    time.sleep(moment)
    process.kill()
    process.wait()
    return f"{moment:.2f} s into {stage}"


def kill_node(demo: Demo, chance: random.Random) -> str:
    """Snakemake and all its jobs are gone at once."""
    stage = chance.choice(list(STAGES))
    process = demo.start_stage(stage)
    moment = chance.uniform(0, 2)
    time.sleep(moment)
    with suppress(ProcessLookupError):  # it had ended already
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return f"{moment:.2f} s into {stage}"


def fill_disk(demo: Demo, chance: random.Random) -> str:
    """The disk of the results is full for one run, and has space again afterwards."""
    stage = chance.choice(list(STAGES)[2:])
    results = demo.folder / "results"
    demo.leave_to_do(stage)
    used = sum(path.stat().st_size for path in results.rglob("*"))
    space = int(chance.uniform(0, 1.5) * 2**20)
    elsewhere = demo.folder / "results.kept"
    results.rename(elsewhere)
    results.mkdir()
    size = used + space + 2**19  # pages that are not full
    options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(results)]
    if subprocess.run(["mount", *options], capture_output=True).returncode:
        results.rmdir()
        elsewhere.rename(results)
        status = demo.run(file_size=space // 4 + 1)
        return f"files of at most {space // 4 + 1} bytes, {stage} to do: {_say(demo, status)}"
    try:
        subprocess.run(["cp", "-a", f"{elsewhere}/.", str(results)], check=True)
        shutil.rmtree(elsewhere)
        status = demo.run()
        subprocess.run(["cp", "-a", str(results), str(elsewhere)], check=True)
    finally:
        subprocess.run(["umount", str(results)], check=True)
    results.rmdir()
    elsewhere.rename(results)
    return f"{space / 2**20:.2f} MB left, {stage} to do: {_say(demo, status)}"


def remove_output(demo: Demo, chance: random.Random) -> str:
    """A file that the workflow has written is gone."""
    path = chance.choice(demo.files("results", "resources"))
    path.unlink()
    return str(path.relative_to(demo.folder))


def corrupt_file(demo: Demo, chance: random.Random) -> str:
    """A file that the workflow has written is cut off, emptied, or has other bytes."""
    path = chance.choice([path for path in demo.files("results", "resources") if path.stat().st_size])
    content = bytearray(path.read_bytes())
    kind = chance.choice(["truncated", "emptied", "flipped"])
    if kind == "flipped":
        for _ in range(chance.randint(1, 8)):
            content[chance.randrange(len(content))] ^= chance.randint(1, 255)
    else:
        del content[chance.randrange(len(content)) if kind == "truncated" else 0 :]
    path.write_bytes(content)
    return f"{path.relative_to(demo.folder)} {kind}"


def turn_clock(demo: Demo, chance: random.Random) -> str:
    """Inputs have a time in the future or in the past."""
    files = demo.files("results", "resources")
    chosen = chance.sample(files, chance.randint(1, 5))
    days = chance.choice([-1, 1]) * chance.uniform(0.01, 1000)
    for path in chosen:
        moment = time.time() + days * 86400
        os.utime(path, (moment, moment))
    return f"{days:+.1f} days: {', '.join(str(path.relative_to(demo.folder)) for path in chosen)}"


FAULTS = {
    "kill -9 of a job": kill_job,
    "kill -9 of the scheduler": kill_scheduler,
    "kill -9 of the node": kill_node,
    "full disk": fill_disk,
    "removed output": remove_output,
    "corrupted file": corrupt_file,
    "clock jump": turn_clock,
}


def outcome(demo: Demo) -> tuple[str, str]:
    """Run the same command, and judge how it ends."""
    status = demo.run()
    if status == 0:
        different = demo.different_tables()
        return (BAD, f"other tables: {', '.join(different)}") if different else (IDENTICAL, "")
    said = _say(demo, status)
    if status is None or not said or "Traceback" in demo.output.read_text():
        return BAD, said or "no clear error"
    for path in re.findall(r"(\S+): [^\n]*delete it", said):
        (demo.folder / path).unlink(missing_ok=True)
    if demo.run() != 0 or demo.different_tables():
        return BAD, f"what it says does not help: {said}"
    return CLEAR, said


def _say(demo: Demo, status: int | None) -> str:
    """What a command said before it stopped."""
    if status is None:
        return f"hangs for {LIMIT} s"
    text = demo.output.read_text()
    if "Traceback" in text:
        return f"BAD Traceback: {text[text.index('Traceback') :][:1500]}"
    return " | ".join(dict.fromkeys(re.findall(r"cloome [a-z]+: [^\n]*", text))) or ("finished" if status == 0 else "")


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further fault after so long")
    arguments = parser.parse_args()
    begun = time.monotonic()
    folder = arguments.folder.absolute()
    demo = Demo(folder)
    table = folder / "outcomes.csv"
    done = list(csv.reader(table.open())) if table.is_file() else []
    while len(done) < arguments.faults and time.monotonic() - begun < arguments.seconds:
        chance = random.Random(f"{arguments.seed} {len(done)}")
        # Every kind equally often, in an order of its own each round.
        order = random.Random(f"{arguments.seed} round {len(done) // len(FAULTS)}").sample(list(FAULTS), len(FAULTS))
        kind = order[len(done) % len(FAULTS)]
        start = time.monotonic()
        what = FAULTS[kind](demo, chance)
        how, why = outcome(demo)
        if "BAD" in what:
            how, why = BAD, what
        if how == BAD:
            shutil.copy(demo.output, folder / f"output_{len(done)}.txt")
        done.append([kind, how, what, why, f"{time.monotonic() - start:.0f} s"])
        print(f"{len(done)}. {' | '.join(filter(None, done[-1]))}", flush=True)
        with table.open("a", newline="") as file:
            csv.writer(file).writerow(done[-1])
        if how == BAD:
            demo.begin_anew()
    counts = Counter((row[0], row[1]) for row in done)
    for kind in FAULTS:
        print(f"{kind:26}", ", ".join(f"{counts[kind, how]} {how}" for how in (IDENTICAL, CLEAR, BAD)))
    print(f"{len(done)} faults, {sum(row[1] == BAD for row in done)} of them bad")
    return int(any(row[1] == BAD for row in done))


if __name__ == "__main__":
    sys.exit(main())
