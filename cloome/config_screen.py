"""Settings of the screen: where images, wells and compounds come from, or how they are simulated."""

from typing import Annotated, Literal

from pydantic import Field

from cloome.config_base import Count, Name, NotNegative, Section

PAPER_CHANNELS = ["Mito", "ERSyto", "ERSytoBleed", "Ph_golgi", "Hoechst"]


class Simulate(Section):
    """The demo's simulated archive site: cells whose look follows from the structure by a planted rule.

    Every compound has one well on each of the screen's plates.
    """

    seed: int = Field(0, description="Seed of everything that is drawn.")
    sites: Annotated[int, Field(ge=1, le=9)] = Field(3, description="Fields of view per well.")
    height: Annotated[int, Field(ge=32)] = Field(128, description="Height of a field in pixels (real: 520).")
    width: Annotated[int, Field(ge=32)] = Field(160, description="Width of a field in pixels (real: 696).")
    dmso_wells: Count = Field(8, description="Mock-treated (DMSO) wells per plate.")
    effect: NotNegative = Field(1.0, description="Strength of the planted rule; 0 removes it.")
    nuisance: NotNegative = Field(1.0, description="Strength of plate, position, density and focus effects.")


class CompoundTable(Section):
    """Columns of the compound table: which structure each perturbation is."""

    path: str | None = Field(None, description="CSV or TSV file; not for a screen of kind archives.")
    id: str = Field("BROAD_ID", description="Column that wells refer to.")
    smiles: str = Field("CPD_SMILES", description="Column with the structure.")
    name: str | None = Field("CPD_NAME", description="Column with a name for people, or null.")
    mechanism: str | None = Field(
        None, description="Column with the mechanism of action; several are separated by '|'. Or null."
    )


class MechanismTable(Section):
    """Columns of a mechanism table of its own, joined to the compounds by id."""

    id: str = Field("BROAD_ID", description="Column with the compound id.")
    mechanism: str = Field("MOA", description="Column with the mechanism of action.")


class ArchiveScreen(Section):
    """A screen as published: zip archives per plate and channel, GigaDB tables per plate."""

    kind: Literal["archives"] = Field(description="Plate archives, listed in a table of sources.")
    name: Name = Field(description="Name of the screen; part of the paths of its files.")
    sources: str = Field("config/sources.csv", description="Table of sources: where each input is fetched from.")
    plates: list[str] | str = Field(
        description="Plate ids, or a text file of ids between white space; lines that start with # are comments."
    )
    channels: list[str] = Field(
        PAPER_CHANNELS, min_length=1, description="Channels in the order in which they are stored."
    )
    compounds: CompoundTable = Field(CompoundTable(), description="The compound table.")
    mechanisms: MechanismTable | None = Field(None, description="The mechanism table, if there is one.")
    labels: bool = Field(True, description="Fetch the activity labels, for linear probing.")


class LoadDataScreen(Section):
    """Someone's own screen: a CellProfiler LoadData CSV beside its images, joined to a compound table."""

    kind: Literal["load_data"] = Field(description="A LoadData CSV.")
    name: Name = Field(description="Name of the screen; part of the paths of its files.")
    load_data: str = Field(description="The LoadData CSV; its relative paths start at its own folder.")
    channels: list[str] = Field(
        min_length=1, description="Channels to use, as in the columns FileName_Orig*, in the order of storage."
    )
    compounds: CompoundTable = Field(CompoundTable(), description="The compound table; its path must be given.")
    compound_column: str = Field("Metadata_broad_sample", description="LoadData column with the compound id.")
    concentration_column: str | None = Field(
        "Metadata_mmoles_per_liter", description="LoadData column with the concentration, or null."
    )
    role_column: str | None = Field(
        None, description="LoadData column that says 'treated' or 'mock'; null: wells with a compound are treated."
    )
    batch_column: str | None = Field(None, description="LoadData column with the batch of the plate, or null.")
    labels: str | None = Field(
        None, description="Folder with label-matrix.mtx and its two index files, for linear probing; or null."
    )


class IndexCompounds(CompoundTable):
    """Columns of the compounds in the index tables of npz files."""

    smiles: str = Field("SMILES", description="Column with the structure.")


class NpzScreen(Section):
    """The authors' preprocessed images: PLATE-WELL-SITE.npz files of 8 bit, and their index tables."""

    kind: Literal["npz"] = Field(description="Preprocessed npz files.")
    name: Name = Field(description="Name of the screen; part of the paths of its files.")
    images: list[str] = Field(min_length=1, description="Folders of npz files, or tar files that hold them.")
    index: list[str] = Field(
        min_length=1,
        description="CSV tables with SAMPLE_KEY, PLATE_ID, WELL_POSITION, SITE and the compounds' columns.",
    )
    channels: list[str] = Field(
        PAPER_CHANNELS, min_length=1, description="Channels in the order of the arrays' last axis."
    )
    compounds: IndexCompounds = Field(
        IndexCompounds(),
        description="Columns of the compounds; without a path, of the index tables. The column id is in these always.",
    )
    labels: str | None = Field(
        None, description="Folder with label-matrix.mtx and its two index files, for linear probing; or null."
    )


Screen = Annotated[ArchiveScreen | LoadDataScreen | NpzScreen, Field(discriminator="kind")]
