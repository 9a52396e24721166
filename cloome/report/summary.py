"""What the screen holds, and what was refused or left out on the way and why."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from cloome.data.molecules import Molecules
from cloome.data.plates import open_plate
from cloome.data.refused import beside, kinds, left_out_of, read_refused, read_refused_of_plates

REASONS_SHOWN = 25
PLATES_SHOWN = 10


def summarise(index: pd.DataFrame, molecules: Molecules, plates: list[str | Path]) -> list[tuple[str, int]]:
    """Counts with their names, in the order of the page."""
    return [
        ("plates", len(plates)),
        ("fields of view", len(index)),
        ("wells", len(index[["plate", "well"]].drop_duplicates())),
        ("fields without a usable structure", int((index["inchikey"] == "").sum())),
        ("molecules", len(molecules.table)),
        ("molecules with a known mechanism", len(molecules.mechanisms())),
    ]


def refused_by_reason(plates: Iterable[str | Path], index: str | Path, molecules: str | Path) -> dict:
    """What is missing: refused by the stage images, left out by the filters, and compounds; counted by reason.

    Parameters
    ----------
    plates : paths
        Plate stores; ``{plate}.refused.csv`` lies beside each.
    index : path
        The index; ``fields.refused.csv`` lies beside it.
    molecules : path
        The molecules; ``molecules.refused.csv`` lies beside them.

    Returns
    -------
    dict
        ``images``, ``filters`` and ``compounds``: number of different items; ``reasons``: list of dict with kind,
        reason, count and one example, the most frequent first; ``more``: number of reasons beyond the first
        `REASONS_SHOWN`.
    """
    images, filters = read_refused_of_plates(plates), read_refused(left_out_of(index))
    compounds = read_refused(beside(molecules))
    all_kinds = {"image": images, "left out by a filter": filters, "compound": compounds}
    table = pd.concat([refused.assign(kind=kind) for kind, refused in all_kinds.items()], ignore_index=True)
    groups = table.assign(reason=kinds(table["reason"])).groupby(["kind", "reason"])["item"].agg(["size", "first"])
    groups = groups.reset_index().sort_values(["size", "kind", "reason"], ascending=[False, True, True])
    reasons = groups.rename(columns={"size": "count", "first": "example"}).to_dict("records")
    return {
        "images": len(images[["plate", "item"]].drop_duplicates()),
        "filters": len(filters),
        "compounds": len(compounds),
        "reasons": reasons[:REASONS_SHOWN],
        "more": len(reasons[REASONS_SHOWN:]),
    }


def refused_by_plate(index: pd.DataFrame, plates: Iterable[str | Path]) -> list[dict]:
    """The plates with the largest shares of missing fields, at most `PLATES_SHOWN`; plates without any are left out.

    Parameters
    ----------
    index : DataFrame
        The index.
    plates : paths
        Plate stores, named after their plates.

    Returns
    -------
    list of dict
        plate; ``stored``: images in its store; ``refused``: different items refused by the stage images;
        ``left_out``: stored, but left out of the index by the filters; ``share`` of both, 0 to 1. The worst first.
    """
    plates = [Path(path) for path in plates]
    stored = pd.Series({path.stem: _stored(path) for path in plates})
    refused = read_refused_of_plates(plates).drop_duplicates(["plate", "item"])["plate"].value_counts()
    table = pd.DataFrame({"stored": stored, "refused": refused, "used": index["plate"].value_counts()})
    table = table.reindex(stored.index).fillna(0).astype(int)
    table["left_out"] = table["stored"] - table["used"]
    table["share"] = (table["refused"] + table["left_out"]) / (table["stored"] + table["refused"])
    worst = table[table["share"] > 0].sort_index().sort_values("share", ascending=False, kind="stable")
    rows = worst.drop(columns="used").rename_axis("plate").reset_index()
    return rows.head(PLATES_SHOWN).to_dict("records")


def _stored(path: Path) -> int:
    with open_plate(path) as plate:
        return len(plate.images)
