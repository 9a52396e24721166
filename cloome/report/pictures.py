"""Pictures of the gallery: false-colour composites of fields, and drawings of structures."""

import io
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image
from rdkit import Chem
from rdkit.Chem.Draw import rdMolDraw2D

from cloome.report.style import data_uri

WIDTH = 148  # pixels of a composite on the page
EXPOSURE = 1.3
# Blue against the warm colours of the scheme of Okabe and Ito (vermilion, yellow, orange, purple, green): told apart
# with any colour vision.
NUCLEI_COLOUR = (0.1, 0.4, 1.0)
OTHER_COLOURS = [(0.84, 0.37, 0.0), (0.94, 0.89, 0.26), (0.90, 0.60, 0.0), (0.80, 0.47, 0.65), (0.0, 0.62, 0.45)]


def channel_colours(channels: list[str], nuclei: str | None) -> np.ndarray:
    """Colour of each channel, float (C, 3), 0 to 1: blue for nuclei, the others from a fixed list."""
    others = [channel for channel in channels if channel != nuclei]
    colour = {name: OTHER_COLOURS[c % len(OTHER_COLOURS)] for c, name in enumerate(others)}
    return np.array([colour.get(channel, NUCLEI_COLOUR) for channel in channels])


def composite(image: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Add up the channels in their colours.

    Parameters
    ----------
    image : uint8 (C, H, W)
        A field.
    colours : float (C, 3)
        Red, green and blue share of each channel, 0 to 1.

    Returns
    -------
    uint8 (H, W, 3)
    """
    # The median is the background in most fields; without it five hazes add up to grey.
    background = np.median(image, axis=(1, 2), keepdims=True)
    signal = np.clip(image - background, 0, None) / np.maximum(255.0 - background, 1.0)
    light = np.tensordot(signal, colours, axes=(0, 0))
    # Five bright channels on one spot would clip to white; an exposure curve keeps their hues apart.
    return np.round(255 * (1 - np.exp(-EXPOSURE * light))).astype(np.uint8)


def thumbnail(rgb: np.ndarray) -> str:
    """A composite, made `WIDTH` pixels wide, as data URI of a PNG."""
    height = max(1, round(WIDTH * rgb.shape[0] / rgb.shape[1]))
    buffer = io.BytesIO()
    Image.fromarray(rgb).resize((WIDTH, height), Image.Resampling.LANCZOS).save(buffer, format="PNG", optimize=True)
    return data_uri(buffer.getvalue(), "png")


def structure(smiles: str, title: str) -> str | None:
    """Drawing of a structure as data URI of an SVG with a title, or None where RDKit cannot read it."""
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        return None
    drawer = rdMolDraw2D.MolDraw2DSVG(170, 125)
    drawer.drawOptions().clearBackground = False
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, molecule)
    drawer.FinishDrawing()
    text = drawer.GetDrawingText().replace("iso-8859-1", "UTF-8")
    before, end_of_header, drawing = text.partition("<!-- END OF HEADER -->")
    return data_uri(f"{before}<title>{escape(title)}</title>{end_of_header}{drawing}", "svg+xml")
