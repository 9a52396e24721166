"""``cloome gapnet``: the features of all images of an index by GapNet's published weights."""

import argparse
from pathlib import Path

from cloome.config import PAPER_CHANNELS, Running
from cloome.config_files import load_config
from cloome.data.fields import Fields
from cloome.data.image_features import ImageFeatures, write_image_features
from cloome.data.index import read_index
from cloome.data.near import copied_near
from cloome.embed.encode import gapnet_features
from cloome.errors import FormatError
from cloome.model.device import pick_device, require_gpu
from cloome.model.gapnet import load_gapnet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--config", nargs="+", required=True, help="configuration: of it, the section running")
    parser.add_argument("--plates", nargs="+", required=True, metavar="H5", help="plate stores, from `cloome images`")
    parser.add_argument(
        "--local-disk", metavar="DIR", help="folder of this machine that the plates are copied to first"
    )
    parser.add_argument("--index", required=True, metavar="PARQUET", help="index, from `cloome molecules`")
    parser.add_argument("--weights", required=True, metavar="FILE", help="gapnet.pth.tar, as published with hti-cnn")
    parser.add_argument("--out", required=True, metavar="H5", help="features to write")


def run(arguments: argparse.Namespace) -> None:
    """Write the features."""
    running = load_config(arguments.config).running
    gapnet(running, arguments.plates, arguments.index, arguments.weights, arguments.out, arguments.local_disk)


def gapnet(
    running: Running,
    plates: list[str],
    index: str | Path,
    weights: str | Path,
    out: str | Path,
    local_disk: str | Path | None = None,
) -> None:
    """Write GapNet's features of all images, in the order of the index.

    Raises
    ------
    FormatError
        If an input cannot be read, or the plates have other channels than those that GapNet was trained on.
    ConfigError
        If it must run on a GPU and there is none.
    """
    if running.gpu:
        require_gpu()
    network = load_gapnet(weights)
    keys = read_index(index)["sample_key"].to_numpy()
    with copied_near(plates, local_disk) as near:
        fields = Fields(near, keys)
        if fields.channels != PAPER_CHANNELS:
            raise FormatError(
                f"GapNet was trained on {', '.join(PAPER_CHANNELS)}, but the plates have {', '.join(fields.channels)}; "
                "write evaluate.gapnet: null"
            )
        features = gapnet_features(network, fields, pick_device(), running.readers)
    write_image_features(ImageFeatures(keys, features), out)
