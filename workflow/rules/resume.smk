# A killed run leaves Snakemake's lock behind, and the next one would stop and ask for --unlock. Each run of a folder shares
# a file lock, which the operating system drops with its process: who gets it alone knows that no other run of this folder
# lives on this machine. With it, files that changed after they were finished are removed, and so made again.
import fcntl
import socket

from cloome.data.seals import changed_files

LIVING = Path(".snakemake/living_run")
HELD = []  # until the process ends


def remove_stale_lock():
    """Take a share of this folder's file lock; whether no other run lives, and what a killed one left is cleared."""
    LIVING.parent.mkdir(exist_ok=True)
    living = LIVING.open("a+", encoding="utf-8")
    HELD.append(living)
    try:
        fcntl.flock(living, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = clear_locks(living)
    except BlockingIOError:
        alone = False
    except OSError:
        return False  # a disk without locks
    fcntl.flock(living, fcntl.LOCK_SH)
    return alone


def clear_locks(living):
    """Clear locks that a run on this machine has left; whether a run on another machine may live is not known here."""
    living.seek(0)
    locks = list(Path(".snakemake/locks").glob("*.lock"))
    if locks and living.read() != socket.gethostname():
        return False
    for lock in locks:
        lock.unlink(missing_ok=True)
    living.truncate(0)
    living.write(socket.gethostname())
    living.flush()
    return True


def remove_changed_files():
    """Remove finished files that are damaged: cut off, or with other contents than their job had written."""
    for file in changed_files(SEALS):
        if not file.resolve().is_relative_to(Path.cwd().resolve()):
            # Reached through a link: another run may have made it anew, and may be reading it.
            print(
                f"{file} has changed since it was finished here; it lies in a shared folder, so it stays: if it is "
                "damaged, delete it",
                file=sys.stderr,
            )
            continue
        print(f"{file} has changed since it was finished: it is removed, and made again if needed", file=sys.stderr)
        file.unlink()
