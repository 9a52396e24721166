"""Each table of the published screen, small and with its real columns, goes through the reader that the project has.

Columns as in FACTS 2.1, 2.3, 5.2, 5.3 and 5.5; where real files are at hand, these are read as well.
"""

import numpy as np
import pandas as pd
import pytest

from cloome.config import ArchiveScreen, LoadDataScreen, PublishedSplit
from cloome.config_files import load_config
from cloome.data.labels import read_labels
from cloome.data.wells import plate_names, read_load_data, read_profiles, read_quality
from cloome.molecules.compounds import read_compounds
from cloome.molecules.split_command import make_split

ANNOTATIONS = (
    "BROAD_ID,CPD_NAME,CPD_NAME_TYPE,CPD_SAMPLE_ID,DOS_LIBRARY,SOURCE_NAME,CHEMIST_NAME,VENDOR_CATALOG_ID,CPD_SMILES,"
    "USERCOMMENT\n"
    "BRD-K18438502-001-02-6,NA,INN,SA84711,,Prestwick,,1234,CC(=O)Oc1ccccc1C(O)=O,\n"
    'BRD-A00100033-001-08-6,"name, with comma",primary-common,,DOS,Broad,,,CCO,"a ""comment"""\n'
)
GALLERY_COMPOUNDS = (
    "broad_sample\tcpd_name\tcpd_name_type\tcpd_sample_id\tpert_type\tcontrol_type\tdos_library\tsource_name\t"
    "chemist_name\tvendor_catalog_id\tuser_comment\tsmiles\n"
    "BRD-K18438502-001-02-6\tNA\tINN\tSA84711\ttrt\t\t\tPrestwick\t\t1234\t\tCC(=O)Oc1ccccc1C(O)=O\n"
    "DMSO\tDMSO\tINN\t\tcontrol\tnegcon\t\t\t\t\t\tCS(C)=O\n"
)
PROFILES = (
    "Metadata_Plate,Metadata_Well,Metadata_Assay_Plate_Barcode,Metadata_Plate_Map_Name,Metadata_well_position,"
    "Metadata_ASSAY_WELL_ROLE,Metadata_broad_sample,Metadata_mmoles_per_liter,Metadata_solvent,Metadata_pert_id,"
    "Metadata_pert_mfc_id,Metadata_pert_well,Metadata_pert_id_vendor,Metadata_cell_id,Metadata_broad_sample_type,"
    "Metadata_pert_vehicle,Metadata_pert_type,Cells_AreaShape_Area,Nuclei_Texture_Variance_RNA_5_0\n"
    "24277,a01,24277,H-BIOA-004-3,A01,mock,DMSO,0,DMSO,,,A01,,,,DMSO,control,0.1,nan\n"
    "24277,p24,24277,H-BIOA-004-3,P24,treated,BRD-K18438502-001-02-6,5.0505,DMSO,BRD-K18438502,"
    "BRD-K18438502-001-02-6,P24,,U2OS,trt,DMSO,trt,-0.2,1.5\n"
)
QUALITY = "Image_Metadata_Plate,Well,Site,isSaturated,isBlurry\n"
SPLIT_COLUMNS = (
    "SAMPLE_KEY,BROAD_ID,PLATE_ID,WELL_POSITION,SITE,SAMPLE_ID,CPD_NAME,CPD_NAME_TYPE,SMILES,INCHIKEY,IMG_ERSyto,"
    "IMG_ERSytoBleed,IMG_Hoechst,IMG_Mito,IMG_Ph_golgi,IMG_CNT_CELLS,ROW_NR_LABEL_MAT\n"
)
MECHANISMS = "BROAD_ID,SMILES,SCAFFOLD,MOA\nBRD-K18438502-001-02-6,CC,CC,cyclooxygenase inhibitor|platelet inhibitor\n"


@pytest.fixture
def write(tmp_path):
    def file(name: str, text: str):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return file


def archive_screen(root, **values) -> ArchiveScreen:
    """The screen of config/paper.yaml."""
    return load_config([root / "config/paper.yaml"]).screen.model_copy(update=values)


def test_the_compound_table_of_gigadb(root, write, tmp_path):
    write("compounds.csv", ANNOTATIONS)
    compounds = read_compounds(archive_screen(root, mechanisms=None), tmp_path)
    assert compounds.values.tolist() == [
        ["BRD-K18438502-001-02-6", "CC(=O)Oc1ccccc1C(O)=O", "NA", ""],
        ["BRD-A00100033-001-08-6", "CCO", "name, with comma", ""],
    ]


def test_the_mechanism_table_of_the_bioactive_compounds(root, write, tmp_path):
    write("compounds.csv", ANNOTATIONS)
    write("mechanisms.csv", MECHANISMS)
    compounds = read_compounds(archive_screen(root), tmp_path)
    assert compounds["mechanism"].tolist() == ["cyclooxygenase inhibitor|platelet inhibitor", ""]


def test_the_real_compounds_and_mechanisms(root, real_data, tmp_path):
    pd.read_csv(real_data / "bray/compounds_16978.csv.gz").to_csv(tmp_path / "compounds.csv", index=False)
    (tmp_path / "mechanisms.csv").write_bytes((real_data / "bray/compounds_moa.csv").read_bytes())
    columns = archive_screen(root).compounds.model_copy(update={"name": None})
    compounds = read_compounds(archive_screen(root, compounds=columns), tmp_path)
    assert len(compounds) == 16_978
    assert (compounds["smiles"] != "").all()
    assert (compounds["mechanism"] != "").sum() > 100


