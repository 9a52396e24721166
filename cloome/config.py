"""Every setting of an experiment: its name, default, meaning and limits.

This is the one place for each default. The JSON schema and ``docs/configuration.md`` are generated from
these models (``cloome config --write``), and a test holds them together. Defaults are the values of the paper
or of the upstream code, as far as these are known (``config/paper.yaml`` lists the evidence for each).
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cloome.model.feature_map import feature_cells

PAPER_CHANNELS = ["Mito", "ERSyto", "ERSytoBleed", "Ph_golgi", "Hoechst"]

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_]*$")]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]


class Section(BaseModel):
    """A block of settings: unknown keys are refused, types are not guessed."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


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


class Tiles(Section):
    """Square tiles of each field; what is left over at the right and lower edge is not stored."""

    size: Annotated[int, Field(ge=32)] = Field(description="Side of a tile in pixels.")
    stride: Count | None = Field(None, description="Distance between two tiles in pixels; null: the size.")


class Mosaic(Section):
    """One image per well: its fields in the order of their sites, row by row."""

    rows: Count = Field(2, description="Fields below each other.")
    columns: Count = Field(3, description="Fields side by side.")
    skip: Annotated[int, Field(ge=0)] = Field(
        4, description="Columns of pixels cut off at the left of each field; 4 as in hti-cnn."
    )


class Images(Section):
    """From microscope files to the 8-bit plate store."""

    illumination: bool = Field(
        False,
        description="Divide by the plate's illumination correction functions first: those of GigaDB, or those that a "
        "LoadData table names in columns FileName_Illum*.",
    )
    intensity: Literal["paper", "package", "none"] = Field(
        "paper",
        description="16 to 8 bit. paper: cut the brightest 0.0028 %, scale 256; package: 0.01 %, 255 (as in the "
        "upstream package); none: the images have 8 bit already.",
    )
    resize: Annotated[list[Count], Field(min_length=2, max_length=2)] | None = Field(
        None, description="Height and width in pixels to which fields are resized after scaling, or null."
    )
    tiles: Tiles | None = Field(None, description="Store tiles of each field, or null.")
    mosaic: Mosaic | None = Field(None, description="Store one mosaic per well, or null.")
    wells: Literal["treated", "labelled", "all"] = Field(
        "treated", description="Wells to keep; labelled: treated with a compound that has an activity label."
    )
    nuclei: str | None = Field("Hoechst", description="Channel in which nuclei are counted, or null.")
    compression: Literal["none", "gzip"] = Field(
        "none",
        description="Of the store. none: fastest; gzip: 43 % smaller on real images, but slower to write and read.",
    )


class Quality(Section):
    """Which of the stored fields are used, and how much may be missing. Nothing of it redoes an image."""

    drop_blurry: bool = Field(False, description="Leave out fields with the flag isBlurry.")
    drop_saturated: bool = Field(False, description="Leave out fields with the flag isSaturated.")
    minimum_cells: Annotated[int, Field(ge=0)] = Field(
        0, description="Leave out fields with fewer nuclei; needs images.nuclei."
    )
    refused_limit: Fraction = Field(
        0.1, description="Largest share of a screen's fields, and of its compounds, that may be refused."
    )


class Molecules(Section):
    """From structures to fingerprints."""

    standardise: bool = Field(
        False, description="Clean up structures and keep the largest fragment; upstream takes them as they are."
    )
    radius: Annotated[int, Field(ge=0)] = Field(3, description="Radius of the Morgan fingerprint.")
    bits: Annotated[int, Field(ge=8, multiple_of=8)] = Field(1024, description="Length of the fingerprint.")
    chirality: bool = Field(True, description="Let the fingerprint see stereochemistry.")


class RandomSplit(Section):
    """Molecules drawn at random."""

    kind: Literal["random"] = Field(description="By molecule.")
    validation: Fraction = Field(0.1, description="Share of the molecules for validation.")
    test: Fraction = Field(0.2, description="Share of the molecules for the test.")
    seed: int = Field(42, description="Seed of the draw.")


class ScaffoldSplit(Section):
    """Molecules grouped by Murcko scaffold; no scaffold in two parts."""

    kind: Literal["scaffold"] = Field(description="By Murcko scaffold.")
    validation: Fraction = Field(0.1, description="Share of the molecules for validation.")
    test: Fraction = Field(0.2, description="Share of the molecules for the test.")
    seed: int = Field(42, description="Seed of the draw.")


class ReplicateSplit(Section):
    """Known molecules on an unseen plate: one replicate plate of each treatment is held out."""

    kind: Literal["replicate"] = Field(description="By replicate plate of each treatment.")
    held_out: Annotated[int, Field(ge=0)] = Field(
        0, description="Which replicate is the test, counted from 0 in the order of the plate names."
    )


