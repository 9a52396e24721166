"""What the screen holds, and what was refused on the way and why."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from cloome.data.molecules import Molecules
from cloome.data.refused import read_refused

REASONS_SHOWN = 25


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


def refused_by_reason(plates: Iterable[str | Path], molecules: str | Path) -> dict:
    """Refusals of all plates and of the compounds, counted by reason.

    Parameters
    ----------
    plates : paths
        Plate stores; ``{plate}.refused.csv`` lies beside each.
    molecules : path
        The molecules; ``molecules.refused.csv`` lies beside them.

    Returns
    -------
    dict
        ``files`` and ``compounds``: number of refused items; ``reasons``: list of dict with kind, reason, count and
        one example, the most frequent first; ``more``: number of reasons beyond the first `REASONS_SHOWN`.
    """
    files = pd.concat([read_refused(_beside(path)) for path in plates], ignore_index=True)
    compounds = read_refused(_beside(molecules))
    both = pd.concat([files.assign(kind="image file"), compounds.assign(kind="compound")])
    groups = both.groupby(["kind", "reason"])["item"].agg(["size", "first"]).reset_index()
    groups = groups.sort_values(["size", "kind", "reason"], ascending=[False, True, True])
    reasons = groups.rename(columns={"size": "count", "first": "example"}).to_dict("records")
    return {
        "files": len(files),
        "compounds": len(compounds),
        "reasons": reasons[:REASONS_SHOWN],
        "more": len(reasons[REASONS_SHOWN:]),
    }


def _beside(path: str | Path) -> Path:
    return Path(path).with_suffix(".refused.csv")
