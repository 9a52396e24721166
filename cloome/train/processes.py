"""The processes of one training: who they are, how they start, find each other, fail and end."""

import atexit
import json
import logging
import os
import re
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from cloome.errors import CloomeError, ConfigError, FormatError
from cloome.model.device import pick_device

log = logging.getLogger(__name__)

# The others wait while one of them copies plates, reads, validates or saves.
PATIENCE = timedelta(hours=2)
# Below the ports that Linux hands out by itself (32768 and up).
FIRST_PORT, PORTS = 20_000, 10_000
FAILURE = "failure.json"
# Words of torch.distributed when it cannot reach another process.
CONNECTION = ("gloo", "NCCL", "Connection closed by peer")


@dataclass(frozen=True)
class Group:
    """One process of a training, as it sees itself.

    Attributes
    ----------
    rank : int
        Number of this process, 0 to world - 1; 0 writes files and speaks to the user.
    world : int
        Processes of the training, over all machines.
    device : torch.device
        Where this process computes.
    """

    rank: int
    world: int
    device: torch.device

    @classmethod
    def alone(cls, device: torch.device) -> "Group":
        """The only process of a training."""
        return cls(0, 1, device)


@dataclass(frozen=True)
class Place:
    """Where a launcher put this process: rank among all, number on its machine, and where all of them meet."""

    rank: int
    world: int
    local: int
    meeting: str  # init_method of torch.distributed
    threads: int | None = None  # for computing on the CPU; None: as the launcher left it


def launch(function: Callable[..., None], processes: int | None, *args: Any) -> None:
    """Call `function(group, *args)` in each process of a training.

    Where torchrun or srun started several processes, this is one of them and `function` is called here; their number
    is the launcher's. Otherwise processes are started on this machine; a single one is this process itself.
    A process of torchrun or srun skips Python's own way out afterwards: what matters is not to be left to that.

    Parameters
    ----------
    function : callable
        What to do. It is sent to other processes, so it is a function of a module. What it returns is lost.
    processes : int or None
        Processes to start on this machine, one per GPU; None: as many as GPUs are visible, at least one.
    *args
        Further arguments, which must survive pickling.

    Raises
    ------
    ConfigError
        If there are fewer GPUs than processes.
    CloomeError
        If a process fails; the text is that of the process that failed first.
    """
    place = place_of(os.environ)
    if place is not None:
        _run(place, function, args)
        atexit.register(_leave)
        return
    gpus = torch.cuda.device_count()
    processes = processes or max(1, gpus)
    if 0 < gpus < processes:
        raise ConfigError(f"running.processes is {processes}, but {gpus} GPUs are visible; write processes: {gpus}")
    if processes == 1:
        function(Group.alone(pick_device()), *args)
    else:
        _start(function, processes, args)


def is_first() -> bool:
    """Whether this process speaks for a training: the first of those that a launcher started, or one without others."""
    place = place_of(os.environ)
    return place is None or place.rank == 0


