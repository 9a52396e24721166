"""Rules that share out molecules, or wells, to train, validation and test."""

import numpy as np
import pandas as pd

from cloome.config import RandomSplit, ReplicateSplit, ScaffoldSplit
from cloome.errors import FormatError

TRAIN, VALIDATION, TEST = "train", "validation", "test"


def random_split(inchikeys: list[str], settings: RandomSplit) -> pd.DataFrame:
    """Draw molecules for test and validation; the rest is for training.

    Parameters
    ----------
    inchikeys : list of str
        Distinct molecules; their order does not matter.
    settings : RandomSplit
        Shares of the molecules, and the seed.

    Returns
    -------
    DataFrame
        inchikey, part; sorted by InChIKey.
    """
    molecules = sorted(inchikeys)
    order = np.random.default_rng(settings.seed).permutation(len(molecules))
    test = round(settings.test * len(molecules))
    validation = round(settings.validation * len(molecules))
    part = np.full(len(molecules), TRAIN, dtype=object)
    part[order[:test]] = TEST
    part[order[test : test + validation]] = VALIDATION
    return pd.DataFrame({"inchikey": molecules, "part": part})


def scaffold_groups(molecules: pd.DataFrame) -> pd.Series:
    """The group of each molecule: its Murcko scaffold; acyclic molecules have none and are a group each.

    Parameters
    ----------
    molecules : DataFrame
        Columns inchikey, scaffold.
    """
    return molecules["scaffold"].where(molecules["scaffold"] != "", molecules["inchikey"])


def scaffold_split(molecules: pd.DataFrame, settings: ScaffoldSplit) -> pd.DataFrame:
    """Draw whole scaffolds for test and validation until their shares of the molecules are met.

    Scaffolds come in random order, and one that would overfill a part is passed over, so that the few scaffolds
    with very many molecules tend to be for training. The rule of the paper is not known (FACTS 1.8).

    Parameters
    ----------
    molecules : DataFrame
        Columns inchikey, scaffold; distinct molecules in any order.
    settings : ScaffoldSplit
        Shares of the molecules, and the seed.

    Returns
    -------
    DataFrame
        inchikey, part; sorted by InChIKey.
    """
    molecules = molecules.sort_values("inchikey", ignore_index=True)
    groups = scaffold_groups(molecules)
    sizes = groups.value_counts().sort_index()
    sizes = sizes.iloc[np.random.default_rng(settings.seed).permutation(len(sizes))]
    part = pd.Series(TRAIN, index=sizes.index)
    for name, share in ((TEST, settings.test), (VALIDATION, settings.validation)):
        part[_fill(sizes[part == TRAIN], share * len(molecules))] = name
    return pd.DataFrame({"inchikey": molecules["inchikey"], "part": groups.map(part)})


def _fill(sizes: pd.Series, wanted: float) -> list[str]:
    """Names of groups, taken in their order, whose sizes add up to about `wanted`."""
    taken, room = [], round(wanted)
    for name, size in sizes.items():
        if size <= room:
            taken.append(name)
            room -= size
    rest = sizes.drop(taken)
    # Where even the smallest group left is too large, a little too many can be closer than too few.
    if room > 0 and len(rest) and rest.min() - room < room:
        taken.append(rest.idxmin())
    return taken


def replicate_split(index: pd.DataFrame, settings: ReplicateSplit) -> pd.DataFrame:
    """Hold out one replicate plate of each treatment, that is, of each molecule at each concentration.

    A treatment's plates are counted in the order of their names, starting again after the last. A treatment that
    is on one plate only is for training.

    Parameters
    ----------
    index : DataFrame
        Columns plate, well, inchikey, concentration; rows without a molecule are left out.
    settings : ReplicateSplit
        Which replicate is held out.

    Returns
    -------
    DataFrame
        plate, well, part; sorted by plate and well. Parts are train and test only.
    """
    treatment = ["inchikey", "concentration"]
    wells = index.loc[index["inchikey"] != "", ["plate", "well", *treatment]].drop_duplicates()
    wells = wells.sort_values(["plate", "well"], ignore_index=True)
    plates = wells.drop_duplicates([*treatment, "plate"])
    # A concentration that is not known is a value of its own here.
    grouped = plates.groupby(treatment, dropna=False)["plate"]
    position, count = grouped.cumcount(), grouped.transform("size")
    held_out = plates[(count > 1) & (position == settings.held_out % count)]
    wells = wells.merge(held_out[[*treatment, "plate"]].assign(part=TEST), how="left", on=[*treatment, "plate"])
    return wells[["plate", "well"]].assign(part=wells["part"].fillna(TRAIN))


def published_split(inchikeys: list[str], train: set[str], test: set[str]) -> pd.DataFrame:
    """The authors' split: molecules that stand in neither of their two tables are for validation (FACTS 1.8).

    Parameters
    ----------
    inchikeys : list of str
        Distinct molecules of the screen.
    train, test : set of str
        InChIKeys of the authors' tables.

    Raises
    ------
    FormatError
        If a molecule stands in both tables, or a table has no molecule of the screen.
    """
    both = sorted(train & test)
    if both:
        raise FormatError(
            f"{len(both)} molecules stand both in the table of training and of test images, the first {both[0]}; "
            "these are not the two tables of one split"
        )
    for name, table in ((TRAIN, train), (TEST, test)):
        if not table & set(inchikeys):
            raise FormatError(
                f"none of the {len(table)} molecules of the published {name} table is in this screen; use this split "
                "with the plates that it was made for, or another split"
            )
    molecules = pd.Series(sorted(inchikeys))
    part = np.select([molecules.isin(test), molecules.isin(train)], [TEST, TRAIN], VALIDATION)
    return pd.DataFrame({"inchikey": molecules, "part": part})
