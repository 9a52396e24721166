"""The drugs are real, and their structures, through the planted rule and nothing else, decide how cells look."""

import functools
import io
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest
import tifffile
from rdkit import Chem
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cloome.simulate.camera import photograph, plate_condition
from cloome.simulate.cells import STAINS, Textures, draw
from cloome.simulate.phenotype import CLASS_SHIFTS, TRAITS, looks
from cloome.simulate.structures import MECHANISMS, descriptors, drugs


def measures(image):
    """A few numbers of a channel after scaling to its own brightest pixel."""
    image = image / image.max()
    edges = [np.log((image - gaussian_filter(image, sigma)).std()) for sigma in (1, 2, 4)]
    return [image.mean(), image.std(), np.median(image), *edges]


@functools.cache
def well_measures(site, plate):
    """One row of measures per drug, standardised within the plate, in the order of the drug table."""
    with tarfile.open(site / f"metadata/Plate_{plate}.tar.gz") as packed:
        member = packed.extractfile(f"gigascience_upload/Plate_{plate}/profiles/mean_well_profiles.csv")
        wells = pd.read_csv(member).set_index("Metadata_Well")["Metadata_broad_sample"]
    rows = {}
    for channel in STAINS:
        with zipfile.ZipFile(site / f"images/plate_{plate}/{plate}-{channel}.zip") as packed:
            for name in packed.namelist():
                image = tifffile.imread(io.BytesIO(packed.read(name))).astype(np.float32)
                rows.setdefault(wells[name.split("_")[-3]], []).extend(measures(image))
    table = np.array([rows[broad_id] for broad_id in drugs()["broad_id"]])
    return (table - table.mean(axis=0)) / table.std(axis=0)


def class_accuracy(site):
    """Share of held-out molecules whose class is told from the mean of two images; chance is 1 in 14."""
    features = np.mean([well_measures(site, plate) for plate in ("90001", "90002")], axis=0)
    truth = drugs()["class"].to_numpy(dtype=object)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=1000))
    return (cross_val_predict(model, features, truth, cv=4) == truth).mean()


def test_structures_are_valid_different_and_enough():
    table = drugs()
    assert len(table) >= 64
    assert table["class"].nunique() >= 8
    assert (table["class"].value_counts() >= 6).all()
    assert all(Chem.MolFromSmiles(smiles) is not None for smiles in table["smiles"])
    assert all("." not in smiles for smiles in table["smiles"])
    for column in ("name", "smiles", "inchikey", "broad_id"):
        assert table[column].is_unique, column
    assert set(table["class"]) == set(MECHANISMS) == set(CLASS_SHIFTS)


@pytest.mark.parametrize(
    ("name", "inchikey"),
    [
        ("ampicillin", "AVKUERGKIZMTKX-NJBDSQKTSA-N"),
        ("dexamethasone", "UREBDLICKHMUKA-CXSFZGCWSA-N"),
        ("tetracycline", "OFVLGDICTFRJMM-WESIUVDSSA-N"),
        ("naproxen", "CMWTZPSULFXXJA-VIFPVBQESA-N"),
    ],
)
def test_structures_are_those_of_the_drugs(name, inchikey):
    assert drugs().set_index("name").loc[name, "inchikey"] == inchikey


def test_many_of_the_drugs_were_in_the_real_screen(real_data):
    real = pd.read_csv(real_data / "bray/labels/row-compound-index.csv")["INCHIKEY"]
    assert drugs()["inchikey"].isin(real).sum() >= 20


def test_descriptors_count_what_their_names_say():
    ciprofloxacin = descriptors("O=C(O)c1cn(C2CC2)c2cc(N3CCNCC3)c(F)cc2c1=O")
    assert ciprofloxacin["halogens"] == 1
    assert ciprofloxacin["carboxyls"] == 1
    assert ciprofloxacin["hydroxyls"] == 0
    assert ciprofloxacin["basic_nitrogens"] == 1
    assert ciprofloxacin["weight"] == pytest.approx(331.3, abs=0.1)
    assert descriptors("OCC(O)CO")["hydroxyls"] == 3
    assert descriptors("CC(=O)NC")["basic_nitrogens"] == 0


def test_look_follows_class_and_substituents_and_vanishes_without_effect():
    table = drugs()
    look = looks(table, 1.0)
    assert not looks(table, 0.0).any()
    np.testing.assert_allclose(looks(table, 0.5), 0.5 * look)
    same_class = table["class"].to_numpy()[:, None] == table["class"].to_numpy()
    distance = np.linalg.norm(look[:, None] - look, axis=2)
    assert distance[same_class].max() < np.median(distance[~same_class])
    assert (distance[same_class & ~np.eye(len(table), dtype=bool)] > 0).mean() > 0.95
    np.testing.assert_array_equal(looks(table.iloc[[5]], 1.0)[0], look[5])


def test_no_two_classes_shift_alike():
    shifts = pd.DataFrame(CLASS_SHIFTS).reindex(TRAITS).fillna(0).to_numpy().T
    distance = np.linalg.norm(shifts[:, None] - shifts, axis=2) + 9 * np.eye(len(shifts))
    assert distance.min() >= 2


def test_images_tell_the_class_of_held_out_molecules_only_with_the_rule(site, site_without_rule):
    assert class_accuracy(site) > 0.7
    assert class_accuracy(site_without_rule) < 0.2


def test_a_molecule_is_more_alike_on_two_plates_than_different_molecules(site, site_without_rule):
    def median_rank(folder):
        one, other = (well_measures(folder, plate) for plate in ("90001", "90002"))
        distance = np.linalg.norm(one[:, None] - other, axis=2)
        return np.median((distance < np.diag(distance)[:, None]).sum(axis=1) + 1)

    assert median_rank(site) < 15
    assert median_rank(site_without_rule) > 35


def test_nuisance_changes_the_picture_of_the_same_cells_and_can_be_switched_off():
    shape = (64, 64)
    stains = draw(np.zeros(len(TRAITS)), shape, Textures(0), np.random.default_rng(0))

    def picture(seed, nuisance):
        rng = np.random.default_rng(seed)
        return photograph(stains, plate_condition(shape, nuisance, rng), nuisance, rng)

    assert stains.shape == (5, *shape)
    assert stains.min() >= -0.05
    assert (picture(0, 1.0) != picture(1, 1.0)).mean() > 0.9
    np.testing.assert_array_equal(picture(0, 0.0), picture(1, 0.0))
