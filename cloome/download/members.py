"""Single members of a plate's tar.gz; nothing else of it is unpacked, and no path of it is used."""

import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from cloome.data.files import replacing
from cloome.errors import CloomeError, FormatError

# The well profiles of a plate have some 10 MB. Larger ones would be another file, or a bomb.
LARGEST_MEMBER = 1 << 30


def check_endings(endings: list[str]) -> None:
    """Refuse, with a CloomeError, endings of which two would be written under one name."""
    names = [PurePosixPath(ending).name for ending in endings]
    if len(set(names)) < len(names):
        raise CloomeError(f"--members {' '.join(endings)}: two have the same file name; fetch them one after another")


def extract_members(archive: Path, endings: list[str], folder: Path) -> None:
    """Write members of a tar.gz into a folder, under their base names.

    Parameters
    ----------
    archive : Path
        The tar.gz; it is read once, from the start until all members are found.
    endings : list of str
        How the members' paths end, in whole path components: ``quality_control/qc.csv``.
    folder : Path
        Where they are written; each is whole or absent.

    Raises
    ------
    FormatError
        If the archive is truncated, lacks a member, or a member is too large or has a path outside the archive.
    """
    check_endings(endings)
    wanted = list(endings)
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                ending = next((e for e in wanted if f"/{member.name}".endswith(f"/{e}")), None)
                if ending is None:
                    continue
                _write(tar, member, folder / PurePosixPath(ending).name, archive)
                wanted.remove(ending)
                if not wanted:
                    return
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise FormatError(f"{archive.name}: truncated or not a tar.gz: {error}; run download again") from error
    raise FormatError(f"{archive.name}: no member {', '.join(wanted)}; look into the archive at its source")


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path, archive: Path) -> None:
    parts = PurePosixPath(member.name).parts
    if ".." in parts or parts[0] == "/" or not member.isfile():
        raise FormatError(
            f"{archive.name}: {member.name} leaves its folder or is no plain file; do not use the archive"
        )
    if member.size > LARGEST_MEMBER:
        raise FormatError(f"{archive.name}: {member.name} has {member.size} bytes, allowed are {LARGEST_MEMBER}")
    with replacing(path) as temporary, open(temporary, "wb") as file:
        shutil.copyfileobj(tar.extractfile(member), file)
