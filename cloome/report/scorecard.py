"""The scorecard: each value of the paper beside the reproduced one, with intervals, difference and verdict."""

import numpy as np
import pandas as pd

from cloome.config import CONTROLS, PUBLISHED_TABLES, Config
from cloome.report.tables import ACCURACY, ALL, MEAN_AUC, PAPER_METHODS, WHOLE_NUMBERS, in_paper, published_values
from cloome.report.tables import COLUMNS as COLUMNS_OF_TABLES
from cloome.report.wording import model_name, position, setting_in_words, show, show_interval, show_spread, widest

PAPER_SCREEN = "bray2017"  # as config/paper.yaml names it
# The paper and its own notebook differ by 0.7 % in the number of queries (FACTS 1.4), and its representative images
# may or may not be among them.
QUERIES_APART = 0.1
COLUMNS = [
    "table",
    "split",
    "method",
    "features",
    "direction",
    "queries",
    "pool",
    "k",
    "metric",
    "paper",
    "paper_low",
    "paper_high",
    "paper_n",
    "evidence",
    "source",
    "reproduced",
    "low",
    "high",
    "n",
    "seeds",
    "seed_min",
    "seed_max",
    "chance",
    "difference",
    "verdict",
    "remark",
]
AGREES, DIFFERS, NOT_COMPARABLE = "agrees", "differs", "not comparable: "
NOT_HERE, NO_RUN = "not reproduced here", "no run of this split"
# Why a published value has no counterpart, by its features.
WITHOUT_COUNTERPART = {
    "gapnet": "needs GapNet's weights, evaluate.gapnet",
    "cellprofiler": "image features that were not published; other features of CellProfiler stand in the tables",
    "cloome (notebook)": "an earlier run of the authors",
    "gapnet (notebook)": "an earlier run of the authors",
    "cellprofiler (notebook)": "an earlier run of the authors",
}
# What an agreement or a difference does not rest on, as it was not published (FACTS 1.5, 1.8).
SCAFFOLDS = "the paper's scaffold split was not published: other molecules, and another number of them"
MECHANISMS = "the paper's mechanisms, their number and their images were not published"


def is_paper_screen(config: Config) -> bool:
    """Whether the screen is the paper's, so that a comparison with its values means something."""
    return config.screen.name == PAPER_SCREEN and config.simulate is None


def scorecard(tables: dict[int, pd.DataFrame], is_paper: bool) -> pd.DataFrame:
    """The published values and the headline numbers of this experiment, one row each.

    Headline numbers are top-1 over the whole test set, with the paper's queries, and the mean AUC of probing; they
    stand here without a published value as well. Published weights stand only in the tables for which they were
    published, and controls in none.

    Parameters
    ----------
    tables : dict of DataFrame
        The four tables by number, as of `cloome.report.tables.paper_table`.
    is_paper : bool
        Whether the screen is the paper's.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`. ``low`` and ``high``: the wider of the exact interval and the one clustered by molecule.
        ``evidence``: marks of FACTS, see `cloome.report.tables.read_paper`. ``difference``: reproduced less paper,
        empty where they are not comparable. ``verdict``: see `verdict`. ``remark``: what else keeps the two apart.
    """
    splits = {split for table in tables.values() for split in table["split"]}
    parts = [_of_table(number, table) for number, table in tables.items()]
    parts += [_of_other_splits(number, splits) for number in tables]
    rows = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    rows[["low", "high"]] = [widest(cell) for cell in rows.itertuples()] or np.empty((0, 2))
    names = {"measure": "metric", "paper_evidence": "evidence", "paper_source": "source"}
    rows = rows.rename(columns=names)
    rows["absent"] = [_absent(cell, splits) for cell in rows.itertuples()]
    rows["verdict"] = pd.Series([verdict(cell, is_paper) for cell in rows.itertuples()], dtype=object)
    comparable = rows["verdict"].isin([AGREES, DIFFERS])
    rows["remark"] = pd.Series([_remark(cell) for cell in rows.itertuples()], dtype=object).where(comparable, "")
    rows["difference"] = (rows["reproduced"] - rows["paper"]).where(comparable)
    return rows[COLUMNS]


def verdict(cell, is_paper: bool) -> str:
    """What a row says about the reproduction.

    Parameters
    ----------
    cell : named tuple or Series
        A row with the columns method, reproduced, low, high, n, paper, paper_low, paper_high, paper_n and absent, which
        says why nothing was reproduced.
    is_paper : bool
        Whether the screen is the paper's.

    Returns
    -------
    str
        ``agrees``: the intervals overlap or touch; ``differs``; or ``not comparable:`` and why.
    """
    why = _not_comparable(cell, is_paper)
    if why:
        return NOT_COMPARABLE + why
    return AGREES if cell.low <= cell.paper_high and cell.paper_low <= cell.high else DIFFERS