class PublishedSplit(Section):
    """The authors' own split, from their tables of training and test images."""

    kind: Literal["published"] = Field(description="From the sources split_train and split_test.")


Split = Annotated[RandomSplit | ScaffoldSplit | ReplicateSplit | PublishedSplit, Field(discriminator="kind")]


class Runs(Section):
    """Which models are trained: one run for each split, method and seed."""

    splits: dict[Name, Split] = Field(
        {"random": RandomSplit(kind="random")}, min_length=1, description="Splits by name."
    )
    methods: list[Literal["clip", "cloob"]] = Field(
        ["clip", "cloob"], min_length=1, description="clip: InfoNCE; cloob: Hopfield retrieval and InfoLOOB."
    )
    seeds: list[Annotated[int, Field(ge=0)]] = Field([0], min_length=1, description="Seeds of the training.")
    shuffled_control: bool = Field(
        False,
        description="Train one more model per split and method, with the first seed, on pairs shuffled among the "
        "training molecules; it must sit at chance.",
    )


class Model(Section):
    """The two encoders."""

    blocks: list[Count] = Field(
        [3, 4, 6, 3], min_length=4, max_length=4, description="Residual blocks of the four stages of the ResNet."
    )
    width: Annotated[int, Field(ge=4)] = Field(64, description="Channels after the ResNet's stem.")
    pool: Count = Field(7, description="Window of the centre-weighted average pooling, in cells of the feature map.")
    hidden: Count = Field(1024, description="Width of the molecule encoder's hidden layers.")
    hidden_layers: Count = Field(4, description="Hidden layers of the molecule encoder.")
    embedding: Count = Field(512, description="Dimension of the shared embedding space.")
    normalisation: Literal["paper", "measured"] = Field(
        "paper",
        description="paper: mean and 'std' of the upstream code, where std equals the mean; measured: exact mean and "
        "standard deviation of the training images.",
    )


class Train(Section):
    """Contrastive training."""

    epochs: Count = Field(32, description="Passes over the training images.")
    batch: Annotated[int, Field(ge=2)] = Field(64, description="Image-molecule pairs in a batch.")
    crop: Annotated[int, Field(ge=32)] = Field(224, description="Side of the random square crop in pixels.")
    augmentation: Literal["crop", "crop_and_symmetry"] = Field(
        "crop", description="crop: as upstream; crop_and_symmetry: also one of the eight flips and rotations."
    )
    duplicates: Literal["negatives", "positives"] = Field(
        "negatives",
        description="Several images of one molecule in a batch: negatives of each other, as upstream, or positives.",
    )
    learning_rate: Positive = Field(5.0e-4, description="Peak learning rate of AdamW.")
    beta1: Fraction = Field(0.9, description="First moment's decay in AdamW.")
    beta2: Fraction = Field(0.999, description="Second moment's decay in AdamW.")
    epsilon: Positive = Field(1.0e-8, description="AdamW's epsilon.")
    weight_decay: NotNegative = Field(0.2, description="Decoupled weight decay.")
    decay: Literal["upstream", "weights"] = Field(
        "upstream",
        description="What decays. upstream: all but names with bn, ln or bias (so the temperature and some "
        "BatchNorm weights decay); weights: tensors of two or more dimensions.",
    )
    warmup: Annotated[int, Field(ge=0)] = Field(10_000, description="Steps of linear warm-up.")
    schedule: Literal["cosine", "cosine_restarts"] = Field("cosine", description="Learning rate after the warm-up.")
    restarts: Count = Field(1, description="Cycles of the schedule cosine_restarts.")
    inv_tau: Annotated[float, Field(ge=1.0, le=100.0)] = Field(14.3, description="Initial inverse temperature.")
    learn_inv_tau: bool = Field(False, description="Train the temperature; clamped to 1..100 after each step.")
    hopfield_scale: Positive = Field(14.3, description="Scaling (beta) of the Hopfield retrieval in cloob.")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float16",
        description="Arithmetic of the forward pass. On a CPU, float16 becomes float32, and so does bfloat16 where the "
        "processor has no AVX-512.",
    )


class Embed(Section):
    """Export of embeddings."""

    height: Annotated[int, Field(ge=32)] = Field(520, description="Height of the centre crop in pixels.")
    width: Annotated[int, Field(ge=32)] = Field(696, description="Width of the centre crop in pixels.")
    batch: Count = Field(256, description="Images in a batch.")


class Evaluate(Section):
    """Benchmarks, controls and their intervals."""

    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = Field(0.95, description="Level of the intervals.")
    pool: Annotated[int, Field(ge=2)] = Field(100, description="Size of the small pool: 1 positive among this many.")
    resamples: Count = Field(1000, description="Resamples of the bootstrap clustered by molecule.")
    seed: int = Field(0, description="Seed of the sampled pools, representative images and bootstrap.")
    probing: bool = Field(True, description="Linear probing of the activity labels.")
    minimum_labels: Count = Field(5, description="Fewest actives and inactives in training for an assay to be probed.")


