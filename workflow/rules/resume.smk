# A killed run leaves Snakemake's lock behind, and the next one would stop and ask for --unlock. The operating system
# drops a file lock with its process: who gets it knows that no other run of this folder lives on this machine.
# With it, files that changed after they were finished are removed, and so made again.
import fcntl
import socket

from cloome.data.seals import changed_files

LIVING = Path(".snakemake/living_run")


def remove_stale_lock():
    """Take this folder's file lock, until it is closed; with it, clear what a killed run left locked. None: no lock."""
    LIVING.parent.mkdir(exist_ok=True)
    living = LIVING.open("a+", encoding="utf-8")
    try:
        fcntl.flock(living, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return None  # another run lives, and Snakemake will say so
    living.seek(0)
    locks = list(Path(".snakemake/locks").glob("*.lock"))
    if locks and living.read() != socket.gethostname():
        living.close()
        return None  # a run on another machine may live, for all that is known here
    for lock in locks:
        lock.unlink(missing_ok=True)
    living.truncate(0)
    living.write(socket.gethostname())
    living.flush()
    return living


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
