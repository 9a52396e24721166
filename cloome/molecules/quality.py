"""Which stored fields are used, and how much may be refused: flags, filters and the refused limit."""

import numpy as np
import pandas as pd

from cloome.config import Quality
from cloome.data.plates import ALL_SITES, NOT_COUNTED
from cloome.data.refused import kinds
from cloome.errors import FormatError

FLAGS = ["is_blurry", "is_saturated"]
FIELD = ["plate", "well", "site"]
NAMED = 3  # plates, or reasons, that an error names


def with_flags(fields: pd.DataFrame, quality: pd.DataFrame) -> pd.DataFrame:
    """Fields with their flags, bool.

    An image of the whole well has the flags of any of its sites; a tile, those of its field. What nobody judged has
    no flag.

    Parameters
    ----------
    fields : DataFrame
        plate, well, site and others.
    quality : DataFrame
        plate, well, site, is_blurry, is_saturated; a field may stand in it twice.
    """
    judged = quality[FIELD].astype({"site": fields["site"].dtype})
    # The few that are flagged are all that the join has to know.
    return fields.assign(**{flag: _is_among(fields, judged[quality[flag].to_numpy(dtype=bool)]) for flag in FLAGS})


def leave_out(index: pd.DataFrame, settings: Quality) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Apply the filters.

    Parameters
    ----------
    index : DataFrame
        sample_key, plate, is_blurry, is_saturated, cell_count and others.
    settings : Quality
        The filters.

    Returns
    -------
    kept : DataFrame
        The fields that pass all filters.
    left_out : list of (sample_key, reason)
        All others, with every reason.

    Raises
    ------
    FormatError
        If nuclei are asked for and were not counted, or no field is left.
    """
    count = index["cell_count"]
    uncounted = index.loc[count == NOT_COUNTED, "plate"] if settings.minimum_cells else []
    if len(uncounted):
        raise FormatError(
            f"plate {uncounted.iloc[0]}: its nuclei were not counted, but quality.minimum_cells is "
            f"{settings.minimum_cells}; name the nuclear channel in images.nuclei and run the stage images again"
        )
    problems = pd.DataFrame(
        {
            "blurry": index["is_blurry"] & settings.drop_blurry,
            "saturated": index["is_saturated"] & settings.drop_saturated,
            "few": (count < settings.minimum_cells) & (count != NOT_COUNTED),
        }
    )
    out = problems.any(axis=1)
    dropped = index[out]
    reasons = _reasons(problems[out], count[out], settings.minimum_cells)
    if out.all():
        raise FormatError(
            f"the filters leave out all {len(index)} fields: {_most_frequent(reasons)}; loosen the section quality"
        )
    return index[~out].reset_index(drop=True), list(zip(dropped["sample_key"], reasons, strict=True))


def check_fields(fields: pd.DataFrame, refused: pd.DataFrame, limit: float) -> None:
    """Refuse a screen of whose fields too many were refused by the stage images.

    Parameters
    ----------
    fields : DataFrame
        plate, well, site of what is stored; the tiles of a field count once.
    refused : DataFrame
        plate, item, reason; an item with several reasons counts once.
    limit : float
        Largest share, 0 to 1.

    Raises
    ------
    FormatError
        With the numbers, the worst plates and the most frequent reasons.
    """
    stored = fields[FIELD].drop_duplicates()["plate"].value_counts()
    missing = refused.drop_duplicates(["plate", "item"])["plate"].value_counts()
    counts = pd.DataFrame({"refused": missing, "stored": stored}).fillna(0).astype(int)
    total = counts.sum(axis=1)
    if counts["refused"].sum() <= limit * total.sum():
        return
    worst = (counts["refused"] / total).sort_index().sort_values(ascending=False, kind="stable").index[:NAMED]
    plates = [f"{plate} ({counts.loc[plate, 'refused']} of {total[plate]})" for plate in worst]
    raise FormatError(
        f"{_share(counts['refused'].sum(), total.sum(), 'fields')} were refused, and quality.refused_limit is {limit}; "
        f"the worst plates: {', '.join(plates)}; the most frequent reasons: {_most_frequent(refused['reason'])}; "
        "raise quality.refused_limit, leave plates out of the screen, or repair the source"
    )


def check_compounds(used: int, refused: list[tuple[str, str]], limit: float) -> None:
    """Refuse a screen of whose compounds too many have no usable structure.

    Parameters
    ----------
    used : int
        Number of compounds in treated wells.
    refused : list of (compound, reason)
        Those without a usable structure.
    limit : float
        Largest share, 0 to 1.

    Raises
    ------
    FormatError
        With the numbers and the most frequent reasons.
    """
    if len(refused) <= limit * used:
        return
    reasons = pd.Series([reason for _, reason in refused])
    raise FormatError(
        f"{_share(len(refused), used, 'compounds')} were refused, such as {refused[0][0]!r}, and "
        f"quality.refused_limit is {limit}; the most frequent reasons: {_most_frequent(reasons)}; raise "
        "quality.refused_limit, or repair the compound table"
    )


def _is_among(fields: pd.DataFrame, wanted: pd.DataFrame) -> pd.Series:
    wanted = pd.concat([wanted, wanted.assign(site=ALL_SITES)]).drop_duplicates()
    found = fields[FIELD].merge(wanted, on=FIELD, how="left", indicator="found")["found"] == "both"
    return found.set_axis(fields.index)


def _reasons(problems: pd.DataFrame, count: pd.Series, minimum: int) -> pd.Series:
    """All problems of each field as one text."""
    blurry = np.where(problems["blurry"], "; flag isBlurry", "").astype(object)
    saturated = np.where(problems["saturated"], "; flag isSaturated", "").astype(object)
    nuclei = "; " + count.astype(str).astype(object) + f" nuclei, quality.minimum_cells is {minimum}"
    return pd.Series(blurry + saturated + nuclei.where(problems["few"], ""), dtype=str).str.removeprefix("; ")


def _share(part: int, whole: int, what: str) -> str:
    return f"{part} of {whole} {what} ({100 * part / whole:.1f} %)"


def _most_frequent(reasons: pd.Series) -> str:
    counts = kinds(reasons).value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return ", ".join(f"{reason} ({count})" for reason, count in counts[:NAMED].items())
