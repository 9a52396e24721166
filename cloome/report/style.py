"""The style of every figure, and figures as text that stands in the page itself: SVG, with a title."""

import base64
import io

import matplotlib
from matplotlib.figure import Figure

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
CHANCE = {"color": "#777777", "linestyle": (0, (1, 1.5)), "linewidth": 1.2}
LINES = ["-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2))]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]

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


def styled():
    """Context in which figures are drawn."""
    return matplotlib.rc_context(STYLE)


def look(number: int) -> dict:
    """Colour, dashes and marker of the line `number`, from 0; told apart without colours as well."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": LINES[number // len(COLOURS) % len(LINES)],
        "marker": MARKERS[number % len(MARKERS)],
    }


def svg(figure: Figure, title: str) -> str:
    """A figure as data URI of an SVG that names itself."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Title": title})
    return data_uri(buffer.getvalue(), "svg+xml")


def data_uri(content: bytes | str, kind: str) -> str:
    """An image as text that stands in the page itself; `kind` is ``png`` or ``svg+xml``."""
    content = content.encode() if isinstance(content, str) else content
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