def place_of(environment: Mapping[str, str]) -> Place | None:
    """Read from environment variables where torchrun or srun put this process; None where neither started several."""
    if {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= environment.keys():
        rank, world = int(environment["RANK"]), int(environment["WORLD_SIZE"])
        # torchrun itself gives each process its threads.
        place = Place(rank, world, int(environment.get("LOCAL_RANK", rank)), "env://")
        return place if world > 1 else None
    # A batch script has SLURM_NTASKS too, but only srun starts that many processes and gives the step a number.
    if "SLURM_STEP_ID" in environment and int(environment.get("SLURM_NTASKS", 1)) > 1:
        return Place(
            int(environment["SLURM_PROCID"]),
            int(environment["SLURM_NTASKS"]),
            int(environment["SLURM_LOCALID"]),
            _slurm_meeting(environment),
            int(environment["SLURM_CPUS_PER_TASK"]) if "SLURM_CPUS_PER_TASK" in environment else None,
        )
    return None


def first_host(nodes: str) -> str:
    """The first host of a Slurm node list, such as ``gpu[03-05,9],login``: gpu03."""
    first = re.match(r"(?:\[[^\]]*\]|[^,\[])*", nodes)[0]
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", first)


def _slurm_meeting(environment: Mapping[str, str]) -> str:
    """Address on the node of the process with rank 0, which is the first of the list; the port follows from the job."""
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST")
    host = environment.get("MASTER_ADDR") or (first_host(nodes) if nodes else environment["SLURM_LAUNCH_NODE_IPADDR"])
    job, step = int(environment["SLURM_JOB_ID"]), int(environment["SLURM_STEP_ID"])
    port = environment.get("MASTER_PORT") or FIRST_PORT + (job * 101 + step) % PORTS
    return f"tcp://{host}:{port}"


def _start(function: Callable[..., None], processes: int, args: tuple) -> None:
    threads = max(1, torch.get_num_threads() // processes)
    level = logging.getLogger().getEffectiveLevel()
    with tempfile.TemporaryDirectory(prefix="cloome-train-") as folder:
        context = mp.spawn(
            _started, (processes, Path(folder), threads, level, function, args), nprocs=processes, join=False
        )
        try:
            while not context.join():
                pass
        except (mp.ProcessRaisedException, mp.ProcessExitedException):
            raise _error_of(Path(folder), [process.exitcode for process in context.processes]) from None
        finally:
            for process in context.processes:
                process.terminate()


def _started(
    rank: int, processes: int, folder: Path, threads: int, level: int, function: Callable[..., None], args: tuple
) -> None:
    """What a started process does: its part, or to note why it failed."""
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")

    def note(error: Exception) -> None:
        """Only the first failure is noted; others follow from it."""
        failure = {"rank": rank, "kind": type(error).__name__, "text": str(error), "traceback": traceback.format_exc()}
        with suppress(FileExistsError), open(folder / FAILURE, "x") as file:
            json.dump(failure, file)

    try:
        _run(Place(rank, processes, rank, f"file://{folder}/meeting", threads), function, args, note)
    except Exception as error:
        note(error)
        sys.exit(1)


def _error_of(folder: Path, exit_codes: list[int | None]) -> CloomeError:
    """The one error to show for processes of which at least one failed."""
    kinds = {kind.__name__: kind for kind in (CloomeError, ConfigError, FormatError, LostProcess)}
    failure = json.loads((folder / FAILURE).read_text()) if (folder / FAILURE).is_file() else None
    if failure and failure["kind"] in kinds and failure["kind"] != LostProcess.__name__:
        return kinds[failure["kind"]](failure["text"])
    of_all = f"of {len(exit_codes)} training processes"
    # Those still alive were asked to end, by SIGTERM.
    killed = [rank for rank, code in enumerate(exit_codes) if code is not None and code < 0 and code != -signal.SIGTERM]
    if killed:
        return CloomeError(
            f"number {killed[0]} {of_all} was killed by {signal.Signals(-exit_codes[killed[0]]).name}; if memory ran "
            "out, write a smaller train.micro_batch or running.processes, then start again"
        )
    if failure is None:
        return CloomeError(f"some {of_all} ended early, with the exit codes {exit_codes}; start again")
    if failure["kind"] not in kinds:
        log.error("%s", failure["traceback"].rstrip())
    return CloomeError(f"number {failure['rank']} {of_all} failed with {failure['kind']}: {failure['text']}")


class LostProcess(CloomeError):
    """Another process ended while this one waited for it."""


def _run(
    place: Place, function: Callable[..., None], args: tuple, note: Callable[[Exception], None] = lambda error: None
) -> None:
    """Join the group of processes, do this one's part, and leave the group, whatever happens.

    A failure is noted before the group is left: that this one left makes the others fail too.
    """
    group = _join(place)
    try:
        function(group, *args)
        # Nobody leaves while another one still expects an answer.
        dist.barrier()
    except Exception as error:
        lost = _lost(error, place)
        note(lost or error)
        if lost:
            raise lost from None
        raise
    finally:
        dist.destroy_process_group()


def _join(place: Place) -> Group:
    if place.threads is not None:
        torch.set_num_threads(place.threads)
    if place.rank > 0:
        logging.getLogger().setLevel(logging.WARNING)
    device = _device(place.local)
    on_gpu = device.type == "cuda"
    try:
        dist.init_process_group(
            "nccl" if on_gpu else "gloo",
            init_method=place.meeting,
            rank=place.rank,
            world_size=place.world,
            timeout=PATIENCE,
            device_id=device if on_gpu else None,
        )
    except (RuntimeError, ValueError, OSError) as error:
        raise CloomeError(
            f"training process {place.rank} of {place.world} did not find the others at {place.meeting} "
            f"({_line(error)}); set MASTER_ADDR and MASTER_PORT to an address that all machines reach"
        ) from None
    return Group(place.rank, place.world, device)


def _lost(error: Exception, place: Place) -> LostProcess | None:
    """What to say of an error of the connection to another process; None if it is another kind of error."""
    if not isinstance(error, RuntimeError) or not any(word in str(error) for word in CONNECTION):
        return None
    return LostProcess(
        f"training process {place.rank} of {place.world} lost another one, whose own message says why; "
        f"start again ({_line(error)})"
    )


def _device(local: int) -> torch.device:
    """The GPU with this process's number on its machine, or the only one that Slurm lets it see; else the CPU."""
    gpus = torch.cuda.device_count()
    if gpus == 0:
        return torch.device("cpu")
    if local >= gpus > 1:
        raise ConfigError(f"{local + 1} or more training processes, but {gpus} GPUs on this machine; start one per GPU")
    device = torch.device("cuda", min(local, gpus - 1))
    torch.cuda.set_device(device)
    return device


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _leave() -> None:
    """End the process without Python's own way out, on which threads of torch.distributed sometimes abort."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
