"""Every setting of an experiment: its name, default, meaning and limits.

Here and in `cloome.config_screen` and `cloome.config_training`, whose names are passed on, is the one place for each
default. The JSON schema and ``docs/configuration.md`` are generated from
these models (``cloome config --write``), and a test holds them together. Defaults are the values of the paper
or of the upstream code, as far as these are known (``config/paper.yaml`` lists the evidence for each).
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from cloome.config_base import Count, Fraction, Name, Section
from cloome.config_screen import (
    PAPER_CHANNELS,
    ArchiveScreen,
    CompoundTable,
    LoadDataScreen,
    NpzScreen,
    Screen,
    Simulate,
)
from cloome.config_training import CONTROLS, METHODS, PUBLISHED_TABLES, Method, Model, Running, Train
from cloome.model.feature_map import feature_cells

__all__ = [
    "CONTROLS",
    "METHODS",
    "PAPER_CHANNELS",
    "PUBLISHED_TABLES",
    "ArchiveScreen",
    "CompoundTable",
    "Config",
    "Embed",
    "Evaluate",
    "Images",
    "LoadDataScreen",
    "Model",
    "Molecules",
    "Mosaic",
    "NpzScreen",
    "PublishedSplit",
    "Quality",
    "RandomSplit",
    "ReplicateSplit",
    "Running",
    "ScaffoldSplit",
    "Screen",
    "Simulate",
    "Split",
    "Tiles",
    "Train",
]


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
    counts: bool = Field(
        False, description="How often each substructure occurs, up to 255, instead of whether it does."
    )


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


def _without_null(splits: dict[str, Any]) -> dict[str, Any]:
    return {name: split for name, split in splits.items() if split is not None}


class Runs(Section):
    """Which models are trained: one run for each split, method and seed."""

    splits: Annotated[dict[Name, Split | None], AfterValidator(_without_null)] = Field(
        {"random": RandomSplit(kind="random")}, description="Splits by name; null takes away one of an earlier file."
    )
    methods: list[Method] = Field(
        ["clip", "cloob"],
        min_length=1,
        description="clip: InfoNCE; cloob: Hopfield retrieval and InfoLOOB; siglip: each pair on its own, by a "
        "sigmoid; cwcl: InfoNCE whose targets are weighted by the similarity of the fingerprints.",
    )
    seeds: list[Annotated[int, Field(ge=0)]] = Field([0], min_length=1, description="Seeds of the training.")
    shuffled_control: bool = Field(
        False,
        description="Train one more model per split and method, with the first seed, on pairs shuffled among the "
        "training molecules, or among the wells in a split by replicate; it must sit at chance.",
    )
    untrained_control: bool = Field(
        False,
        description="Evaluate one more network per split and method, with the first seed, as it is before training; "
        "what it reaches image to image comes from the pixels alone.",
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
    null_size: Count = Field(10_000, description="Random orders that an average precision is held against.")
    seed: int = Field(0, description="Seed of the sampled pools, representative images, bootstrap and random orders.")
    probing: bool = Field(True, description="Linear probing of the activity labels.")
    probe_protocol: Literal["upstream", "sound"] = Field(
        "upstream",
        description="Probing as the paper's code; or sound: standardised features, whole grid, folds by molecule.",
    )
    probe_level: Literal["image", "well", "molecule"] = Field(
        "image", description="A sample of probing: an image (upstream), or the mean over a well or a molecule."
    )
    minimum_labels: Count = Field(5, description="Fewest actives and inactives in training for an assay to be probed.")
    gapnet: str | None = Field(
        None,
        description="File with GapNet's published weights (gapnet.pth.tar), whose features are then compared too, as "
        "in the paper; null: they are not.",
    )


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
    running: Running = Field(Running(), description="How training and embedding run; nothing here changes a result.")
    embed: Embed = Field(Embed(), description="Embedding export.")
    evaluate: Evaluate = Field(Evaluate(), description="Evaluation.")

    @model_validator(mode="after")
    def _possible_together(self):
        # Settings of one stage lack the sections that the others are checked against.
        problems = [] if self.stage else list(_conflicts(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def run_names(self) -> list[str]:
        """Names of all runs: ``{split}-{method}-seed{seed}``, and one of `CONTROLS` behind those of a control.

        Published weights are runs as well, by the names of `PUBLISHED_TABLES` and with seed 0, as theirs is not known.
        """
        if self.model.source == "published":
            return [f"{split}-{method}-seed0" for split in self.runs.splits for method in PUBLISHED_TABLES]
        names = []
        for split in self.runs.splits:
            for method in self.runs.methods:
                names += [f"{split}-{method}-seed{seed}" for seed in self.runs.seeds]
                for control in CONTROLS:
                    if getattr(self.runs, f"{control}_control"):
                        names.append(f"{split}-{method}-seed{self.runs.seeds[0]}-{control}")
        return names


def _conflicts(config: Config):
    """Yield one sentence for each combination of settings that cannot work."""
    screen, images, model = config.screen, config.images, config.model
    if screen.kind == "load_data" and screen.compounds.path is None:
        yield "screen.compounds.path is missing; write the CSV that says which structure each compound is"
    runs = config.runs
    lists = {"screen.channels": screen.channels, "runs.methods": runs.methods, "runs.seeds": runs.seeds}
    lists["runs.splits"] = list(runs.splits)
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
    if model.encoder_weights and not model.encoder.startswith("timm:"):
        yield "model.encoder_weights is for backbones of timm; remove it, or write encoder: timm:NAME"
    if model.source == "published":
        yield from _published_conflicts(config)
    if config.simulate is not None and screen.kind != "archives":
        yield "simulate writes plate archives; write screen.kind: archives, or remove simulate"
    for key, crop in (("train.crop", config.train.crop), ("embed", min(config.embed.height, config.embed.width))):
        cells = feature_cells(crop)
        if model.encoder.startswith("resnet") and cells < model.pool:
            yield (
                f"{key} gives images of {crop} pixels, {cells} cells of the feature map, but model.pool is "
                f"{model.pool}; write pool: {cells} or less, or larger images"
            )
    scaled = images.intensity == "paper" or screen.kind == "npz"
    whole = images.resize is None and images.tiles is None and images.mosaic is None
    if config.evaluate.gapnet and not (scaled and whole and screen.channels == PAPER_CHANNELS):
        yield (
            f"evaluate.gapnet needs images as GapNet was trained on: the channels {', '.join(PAPER_CHANNELS)}, scaled "
            "as in the paper, and whole fields in their own size; write gapnet: null"
        )
    if config.train.micro_batch and config.train.batch % config.train.micro_batch:
        yield "train.batch is no multiple of train.micro_batch; write a divisor of the batch"
    if config.train.keep == "last" and config.train.patience:
        yield "train.patience stops after the best epoch, but train.keep is last; write keep: best"
    for name, split in runs.splits.items():
        if split.kind in ("random", "scaffold") and split.validation + split.test >= 1:
            yield f"runs.splits.{name}: validation and test leave nothing to train on; lower them"
        if split.kind in ("random", "scaffold") and split.test == 0:
            yield f"runs.splits.{name}: test is 0, so nothing could be evaluated; write a share such as 0.2"
        if split.kind == "published" and config.simulate is not None:
            yield f"runs.splits.{name}: a simulated screen has no published split; use random or scaffold"
        if split.kind == "published" and screen.kind != "archives":
            yield f"runs.splits.{name}: kind 'published' needs a table of sources; use random, scaffold or replicate"


def _published_conflicts(config: Config):
    """The same for the published weights, which fit the images, molecules and split that they were trained on."""
    for name, split in config.runs.splits.items():
        if split.kind != "published":
            yield (
                f"model.source 'published' needs the split that these weights were trained on, or test molecules have "
                f"been seen; write runs.splits.{name}: null, or kind: published"
            )
    for control in CONTROLS:
        if getattr(config.runs, f"{control}_control"):
            yield f"model.source 'published' trains nothing, so it has no such control; write {control}_control: false"
    if config.screen.channels != PAPER_CHANNELS:
        yield f"model.source 'published' needs screen.channels: [{', '.join(PAPER_CHANNELS)}]"
    if config.images.intensity != "paper":
        yield "model.source 'published' was trained on images of images.intensity: paper; write that"
    for section, default in (("model", Model(source="published")), ("molecules", Molecules())):
        for key, value in default:
            if getattr(getattr(config, section), key) != value:
                yield f"model.source 'published' has {section}.{key}: {value}; write that, or train"