def load_data_screen(folder, **values) -> LoadDataScreen:
    compounds = {"path": str(folder / "cdrp_compounds.tsv"), "id": "broad_sample", "smiles": "smiles"}
    return LoadDataScreen(
        kind="load_data",
        name="gallery",
        load_data=str(folder / "load_data.csv"),
        compounds=compounds | {"name": "cpd_name"},
        **{"channels": ["DNA", "ER", "RNA", "AGP", "Mito"], **values},
    )


def test_the_compound_table_of_the_gallery(write, tmp_path):
    write("cdrp_compounds.tsv", GALLERY_COMPOUNDS)
    compounds = read_compounds(load_data_screen(tmp_path), None)
    assert compounds["compound"].tolist() == ["BRD-K18438502-001-02-6", "DMSO"]
    assert compounds["name"].tolist() == ["NA", "DMSO"]


def test_a_load_data_table_of_the_gallery_with_its_compounds_joined(write, tmp_path):
    """As the Gallery writes it, but for the two columns on the compound, which docs/sources.md says how to join."""
    stains = ["DNA", "ER", "RNA", "AGP", "Mito"]
    columns = [f"{kind}_Orig{stain}" for stain in stains for kind in ("FileName", "PathName")]
    files = [text for number in range(1, 6) for text in (f"cdp2bioactives_a01_s1_w{number}4a.tif", "/images/24277")]
    metadata = ["Metadata_Plate", "Metadata_Well", "Metadata_Site"]
    joined = ["Metadata_broad_sample", "Metadata_mmoles_per_liter"]
    row = [*files, "24277", "A01", "1", "BRD-K18438502-001-02-6", "5.0505"]
    write("load_data.csv", f"{','.join([*columns, *metadata, *joined])}\n{','.join(row)}\n")
    screen = load_data_screen(tmp_path)
    fields = read_load_data(screen)
    assert plate_names(screen) == ["24277"]
    assert fields[["plate", "well", "site", "role", "concentration"]].values.tolist() == [
        ["24277", "A01", 1, "treated", 5.0505]
    ]
    assert fields["path_Mito"].tolist() == ["/images/24277/cdp2bioactives_a01_s1_w54a.tif"]


def test_the_real_load_data_table(real_data):
    screen = load_data_screen(
        real_data / "bbbc021", channels=["DNA", "Tubulin", "Actin"], compound_column="Metadata_pert_iname"
    )
    fields = read_load_data(screen)
    assert len(fields) == 372
    assert len(plate_names(screen)) == 24


def test_the_well_profiles_of_a_plate(write):
    wells = read_profiles(write("mean_well_profiles.csv", PROFILES))
    assert wells.values.tolist() == [
        ["24277", "A01", "mock", "DMSO", 0.0, "H-BIOA-004-3"],
        ["24277", "P24", "treated", "BRD-K18438502-001-02-6", 5.0505, "H-BIOA-004-3"],
    ]


def test_the_quality_flags_of_a_plate(write):
    flags = read_quality(write("qc.csv", QUALITY + "24277,a01,1,0,0\n24277,a01,2,1,0\n24277,p24,6,0,1\n"))
    assert flags.values.tolist() == [
        ["24277", "A01", 1, False, False],
        ["24277", "A01", 2, False, True],
        ["24277", "P24", 6, True, False],
    ]


def test_the_flags_of_a_plate_without_any_join_those_of_others(write):
    empty = read_quality(write("7/qc.csv", QUALITY))
    other = read_quality(write("8/qc.csv", QUALITY + "24277,a01,1,0,1\n"))
    both = pd.concat([empty, other], ignore_index=True)
    assert both.values.tolist() == [["24277", "A01", 1, True, False]]
    assert both["is_blurry"].dtype == bool


def test_the_label_matrix_with_its_indices(write):
    folder = write(
        "labels/label-matrix.mtx", "%%MatrixMarket matrix coordinate integer general\n%\n3 2 3\n1 1 1\n3 1 -1\n3 2 1\n"
    ).parent
    write("labels/row-compound-index.csv", "INDEX,INCHIKEY\n0,AAA-B-N\n1,CCC-D-N\n2,EEE-F-N\n")
    write("labels/column-assay-index.csv", "ASSAY_ID\n600886\n600886\n")
    labels = read_labels(folder)
    assert labels.matrix.toarray().tolist() == [[1, 0], [0, 0], [-1, 1]]
    assert labels.inchikey.tolist() == ["AAA-B-N", "CCC-D-N", "EEE-F-N"]
    assert labels.assay.tolist() == ["600886", "600886"]


def test_the_real_label_matrix(real_data):
    labels = read_labels(real_data / "bray/labels")
    assert labels.matrix.shape == (10_574, 209)
    assert (labels.matrix.nnz, (labels.matrix.data == 1).sum()) == (55_542, 19_274)
    assert len(np.unique(labels.assay)) == 202


def test_the_published_tables_of_a_split(write, tmp_path):
    row = (
        "24277-A03-1,BRD-K18438502-001-02-6,24277,A03,1,SA84711,aspirin,INN,CC,{},a.tif,b.tif,c.tif,d.tif,e.tif,97,12\n"
    )
    write("split_train.csv", SPLIT_COLUMNS + row.format("TRAIN-A-N") * 2)
    write("split_test.csv", SPLIT_COLUMNS + row.format("TEST-A-N"))
    molecules = pd.DataFrame({"inchikey": ["NEITHER-A-N", "TEST-A-N", "TRAIN-A-N"]})
    split, _ = make_split(PublishedSplit(kind="published"), pd.DataFrame(), molecules, tmp_path)
    assert split.values.tolist() == [["NEITHER-A-N", "validation"], ["TEST-A-N", "test"], ["TRAIN-A-N", "train"]]
