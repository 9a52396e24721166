"""The model in use: what is done to images and structures before the network sees them."""

import numpy as np
import pytest
import torch

from cloome.config import Molecules
from cloome.errors import CloomeError, FormatError
from cloome.images.intensity import to_uint8
from cloome.molecules.fingerprints import morgan
from cloome.use import IMAGES_AT_ONCE, Cloome


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def fields(dtype, shape=(2, 3, 40, 60)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype)


def test_structures_become_the_fingerprints_that_the_model_was_trained_on(checkpoint):
    smiles = ["CCO", "CC(=O)Oc1ccccc1C(O)=O"]
    embeddings = []
    for counts in (False, True):
        checkpoint.settings["molecules"] = Molecules(bits=8192, radius=2, counts=counts).model_dump()
        embeddings.append(Cloome(checkpoint).encode_molecules(smiles))
        fingerprints = torch.from_numpy(morgan(smiles, bits=8192, radius=2, counts=counts)).float()
        np.testing.assert_array_equal(embeddings[-1], checkpoint.network.encode_molecule(fingerprints).numpy())
    assert (embeddings[0] != embeddings[1]).any()


def test_images_are_embedded_whole(model):
    images = fields(np.uint8)
    embeddings = model.encode_images(images)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(embeddings, unit(images.mean(axis=(2, 3))), rtol=1e-5)


def test_sixteen_bit_fields_are_first_cut_and_scaled(model):
    images = fields(np.uint16)
    scaled = np.stack([[to_uint8(channel, 2.8e-5, 256) for channel in image] for image in images])
    np.testing.assert_array_equal(model.encode_images(images), model.encode_images(scaled))


def test_the_centre_is_cut_out_after_scaling(model):
    images = fields(np.uint16)
    images[:, :, :8] *= 4  # the brightest pixels lie outside of the centre
    scaled = np.stack([[to_uint8(channel) for channel in image] for image in images])
    found = model.encode_images(images, crop=(20, 32))
    np.testing.assert_array_equal(found, model.encode_images(scaled[:, :, 10:30, 14:46]))


def test_image_features_keep_their_length(model):
    images = fields(np.uint8)
    np.testing.assert_allclose(model.image_features(images), images.mean(axis=(2, 3)) / 2, rtol=1e-5)


def test_the_intensity_setting_decides_how_sixteen_bits_become_eight(checkpoint):
    images = fields(np.uint16, (1, 3, 200, 200))
    checkpoint.settings["images"]["intensity"] = "package"
    scaled = np.stack([[to_uint8(channel, 1e-4, 255) for channel in image] for image in images])
    model = Cloome(checkpoint)
    np.testing.assert_array_equal(model.encode_images(images), model.encode_images(scaled))
    checkpoint.settings["images"]["intensity"] = "none"
    with pytest.raises(FormatError, match="ready 8-bit images"):
        Cloome(checkpoint).encode_images(images)


def test_many_images_are_encoded_as_one_by_one(model):
    images = fields(np.uint8, (IMAGES_AT_ONCE + 3, 3, 32, 48))
    one_by_one = np.concatenate([model.encode_images(image[None]) for image in images])
    np.testing.assert_allclose(model.encode_images(images), one_by_one, rtol=1e-6)


def test_molecules_are_fingerprinted_as_in_training(model):
    smiles = ["CCO", "c1ccccc1O"]
    bits = morgan(smiles, bits=256)
    expected = unit(np.stack([bits[:, start::3].sum(axis=1) for start in range(3)], axis=1))
    np.testing.assert_allclose(model.encode_molecules(smiles), expected, rtol=1e-5)


def test_molecules_are_standardised_only_where_training_did_so(checkpoint):
    salt, base = ["OC(=O)c1ccccc1.NCCO"], ["OC(=O)c1ccccc1"]
    plain = Cloome(checkpoint)
    assert (plain.encode_molecules(salt) != plain.encode_molecules(base)).any()
    checkpoint.settings["molecules"]["standardise"] = True
    standardising = Cloome(checkpoint)
    np.testing.assert_array_equal(standardising.encode_molecules(salt), standardising.encode_molecules(base))


def test_nothing_gives_no_rows(model):
    assert model.encode_images(np.zeros((0, 3, 32, 48), np.uint8)).shape == (0, 3)
    assert model.encode_molecules([]).shape == (0, 3)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 2, 32, 48), np.uint8), r"\(1, 2, 32, 48\); this model takes \(N, 3, H, W\) .* DNA, ER, Mito"),
        (np.zeros((3, 32, 48), np.uint8), r"shape \(3, 32, 48\)"),
        (np.zeros((1, 3, 32, 48), np.float32), "float32; give 8 or 16 bit"),
    ],
)
def test_images_that_do_not_fit_are_refused(model, images, message):
    with pytest.raises(FormatError, match=message):
        model.encode_images(images)


def test_wrong_structures_and_devices_are_refused(model, checkpoint):
    with pytest.raises(FormatError, match="C1CC"):
        model.encode_molecules(["CCO", "C1CC"])
    with pytest.raises(CloomeError, match="a list of SMILES"):
        model.encode_molecules("CCO")
    with pytest.raises(CloomeError, match="no device 'abacus'"):
        Cloome(checkpoint, device="abacus")


def test_what_is_no_text_is_named_with_its_place(model):
    with pytest.raises(CloomeError, match="number 1 is None"):
        model.encode_molecules(["CCO", None])
