# Runs of several folders may share resources/ and results/plates/ through links (docs/running.md). Before it makes a file,
# Snakemake removes the old one, and archives go when they were read: two runs that make the same files would take them from
# each other. So a run waits until no other one makes files there, plans with what is there then, and lets others go on
# when it has made its own.
import fcntl
import os
import threading
import time
from contextlib import suppress

SHARED = [Path(RESOURCES), Path(STORE)]
TURNS = []
LOOK_AGAIN = 1  # seconds


def wait_for_turn():
    """Take the locks of the shared folders, until `end_turn` or the end of the process."""
    if workflow.storage_settings.default_storage_provider:
        return  # nothing of the run lies there
    for folder in SHARED:
        turn, kind = open_turn(folder)
        if turn is None:
            continue
        TURNS.append(turn)
        try:
            fcntl.flock(turn, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                f"Another run makes files in {folder}, which this one needs too: waiting until it has made them.",
                file=sys.stderr,
            )
            with suppress(OSError):
                fcntl.flock(turn, kind)
        except OSError:
            pass  # a disk without locks (docs/running.md)


def open_turn(folder):
    """The file that is locked, beside the folder, which may hold images of the user; and how: readers share it."""
    file = folder.with_name(f".{folder.name}.turn")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return file.open("a"), fcntl.LOCK_EX
    except OSError:
        # Who may not write there needs what another one makes.
        return (file.open(), fcntl.LOCK_SH) if os.access(file, os.R_OK) else (None, None)


def end_turn():
    """Release the locks as soon as all files of the shared folders are made, or cannot be."""
    jobs = [job for job in workflow.dag.needrun_jobs() if any(in_shared(file) for file in job.output)]
    threading.Thread(target=release_after, args=(jobs,), daemon=True).start()


def in_shared(file):
    """Whether an output lies in one of the shared folders."""
    return any(Path(file).is_relative_to(folder) for folder in SHARED)


def release_after(jobs):
    """Wait for jobs, and release the locks."""
    while jobs := still_to_run(jobs):
        time.sleep(LOOK_AGAIN)
    # Snakemake holds this while it ends a job, with the removal of archives.
    with workflow.scheduler._lock:
        pass
    for turn in TURNS:
        turn.close()


def still_to_run(jobs):
    """Those that have not ended, and neither they nor one before them has failed for good."""
    ended = workflow.scheduler.failed.copy() if workflow.scheduler else ()
    failed = {each for job in ended for each in (job if job.is_group() else [job])}
    return [job for job in jobs if not workflow.dag.finished(job) and not has_failed(job, failed)]


def has_failed(job, failed):
    """Whether a job, or one that it depends on, is among those that failed."""
    return job in failed or any(has_failed(each, failed) for each in workflow.dag.dependencies.get(job, ()))