Screen = Annotated[ArchiveScreen | LoadDataScreen | NpzScreen, Field(discriminator="kind")]


class Config(Section):
    """One experiment."""

    stage: (
        Literal[
            "simulate",
            "images",
            "molecules",
            "labelled",
            "split",
            "train",
            "embed",
            "evaluate",
            "report",
        ]
        | None
    ) = Field(
        None,
        description="Set in files that the workflow writes: they hold what this stage depends on and nothing else.",
    )

    name: Name = Field("demo", description="Name of the experiment; its results lie in results/NAME/.")
    simulate: Simulate | None = Field(None, description="Simulate the screen first (the demo); null: a real screen.")
    screen: Screen = Field(description="Where images, wells and compounds come from.")
    images: Images = Field(Images(), description="Image preprocessing.")
    quality: Quality = Field(Quality(), description="Which fields are used.")
    molecules: Molecules = Field(Molecules(), description="Structures and fingerprints.")
    runs: Runs = Field(Runs(), description="The grid of models.")
    model: Model = Field(Model(), description="The encoders.")
    train: Train = Field(Train(), description="Training.")
    embed: Embed = Field(Embed(), description="Embedding export.")
    evaluate: Evaluate = Field(Evaluate(), description="Evaluation.")

    @model_validator(mode="after")
    def _possible_together(self):
        # Settings of one stage lack the sections that the others are checked against.
        problems = [] if self.stage else list(_conflicts(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _conflicts(config: Config):
    """Yield one sentence for each combination of settings that cannot work."""
    screen, images, model = config.screen, config.images, config.model
    if screen.kind == "load_data" and screen.compounds.path is None:
        yield "screen.compounds.path is missing; write the CSV that says which structure each compound is"
    lists = {"screen.channels": screen.channels, "runs.methods": config.runs.methods, "runs.seeds": config.runs.seeds}
    if screen.kind == "archives" and isinstance(screen.plates, list):
        lists["screen.plates"] = screen.plates
    for key, values in lists.items():
        if len(set(values)) < len(values):
            yield f"{key} names something twice; name each once"
        if not values:
            yield f"{key} is empty; name at least one"
    if config.name == "plates":
        yield "name: plates is taken by the shared image store; choose another name"
    if config.simulate is not None and screen.kind == "archives" and not isinstance(screen.plates, list):
        yield "simulate needs the plates as a list of ids in screen.plates"
    if images.nuclei is not None and images.nuclei not in screen.channels:
        yield (
            f"images.nuclei is {images.nuclei!r}, which is not in screen.channels ({', '.join(screen.channels)}); "
            "name the nuclear channel, or write null to count no nuclei"
        )
    if images.nuclei is None and config.quality.minimum_cells:
        yield "quality.minimum_cells counts nuclei, but images.nuclei is null; name the nuclear channel"
    if images.tiles and images.mosaic:
        yield "images.tiles and images.mosaic exclude each other; write null for one of them"
    if images.wells == "labelled" and not screen.labels:
        yield "images.wells 'labelled' needs the activity labels; set screen.labels, or keep the treated wells"
    if screen.kind == "npz" and images.intensity != "none":
        yield "npz files hold 8 bit already; write images.intensity: none"
    if images.illumination and (screen.kind == "npz" or config.simulate):
        yield "images.illumination needs microscope images that come with correction functions; write false"
    if model.normalisation == "paper" and screen.channels != PAPER_CHANNELS:
        yield (
            "model.normalisation 'paper' holds numbers for the paper's five channels only; "
            "write normalisation: measured"
        )
    if config.simulate is not None and screen.kind != "archives":
        yield "simulate writes plate archives; write screen.kind: archives, or remove simulate"
    for key, crop in (("train.crop", config.train.crop), ("embed", min(config.embed.height, config.embed.width))):
        cells = feature_cells(crop)
        if cells < model.pool:
            yield (
                f"{key} gives images of {crop} pixels, {cells} cells of the feature map, but model.pool is "
                f"{model.pool}; write pool: {cells} or less, or larger images"
            )
    for name, split in config.runs.splits.items():
        if split.kind in ("random", "scaffold") and split.validation + split.test >= 1:
            yield f"runs.splits.{name}: validation and test leave nothing to train on; lower them"
        if split.kind in ("random", "scaffold") and split.test == 0:
            yield f"runs.splits.{name}: test is 0, so nothing could be evaluated; write a share such as 0.2"
        if split.kind == "published" and config.simulate is not None:
            yield f"runs.splits.{name}: a simulated screen has no published split; use random or scaffold"
        if split.kind == "published" and screen.kind != "archives":
            yield f"runs.splits.{name}: kind 'published' needs a table of sources; use random, scaffold or replicate"