def _not_comparable(cell, is_paper: bool) -> str:
    """Why a comparison would mean nothing; empty where it means something."""
    if not is_paper:
        return "another screen"
    if pd.isna(cell.reproduced):
        return cell.absent
    if cell.method not in PAPER_METHODS:
        return "a method that the paper has not"
    if pd.isna(cell.paper):
        return "no published value"
    if pd.notna(cell.paper_n) and abs(cell.n / cell.paper_n - 1) > QUERIES_APART:
        return f"{cell.n:.0f} queries, the paper has {cell.paper_n:.0f}"
    if pd.isna(cell.paper_low) or pd.isna(cell.paper_high):
        return "the published value has no interval"
    if pd.isna(cell.low) or pd.isna(cell.high):
        return "the reproduced value has no interval"
    return ""


def _absent(cell, splits: set[str]) -> str:
    """Why nothing stands beside a published value."""
    return WITHOUT_COUNTERPART.get(cell.features, NOT_HERE) if cell.split in splits else NO_RUN


def _remark(cell) -> str:
    """What was not published of a value, and may account for a difference."""
    return "; ".join([SCAFFOLDS] * (cell.split == "scaffold") + [MECHANISMS] * (cell.table == 4))


def card_rows(card: pd.DataFrame) -> list[dict]:
    """The rows of the scorecard as the page shows them: numbers as text, and how the value lies to chance."""
    return [
        {
            "number": cell.table,
            "metric": f"top-{cell.k:.0f} accuracy" if cell.metric == ACCURACY else cell.metric,
            "setting": setting_in_words(cell),
            "model": model_name(cell),
            "reproduced": show(cell.reproduced, cell.metric),
            "interval": show_interval(cell.low, cell.high, cell.metric),
            "spread": show_spread(cell, cell.metric),
            "chance": show(cell.chance, cell.metric),
            "against_chance": _against_chance(cell),
            "paper": show(cell.paper, cell.metric),
            "paper_interval": show_interval(cell.paper_low, cell.paper_high, cell.metric),
            "evidence": cell.evidence if pd.notna(cell.evidence) else "",
            "difference": _signed(cell.difference, cell.metric),
            "verdict": cell.verdict,
            "remark": cell.remark,
        }
        for cell in card.assign(candidates=ALL).itertuples()
    ]


def is_headline(card: pd.DataFrame) -> pd.Series:
    """Whether a row is a headline number of a model: top-1 over the whole test set, or the mean AUC."""
    return (card["features"] == "cloome") & card["reproduced"].notna() & _is_headline(card, card["metric"])


def is_shuffled(table: pd.DataFrame) -> pd.Series:
    """Whether a row is of the control trained on shuffled pairs."""
    return table["method"].astype(str).str.endswith("-shuffled")


def is_whole(table: pd.DataFrame) -> pd.Series:
    """Whether a row has the largest pool of its setting."""
    setting = ["split", "method", "features", "direction", "queries", "candidates", "measure", "k"]
    pool = table["pool"].astype(float)
    groups = [table[name] for name in setting if name in table]
    return pool == pool.groupby(groups, dropna=False).transform("max")


def _of_table(number: int, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of one table that stand in the scorecard."""
    others = [method for method, numbers in PUBLISHED_TABLES.items() if number not in numbers]
    controls = table["method"].astype(str).str.endswith(tuple(f"-{control}" for control in CONTROLS))
    table = table[~controls & ~table["method"].isin(others)]
    headline = (table["features"] == "cloome") & table["reproduced"].notna() & _is_headline(table, table["measure"])
    headline &= in_paper(table, number)
    return table[headline | table["paper"].notna()].assign(table=number)


def _of_other_splits(number: int, splits: set[str]) -> pd.DataFrame:
    """The published values of splits that no run has."""
    published = published_values(number).reindex(columns=COLUMNS_OF_TABLES).astype(WHOLE_NUMBERS)
    return published[~published["split"].isin(splits)].assign(table=number)


def _is_headline(rows: pd.DataFrame, measure: pd.Series) -> pd.Series:
    first = (measure == ACCURACY) & (rows["k"] == 1).fillna(False) & is_whole(rows)
    return first | (measure == MEAN_AUC)


def _against_chance(cell) -> str:
    """How a value lies to chance, in words."""
    if pd.isna(cell.chance) or pd.isna(cell.reproduced):
        return ""
    words = [f"{cell.reproduced / cell.chance:.1f} x chance"] if cell.metric == ACCURACY else []
    if pd.notna(cell.low):
        words.append(f"interval {position(cell.low, cell.high, cell.chance)} chance")
    return ", ".join(words)


def _signed(difference: float, metric: str) -> str:
    return "" if pd.isna(difference) else ("+" if difference > 0 else "") + show(difference, metric)
