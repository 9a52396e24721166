"""GapNet's features are those of whole fields, in the order of the index."""

import numpy as np
import pandas as pd
import pytest
import torch

from cloome.config import PAPER_CHANNELS, Running
from cloome.data.image_features import read_image_features
from cloome.data.index import write_index
from cloome.data.plates import Field, write_plate
from cloome.embed.gapnet_command import gapnet
from cloome.errors import FormatError
from cloome.model.gapnet import GapNet


@pytest.fixture
def network(tmp_path):
    torch.manual_seed(0)
    network = GapNet().eval()
    weights = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"state_dict": weights}, tmp_path / "gapnet.pth.tar")
    return network


def plates_of(folder, channels):
    """Two plates of two fields each, of different sizes; their images by sample key."""
    random, images = np.random.default_rng(0), {}
    for plate, size in {"P1": (40, 72), "P2": (64, 48)}.items():
        shape = (len(channels), *size)
        fields = [Field("A01", site, random.integers(0, 256, shape, dtype=np.uint8), 1) for site in (1, 2)]
        write_plate(folder / f"{plate}.h5", plate, channels, fields, "test", {})
        images |= {f"{plate}-A01-{field.site}": field.image for field in fields}
    return images


def test_features_are_those_of_each_whole_field_alone(tmp_path, network):
    images = plates_of(tmp_path, PAPER_CHANNELS)
    keys = ["P2-A01-1", "P1-A01-2", "P2-A01-2", "P1-A01-1"]
    write_index(pd.DataFrame({"sample_key": keys}), tmp_path / "index.parquet")
    plates = [str(tmp_path / f"{plate}.h5") for plate in ("P1", "P2")]
    gapnet(Running(), plates, tmp_path / "index.parquet", tmp_path / "gapnet.pth.tar", tmp_path / "gapnet.h5")
    found = read_image_features(tmp_path / "gapnet.h5")
    assert found.sample_key.tolist() == keys
    with torch.inference_mode():
        for key, features in zip(keys, found.values, strict=True):
            expected = network.features(torch.from_numpy(images[key][None].copy()))[0].numpy()
            np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-3)


def test_plates_with_other_channels_are_refused(tmp_path, network):
    plates_of(tmp_path, sorted(PAPER_CHANNELS))
    write_index(pd.DataFrame({"sample_key": ["P1-A01-1"]}), tmp_path / "index.parquet")
    with pytest.raises(FormatError, match="GapNet was trained on Mito, ERSyto"):
        gapnet(
            Running(),
            [str(tmp_path / "P1.h5")],
            tmp_path / "index.parquet",
            tmp_path / "gapnet.pth.tar",
            tmp_path / "gapnet.h5",
        )
    assert not (tmp_path / "gapnet.h5").exists()
