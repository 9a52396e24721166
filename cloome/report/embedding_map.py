"""The map of the embedding space: test images and molecules in one plane, coloured by what they share."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from cloome.report.held_out import HeldOut
from cloome.report.style import COLOURS, OTHER_COLOUR, styled, svg

MAP_IMAGES = 1500  # more points hide each other
NAMED = len(COLOURS)
UNKNOWN = "not known"
NAME_LENGTH = 28  # a longer name would take the legend's room from the map


def embedding_map(held_out: HeldOut, seed: int) -> str:
    """Test images and test molecules in one plane, coloured by molecule, by mechanism and by plate.

    Parameters
    ----------
    held_out : HeldOut
        At least three images and molecules together.
    seed : int
        Seed of the drawn images and of t-SNE.

    Returns
    -------
    str
        SVG as data URI; its points are an image within it, as thousands of them would make the page several times
        larger.
    """
    rng = np.random.default_rng(seed)
    count = len(held_out.images)
    drawn = np.sort(rng.choice(count, min(MAP_IMAGES, count), replace=False))
    places = _plane(np.concatenate([held_out.images[drawn], held_out.structures]), seed)
    of_image = held_out.molecule_of_image()[drawn]
    molecules = pd.Series(held_out.molecules["name"]).where(held_out.molecules["name"] != "", UNKNOWN)
    mechanisms = held_out.molecules["mechanism"].str.split("|").str[0].replace("", UNKNOWN)
    names = {
        "molecule": np.concatenate([molecules.iloc[of_image], molecules]),
        "mechanism": np.concatenate([mechanisms.iloc[of_image], mechanisms]),
        "plate": np.concatenate([held_out.fields["plate"].astype(str).iloc[drawn], [""] * len(molecules)]),
    }
    with styled():
        figure = Figure(figsize=(9.6, 6.2), layout="constrained", dpi=130)
        for axes, (what, of_point) in zip(figure.subplots(1, 3), names.items(), strict=True):
            _draw(axes, places, np.arange(len(places)) < len(drawn), most_frequent(of_point))
            axes.set_title(f"by {what}")
        return svg(figure, "Map of the embedding space by molecule, mechanism and plate")


def most_frequent(names: np.ndarray) -> np.ndarray:
    """The names of each point where they are among the most frequent ones; otherwise others, unknown or empty."""
    counts = pd.Series(names[(names != "") & (names != UNKNOWN)]).value_counts()
    # Names that are equally frequent follow the alphabet, so that the same points give the same picture.
    ordered = counts.sort_index().sort_values(ascending=False, kind="stable").index
    kept = np.isin(names, [*ordered[:NAMED], UNKNOWN, ""])
    return np.where(kept, names, f"{len(ordered) - NAMED} others")


def _draw(axes: Axes, places: np.ndarray, is_image: np.ndarray, of_point: np.ndarray) -> None:
    for name, colour in _colours(of_point).items():
        here = of_point == name
        points, structures = places[here & is_image], places[here & ~is_image]
        label = name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"
        look = {"color": colour, "rasterized": True}
        axes.scatter(*points.T, s=8, alpha=0.65, linewidths=0, label=label if name else None, **look)
        axes.scatter(*structures.T, s=18, marker="^", edgecolors="black", linewidths=0.4, **look)
    axes.set(xlabel="t-SNE 1", ylabel="t-SNE 2", xticks=[], yticks=[], box_aspect=1)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), fontsize=7, markerscale=1.8, handletextpad=0.2)


def _plane(points: np.ndarray, seed: int) -> np.ndarray:
    # Sums of several threads differ in the last digit, and t-SNE makes another picture of it.
    with threadpool_limits(1):
        tsne = TSNE(init="pca", metric="cosine", perplexity=min(30.0, (len(points) - 1) / 3), random_state=seed)
        return tsne.fit_transform(points)


def _colours(names: np.ndarray) -> dict[str, str]:
    """Colour of each name; the common grey ones come first, so that they lie below."""
    present = set(names)
    grey = {name: OTHER_COLOUR for name in sorted(present) if name in ("", UNKNOWN) or name.endswith(" others")}
    return grey | dict(zip(sorted(present - set(grey)), COLOURS, strict=False))
