"""The plates at a glance: a strip over all plates, and maps of the wells of the most unusual ones."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cloome.data.plates import NOT_COUNTED
from cloome.report.style import COLOURS, styled, svg

LAYOUTS = [(8, 12), (16, 24), (32, 48)]  # rows and columns of plates of 96, 384 and 1536 wells
PLATES_SHOWN = 6
PLATES_NAMED = 40  # on the strip's axis; of more plates every second, third ... is named
NO_FIELD = "#DADDE1"
COLOUR_MAP = "viridis"
WIDTH, HEIGHT = 3.2, 2.1  # inches of one map
MAD_TO_STD, MEAN_TO_STD = 1.4826, 1.2533  # of the normal distribution, for absolute deviations


def map_measures(index: pd.DataFrame, channels: list[str], nuclei: str | None) -> dict[str, str]:
    """What the maps show, by column of the index: its title.

    Parameters
    ----------
    index : DataFrame
        The index; a measure that it lacks, or holds for no field, has no map.
    channels : list of str
        Channels of the screen.
    nuclei : str or None
        The channel whose focus and intensity are shown; None: the first.
    """
    channel = nuclei or channels[0]
    titles = {
        "cell_count": "nuclei per field",
        f"focus_{channel}": f"focus of {channel}",
        f"mean_{channel}": f"mean intensity of {channel}",
    }
    values = _counted(index)
    return {column: title for column, title in titles.items() if column in index and values[column].notna().any()}


def plate_maps(index: pd.DataFrame, measures: dict[str, str]) -> tuple[str, list[str]]:
    """Maps of the plates that deviate most from the screen: one row per plate, one column per measure.

    Parameters
    ----------
    index : DataFrame
        The index.
    measures : dict of str
        Columns to show, at least one, and their titles.

    Returns
    -------
    picture : str
        SVG as data URI. Each well has the median over its fields; the maps of a measure share one scale of colours.
    plates : list of str
        The plates shown, the most unusual first.
    """
    wells = well_medians(index, list(measures))
    plates = most_unusual(wells)
    shown = wells.loc[plates]
    layout = smallest_layout(shown.index.get_level_values("well"))
    with styled():
        size = (WIDTH * len(measures) + 0.3, HEIGHT * len(plates) + 0.5)
        figure = Figure(figsize=size, layout="constrained", dpi=150)
        grid = figure.subplots(len(plates), len(measures), squeeze=False)
        for column, (measure, title) in enumerate(measures.items()):
            scale = colour_scale(shown[measure])
            for axes, plate in zip(grid[:, column], plates, strict=True):
                _draw(axes, plate_grid(shown.loc[plate, measure], layout), scale)
            place = {"location": "top", "aspect": 40, "pad": 0.1 / len(plates)}
            figure.colorbar(scale, ax=grid[:, column], extend="both", label=title, **place).outline.set_visible(False)
        for axes, plate in zip(grid[:, 0], plates, strict=True):
            _name_rows(axes, layout[0])
            axes.set_ylabel(f"plate {plate}", fontsize=9)
        return svg(figure, "Maps of the wells of plates " + ", ".join(plates)), plates


def plate_strip(index: pd.DataFrame) -> str:
    """Number of nuclei, share of blurry and of saturated fields of every plate, in the order of the plates' names.

    Returns
    -------
    str
        SVG as data URI. Without counted nuclei, the two shares alone.
    """
    plates = _counted(index).groupby("plate", sort=True).agg(
        cell_count=("cell_count", "median"), blurry=("is_blurry", "mean"), saturated=("is_saturated", "mean")
    )  # fmt: skip
    panels = {
        "median nuclei per field": plates["cell_count"],
        "blurry fields, %": 100 * plates["blurry"],
        "saturated fields, %": 100 * plates["saturated"],
    }
    panels = {title: values for title, values in panels.items() if values.notna().any()}
    with styled():
        figure = Figure(figsize=(9.6, 1.15 * len(panels) + 0.6), layout="constrained")
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (title, values) in zip(grid, panels.items(), strict=True):
            axes.plot(np.arange(len(values)), values, linestyle="", marker="o", markersize=2.5, color=COLOURS[0])
            axes.set_title(title)
            axes.set_ylim(0, max(1.0, 1.1 * values.max()))
            axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        named = np.arange(0, len(plates), -(-len(plates) // PLATES_NAMED))
        grid[-1].set_xticks(named, plates.index[named], rotation=90, fontsize=7)
        grid[-1].set_xlabel("plate")
        return svg(figure, "Nuclei, blurry and saturated fields of every plate")


def well_medians(index: pd.DataFrame, measures: list[str]) -> pd.DataFrame:
    """Median over the fields of each well, by plate and well; nuclei that were not counted do not count."""
    return _counted(index).groupby(["plate", "well"], sort=True)[measures].median()


def colour_scale(values: pd.Series) -> ScalarMappable:
    """Colours from the 1st to the 99th percentile, so that a few extreme wells leave the others apart."""
    low, high = np.nanpercentile(values, [1, 99])
    return ScalarMappable(Normalize(low, high if high > low else low + 1), COLOUR_MAP)


def most_unusual(wells: pd.DataFrame) -> list[str]:
    """The plates whose medians lie farthest from those of the other plates, at most `PLATES_SHOWN`.

    Parameters
    ----------
    wells : DataFrame
        Measures by plate and well.

    Returns
    -------
    list of str
        By the largest absolute robust z-score (deviation from the median over plates, in units of the median absolute
        deviation) of any measure; ties by name.
    """
    plates = wells.groupby(level="plate", sort=True).median()
    away = (plates - plates.median()).abs()
    # Where most plates agree exactly, the median deviation is 0 and the mean one stands in for it.
    spread = (MAD_TO_STD * away.median()).where(away.median() > 0, MEAN_TO_STD * away.mean())
    score = (away / spread.where(spread > 0)).fillna(0.0).max(axis=1)
    return score.sort_values(ascending=False, kind="stable").index[:PLATES_SHOWN].tolist()


def places(wells: pd.Index) -> pd.DataFrame:
    """Row and column of each well, from 0: A01 is (0, 0), P24 (15, 23), AF48 (31, 47)."""
    parts = wells.to_series(index=range(len(wells))).str.extract(r"^([A-Z]?)([A-Z])(\d+)$")
    letters = [parts[column].map(lambda letter: ord(letter) - ord("A") + 1 if letter else 0) for column in (0, 1)]
    return pd.DataFrame({"row": 26 * letters[0] + letters[1] - 1, "column": parts[2].astype(int) - 1})


def smallest_layout(wells: pd.Index) -> tuple[int, int]:
    """Rows and columns of the smallest of `LAYOUTS` that has all wells, or just enough for those that exceed it."""
    rows, columns = places(wells.unique()).max() + 1
    fitting = [layout for layout in LAYOUTS if rows <= layout[0] and columns <= layout[1]]
    return fitting[0] if fitting else (int(rows), int(columns))


def plate_grid(values: pd.Series, layout: tuple[int, int]) -> np.ndarray:
    """Values by well as float64 (rows, columns); NaN where there is none."""
    grid = np.full(layout, np.nan)
    place = places(values.index)
    grid[place["row"], place["column"]] = values
    return grid


def _counted(index: pd.DataFrame) -> pd.DataFrame:
    """The index with NaN for nuclei that were not counted."""
    return index.assign(cell_count=index["cell_count"].where(index["cell_count"] != NOT_COUNTED))


def _draw(axes: Axes, grid: np.ndarray, scale: ScalarMappable) -> None:
    rows, columns = grid.shape
    # Hundreds of wells as vectors would make the page several times larger.
    axes.pcolormesh(np.ma.masked_invalid(grid), cmap=scale.cmap, norm=scale.norm, rasterized=True)
    axes.set(aspect="equal", ylim=(rows, 0), facecolor=NO_FIELD, yticks=[])
    named = np.arange(0, columns, max(1, columns // 12))
    axes.set_xticks(named + 0.5, [str(column + 1) for column in named])
    axes.tick_params(length=0, labelsize=6, pad=1.5, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)


def _name_rows(axes: Axes, rows: int) -> None:
    named = np.arange(0, rows, max(1, rows // 16))
    axes.set_yticks(named + 0.5, [_letters(row) for row in named])


def _letters(row: int) -> str:
    """Name of a row: A to Z, then AA, AB ..."""
    return (chr(ord("A") + row // 26 - 1) if row >= 26 else "") + chr(ord("A") + row % 26)
