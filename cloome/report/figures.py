"""Figures of the page: their style, training curves and the map of the embedding space. Self-contained data URIs."""

import base64
import io

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from cloome.report.held_out import HeldOut

# Paul Tol's qualitative scheme "muted": told apart with any colour vision. Grey is kept for "other".
COLOURS = [
    "#332288",
    "#CC6677",
    "#117733",
    "#DDCC77",
    "#88CCEE",
    "#882255",
    "#44AA99",
    "#999933",
    "#AA4499",
    "#661100",
]
OTHER_COLOUR = "#BBBBBB"
LINES = ["-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2))]
MAP_IMAGES = 1500  # more points hide each other
NAMED_MECHANISMS = len(COLOURS)
LARGEST_SVG = 300_000  # bytes; a larger figure is a PNG
OTHER, UNKNOWN = "other mechanism", "mechanism not known"

STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],  # an SVG repeats them at each text
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.fonttype": "none",
    "svg.hashsalt": "cloome",  # the same figure is the same file
}


def data_uri(content: bytes | str, kind: str) -> str:
    """An image as text that stands in the page itself; `kind` is ``png`` or ``svg+xml``."""
    content = content.encode() if isinstance(content, str) else content
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def picture(figure: Figure) -> str:
    """A figure as data URI: SVG, or PNG where the SVG is larger than `LARGEST_SVG`."""
    drawing = _svg(figure)
    return drawing if len(drawing) <= LARGEST_SVG else _png(figure)


def training_curves(logs: dict[str, pd.DataFrame]) -> str:
    """Loss, learning rate and inverse temperature by epoch, one line per run.

    Parameters
    ----------
    logs : dict of DataFrame
        Training logs by name of the run; a validation loss may be missing.

    Returns
    -------
    str
        SVG as data URI.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.0 + 0.18 * -(-len(logs) // 3)), layout="constrained")
        loss, rate, temperature = figure.subplots(1, 3)
        for number, (name, log) in enumerate(logs.items()):
            look = {"color": COLOURS[number % len(COLOURS)], "linewidth": 1.4}
            dashes = LINES[number // len(COLOURS) % len(LINES)]
            loss.plot(log["epoch"], log["train_loss"], label=name, linestyle=dashes, **look)
            known = log.dropna(subset="validation_loss")
            loss.plot(known["epoch"], known["validation_loss"], linestyle="", marker="o", markersize=2.5, **look)
            rate.plot(log["epoch"], log["learning_rate"], linestyle=dashes, **look)
            temperature.plot(log["epoch"], log["inv_tau"], linestyle=dashes, **look)
        loss.set(title="Loss (line: training, dots: validation)", xlabel="epoch", ylabel="loss")
        rate.set(title="Learning rate", xlabel="epoch", ylabel="learning rate")
        rate.ticklabel_format(axis="y", scilimits=(-2, 2))
        temperature.set(title="Inverse temperature", xlabel="epoch", ylabel="1 / tau")
        temperature.ticklabel_format(axis="y", useOffset=False)
        figure.legend(loc="outside lower center", ncols=3)
        return _svg(figure)


def embedding_map(held_out: HeldOut, seed: int) -> str:
    """Test images and test molecules in one plane, coloured by mechanism.

    Parameters
    ----------
    held_out : HeldOut
        At least three images and molecules together.
    seed : int
        Seed of the drawn images and of t-SNE.

    Returns
    -------
    str
        PNG as data URI.
    """
    rng = np.random.default_rng(seed)
    count = len(held_out.images)
    drawn = np.sort(rng.choice(count, min(MAP_IMAGES, count), replace=False))
    places = _plane(np.concatenate([held_out.images[drawn], held_out.structures]), seed)
    of_molecule = _mechanism_names(held_out.molecules["mechanism"])
    of_point = np.concatenate([of_molecule[held_out.molecule_of_image()[drawn]], of_molecule])
    is_image = np.arange(len(places)) < len(drawn)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 5.2), layout="constrained")
        axes = figure.subplots()
        for name, colour in _colours(of_molecule).items():
            here = of_point == name
            points, structures = places[here & is_image], places[here & ~is_image]
            axes.scatter(*points.T, s=9, color=colour, alpha=0.65, linewidths=0, label=name)
            axes.scatter(*structures.T, s=34, color=colour, marker="^", edgecolors="black", linewidths=0.5)
        axes.set(
            title="Circles: images; triangles: molecules", xlabel="t-SNE 1", ylabel="t-SNE 2", xticks=[], yticks=[]
        )
        figure.legend(loc="outside right upper", title="mechanism", alignment="left", markerscale=1.8)
        return _png(figure)


def _plane(points: np.ndarray, seed: int) -> np.ndarray:
    # Sums of several threads differ in the last digit, and t-SNE makes another picture of it.
    with threadpool_limits(1):
        tsne = TSNE(init="pca", metric="cosine", perplexity=min(30.0, (len(points) - 1) / 3), random_state=seed)
        return tsne.fit_transform(points)


def _mechanism_names(mechanisms: pd.Series) -> np.ndarray:
    """First mechanism of each molecule where it is among the most frequent ones, otherwise other or unknown."""
    first = mechanisms.str.split("|").str[0]
    counts = first[first != ""].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    named = first.where(first.isin(counts.index[:NAMED_MECHANISMS]), OTHER)
    return named.where(first != "", UNKNOWN).to_numpy(dtype=object)


def _colours(names: np.ndarray) -> dict[str, str]:
    """Colour of each mechanism; the common grey ones come first, so that they lie below."""
    present = set(names)
    grey = {name: OTHER_COLOUR for name in (UNKNOWN, OTHER) if name in present}
    return grey | dict(zip(sorted(present - set(grey)), COLOURS, strict=False))


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return data_uri(buffer.getvalue(), "svg+xml")


def _png(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return data_uri(buffer.getvalue(), "png")
