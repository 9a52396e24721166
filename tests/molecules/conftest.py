"""A small archive screen: two plates with the wells A01 to A04, two sites each, and three compounds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from cloome.config import Config
from cloome.data.index import read_index
from cloome.data.molecules import read_molecules
from cloome.data.plates import Field, write_plate
from cloome.data.refused import beside, read_refused, write_refused
from cloome.molecules.command import build


class SmallScreen:
    """Writes the inputs of the stage and runs it."""

    # (well, role, compound, concentration); GigaDB writes the wells in small letters
    wells = (
        ("a01", "treated", "BRD-1", 0.005),
        ("a02", "treated", "BRD-2", 0.005),
        ("a03", "treated", "BRD-3", 0.01),
        ("a04", "mock", "DMSO", None),
    )
    # (id, SMILES, name, mechanism)
    compounds = (
        ("BRD-1", "CCO", "ethanol", "solvent|antiseptic"),
        ("BRD-2", "OC(=O)c1ccccc1", "", ""),
        ("BRD-3", "C[C@H](N)C(=O)O", "NA", "food"),
    )

    def __init__(self, folder: Path):
        self.folder, self.resources = folder, folder / "resources"
        for plate in ("1", "2"):
            self.write_wells(plate, self.wells)
        self.stores = [self.write_store(plate) for plate in ("1", "2")]
        self.write_compounds(self.compounds)

    def write_wells(self, plate: str, wells) -> None:
        """The well table of a plate, as GigaDB ships it."""
        folder = self.resources / "plates" / plate
        folder.mkdir(parents=True, exist_ok=True)
        names = ["Well", "ASSAY_WELL_ROLE", "broad_sample", "mmoles_per_liter"]
        table = pd.DataFrame(wells, columns=[f"Metadata_{name}" for name in names])
        table = table.assign(Metadata_Plate=plate, Metadata_Plate_Map_Name="H-BIOA-001", Cells_AreaShape_Area=1.0)
        table.to_csv(folder / "mean_well_profiles.csv", index=False)

    def write_quality(self, plate: str, rows) -> None:
        """The quality table of a plate; rows of (well, site, isBlurry, isSaturated)."""
        table = pd.DataFrame(rows, columns=["Well", "Site", "isBlurry", "isSaturated"])
        table.assign(Image_Metadata_Plate=plate).to_csv(self.resources / "plates" / plate / "qc.csv", index=False)

    def write_compounds(self, rows) -> None:
        table = pd.DataFrame(rows, columns=["BROAD_ID", "CPD_SMILES", "CPD_NAME", "moa"])
        table.to_csv(self.resources / "compounds.csv", index=False)

    def write_store(self, plate: str, wells=("A01", "A02", "A03", "A04"), channels=("DNA", "ER"), sites=(1, 2)) -> str:
        """A plate store of tiny images, grey value 10 x well + site; a well's number is also its cell count."""
        path = self.folder / f"{plate}.h5"
        fields = [
            Field(well, site, np.full((len(channels), 4, 4), 10 * w + site, np.uint8), cell_count=w)
            for w, well in enumerate(wells)
            for site in sites
        ]
        write_plate(path, plate, list(channels), fields, source="test", settings={})
        self.refuse(plate, [])
        return str(path)

    def refuse(self, plate: str, rows) -> None:
        """What the stage images refused of a plate; rows of (item, reason)."""
        write_refused(beside(self.folder / f"{plate}.h5"), rows)

    def config(self, screen: dict | None = None, **sections) -> Config:
        archive = {"kind": "archives", "name": "small", "plates": ["1", "2"], "compounds": {"mechanism": "moa"}}
        values = {"images": {"nuclei": "DNA"}, "model": {"normalisation": "measured"}, **sections}
        # One compound of three is a third: most tests are not about the limit.
        values["quality"] = {"refused_limit": 1.0, **values.get("quality", {})}
        return Config.model_validate({"screen": {**(screen or archive), "channels": ["DNA", "ER"]}, **values})

    def write_config(self, **sections) -> str:
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(self.config(**sections).model_dump()))
        return str(path)

    def build(self, config: Config | None = None):
        """Run the stage; returns index, molecules, refused."""
        index, molecules = self.folder / "index.parquet", self.folder / "molecules.h5"
        build(config or self.config(), self.stores, self.resources, index, molecules)
        return read_index(index), read_molecules(molecules), read_refused(self.folder / "molecules.refused.csv")


@pytest.fixture
def screen(tmp_path) -> SmallScreen:
    return SmallScreen(tmp_path)
