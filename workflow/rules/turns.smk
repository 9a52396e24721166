# Runs of several folders may share resources/ and results/plates/ through links (docs/running.md). Before it makes a file,
# Snakemake removes the old one, and archives go when they were read: two runs that make the same files would take them from
# each other. So a run waits until no other one makes files there, plans with what is there then, and lets others go on
# when it has made its own.
import threading
import time

SHARED = [Path(RESOURCES), Path(STORE)]
TURNS = []


def wait_for_turn():
    """Take the locks of the shared folders, until `end_turn` or the end of the process."""
    if workflow.storage_settings.default_storage_provider:
        return  # nothing of the run lies there
    for folder in SHARED:
        # Beside the folder, which may hold images of the user.
        file = folder.with_name(f".{folder.name}.turn")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            turn = file.open("a")
        except OSError:
            continue  # who may not write there makes no files there
        TURNS.append(turn)
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(
                f"Another run makes files in {folder}, which both share: waiting until it has made them.",
                file=sys.stderr,
            )
            fcntl.flock(turn, fcntl.LOCK_EX)
        except OSError:
            return  # a disk without locks (docs/running.md)


def end_turn():
    """Release the locks as soon as all files of the shared folders are made."""
    jobs = [job for job in workflow.dag.needrun_jobs() if any(in_shared(file) for file in job.output)]
    threading.Thread(target=release_after, args=(jobs,), daemon=True).start()


def in_shared(file):
    """Whether an output lies in one of the shared folders."""
    return any(Path(file).is_relative_to(folder) for folder in SHARED)


def release_after(jobs):
    """Wait for jobs, and release the locks."""
    while not all(workflow.dag.finished(job) for job in jobs):
        time.sleep(1)
    for turn in TURNS:
        turn.close()
