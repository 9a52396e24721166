"""Fields from the names inside the plate archives (FACTS 5.1); each name is judged by itself, never by its place."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from cloome.data.plates import sample_key

MEMBER = re.compile(
    r"(?P<plate>[^/]+)-(?P<channel>\w+)/[^/]*_(?P<well>[A-Pa-p](?:0[1-9]|1\d|2[0-4]))_s(?P<site>\d{1,4})"
    r"_w\d[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\.tif",
    re.ASCII,
)


@dataclass(frozen=True)
class FieldFiles:
    """Where the images of one field of view lie."""

    well: str
    site: int
    files: tuple[str, ...]  # one per channel, in the order of storage; or the one that holds them all


def parse_member(name: str) -> tuple[str, str, str, int] | None:
    """Plate, channel, well (``A01``) and site of a name inside an archive; None if it is not named as they are."""
    match = MEMBER.fullmatch(name)
    if match is None:
        return None
    plate, channel, well, site = match.groups()
    return plate, channel, well.upper(), int(site)


def index_fields(
    names: Iterable[str], plate: str, channels: list[str]
) -> tuple[list[FieldFiles], list[tuple[str, str]]]:
    """Put the names of all archives of a plate together to fields.

    Parameters
    ----------
    names : iterable of str
        Names of members, in any order; names of folders are passed over.
    plate : str
        The plate that they must be of.
    channels : list of str
        Channels in the order of storage.

    Returns
    -------
    fields : list of FieldFiles
        Complete fields, sorted by well and site.
    refused : list of (item, reason)
        Names that cannot be used, and fields that lack a channel or have two images of one.
    """
    found: dict[tuple[str, int], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    refused = []
    for name in names:
        parsed = parse_member(name)
        reason = _strange(parsed, plate, channels)
        if not reason:
            _, channel, well, site = parsed
            found[well, site][channel].append(name)
        elif not name.endswith("/"):
            refused.append((name, reason))
    fields = []
    for (well, site), images in sorted(found.items()):
        reason = _incomplete(images, channels)
        if reason:
            refused.append((sample_key(plate, well, site), reason))
        else:
            fields.append(FieldFiles(well, site, tuple(images[channel][0] for channel in channels)))
    return fields, refused


def _strange(parsed: tuple[str, str, str, int] | None, plate: str, channels: list[str]) -> str:
    if parsed is None:
        return "not named as an image of the screen"
    if parsed[0] != plate:
        return f"an image of plate {parsed[0]}"
    if parsed[1] not in channels:
        return f"an image of the channel {parsed[1]}"
    return ""


def _incomplete(images: dict[str, list[str]], channels: list[str]) -> str:
    missing = [channel for channel in channels if channel not in images]
    # Of two images nothing says which belongs to those of the other channels.
    twice = [f"{len(images[channel])} {channel} images" for channel in channels if len(images.get(channel, [])) > 1]
    return "; ".join([f"no {channel} image" for channel in missing] + twice)
