# Shared by all rule files. Here are the checked configuration and the paths.
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path

import pandas as pd
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT))

from cloome.config import CONTROLS, METHODS, PUBLISHED_TABLES
from cloome.config_files import check_config, running_text, screen_id, settings_text, store_id
from cloome.data.files import read_csv
from cloome.data.seals import FOLDER
from cloome.data.sources import TABLES, read_sources
from cloome.data.wells import plate_names, read_load_data, read_npz_index
from cloome.errors import CloomeError

# Jobs find the package in the checkout. Without conda or a container they use this interpreter; with one, packages in
# the user's own folder must not come before those of the environment.
DEPLOYED = set(workflow.deployment_settings.deployment_method)
IN_CONDA = DeploymentMethod.CONDA in DEPLOYED
IN_CONTAINER = DeploymentMethod.APPTAINER in DEPLOYED
INTERPRETER = f"export PATH='{Path(sys.executable).parent}':\"$PATH\"; "
# What jobs finish is sealed there, so that `resume.smk` finds what changed since.
SEALS = Path(".snakemake/seals").absolute()
shell.prefix(
    f"{'export PYTHONNOUSERSITE=1; ' if IN_CONDA or IN_CONTAINER else INTERPRETER}export PYTHONPATH='{ROOT}'; "
    f"export {FOLDER}='{SEALS}'; "
)


def with_shipped_tables(values):
    """The configuration, with tables that come with the project found in the clone from any --directory."""
    screen = values.get("screen")
    if not isinstance(screen, dict):
        return values
    tables = {key: screen[key] for key in ("sources", "plates") if isinstance(screen.get(key), str)}
    shipped = {
        key: str(ROOT / path) for key, path in tables.items() if not Path(path).exists() and (ROOT / path).is_file()
    }
    return {**values, "screen": {**screen, **shipped}}


try:
    EXPERIMENT = check_config(with_shipped_tables(config), " + ".join(map(str, workflow.configfiles)))
    PLATE_NAMES = plate_names(EXPERIMENT.screen)
    # A wrong path or column stops the plan, not each plate's job.
    if EXPERIMENT.screen.kind == "load_data":
        read_load_data(EXPERIMENT.screen)
    NPZ_INDEX = read_npz_index(EXPERIMENT.screen) if EXPERIMENT.screen.kind == "npz" else None
    if EXPERIMENT.screen.kind != "archives":
        compounds = EXPERIMENT.screen.compounds
        for table in [compounds.path] if compounds.path else EXPERIMENT.screen.index:
            read_csv(table, [compounds.id, compounds.smiles], dtype=str, nrows=0)
except CloomeError as error:
    raise WorkflowError(str(error)) from None

SCREEN = EXPERIMENT.screen
RESULTS = f"results/{EXPERIMENT.name}"
LOGS = f"logs/{EXPERIMENT.name}"
TIMES = f"benchmarks/results/{EXPERIMENT.name}"
RESOURCES = f"resources/{screen_id(EXPERIMENT)}"
STORE = f"results/plates/{SCREEN.name}-{store_id(EXPERIMENT)}"
# What the user has, and the simulated site, which stands for hosts on the internet, are no files of the workflow: with
# a default storage provider, all others lie in the storage (docs/storage.md).
SITE = local(f"{RESOURCES}/site/sources.csv")
SOURCES = SITE if EXPERIMENT.simulate else SCREEN.sources if SCREEN.kind == "archives" else None
# Rules with hundreds of inputs name these and not `rules.molecules.output`: Snakemake then looks for the rule of each
# input by the hash of all of them, which takes seconds for the paper's plates.
INDEX = f"{RESULTS}/index.parquet"
MOLECULES = f"{RESULTS}/molecules.h5"
PLATES = [f"{STORE}/{plate}.h5" for plate in PLATE_NAMES]
LABELLED = f"{STORE}/labelled.csv"
REFUSED = [f"{STORE}/{plate}.refused.csv" for plate in PLATE_NAMES]


RUNS = EXPERIMENT.run_names()
PUBLISHED = EXPERIMENT.model.source == "published"


wildcard_constraints:
    run=f"[A-Za-z0-9_]+-({'|'.join([*METHODS, *PUBLISHED_TABLES])})-seed[0-9]+(-({'|'.join(CONTROLS)}))?",
    plate="[^/]+",
    channel="[A-Za-z0-9_]+",
    split="[A-Za-z0-9_]+",


def settings(stage, split=None):
    """The settings that a stage depends on, as YAML: a change of another stage's settings redoes nothing here."""
    return settings_text(EXPERIMENT, stage, split)


# How training and embedding run on a machine: a resource of their rules, as Snakemake redoes a job whose parameters
# change, but not one whose resources do.
RUNNING = running_text(EXPERIMENT)


def environment(stage):
    """The environment of a stage that may use a GPU."""
    return str(ROOT / "envs" / (f"{stage}.gpu.yaml" if EXPERIMENT.running.gpu else f"{stage}.yaml"))


# What each item was when it was first fetched; not an output, as it has to outlive the item.
CHECKSUMS = f"{RESOURCES}/checksums"

# Channel -> name of its stain in the files of the illumination functions (GigaDB 100351).
STAINS = {"Hoechst": "DNA", "ERSyto": "ER", "ERSytoBleed": "RNA", "Ph_golgi": "AGP", "Mito": "Mito"}


def illumination_members(wildcards):
    """Which members of a plate's archive are its illumination functions, and the files that they become."""
    unknown = [channel for channel in SCREEN.channels if channel not in STAINS]
    if unknown:
        raise WorkflowError(
            f"images.illumination: no function is published for channel {unknown[0]}; known are {', '.join(STAINS)}"
        )
    return [
        f"illumination_correction_functions/{wildcards.plate}_Illum{STAINS[channel]}.mat={channel}.mat"
        for channel in SCREEN.channels
    ]


def sources():
    """The table of sources, if the workflow writes it. A change in a real one must not fetch terabytes again:
    `expected` tracks its rows instead."""
    return SITE if EXPERIMENT.simulate else []


def sources_path(wildcards, input):
    """Where the table of sources lies."""
    return input.sources or SOURCES


def expected(source=None):
    """What a file must be, as a parameter of its rule: size and checksum, but not the host that it comes from."""

    def of(wildcards):
        name = TABLES[wildcards.table] if source is None else source
        rows = [row for row in source_rows() if row["source"] == name]
        rows = [
            row
            for row in rows
            if row["plate"] in ("", getattr(wildcards, "plate", "")) and row["channel"] in ("", *SCREEN.channels)
        ]
        return [(row["bytes"], row["sha256"]) for row in rows]

    return of


@cache
def source_rows():
    """The rows of a real table of sources; the demo's is made by the workflow and is an input instead."""
    if EXPERIMENT.simulate or SOURCES is None:
        return []
    try:
        return read_sources(SOURCES).to_dict("records")
    except CloomeError as error:
        raise WorkflowError(str(error)) from None


def plate_code():
    """The code of the stage images; of archives that were deleted, an edit must not fetch terabytes again."""
    return code("images") if EXPERIMENT.simulate or SCREEN.kind != "archives" else ""


def plate_threads():
    """All cores for few plates; one each for many, so that none waits with its archives on the disk."""
    return max(1, (workflow.resource_settings.cores or 1) // len(PLATES))


def plate_files(wildcards):
    """What a plate is made of: its archives and plate map, the LoadData table, or the listing of its npz files."""
    labelled = {"labelled": LABELLED} if EXPERIMENT.images.wells == "labelled" else {}
    if SCREEN.kind == "load_data":
        # Other plates' rows may change; `plate_rows` tracks those of this one.
        return labelled | {"load_data": local(ancient(SCREEN.load_data))}
    if SCREEN.kind == "npz":
        # Other plates' rows of the index may change; `plate_rows` tracks those of this one.
        return labelled | {"listing": rules.listing.output.listing, "index": local(ancient(SCREEN.index))}
    functions = f"{RESOURCES}/illumination/{wildcards.plate}/{{channel}}.mat"
    illumination = expand(functions, channel=SCREEN.channels) if EXPERIMENT.images.illumination else []
    return labelled | {
        "illumination": illumination,
        "archives": expand(
            f"{RESOURCES}/archives/{{plate}}/{{plate}}-{{channel}}.zip", plate=wildcards.plate, channel=SCREEN.channels
        ),
        "wells": f"{RESOURCES}/plates/{wildcards.plate}/mean_well_profiles.csv",
    }


def plate_origin(wildcards, input):
    """The part of the command that names those files."""
    labelled = ["--labelled", input.labelled] if "labelled" in input.keys() else []
    if SCREEN.kind == "load_data":
        return ["--in", input.load_data, *labelled]
    if SCREEN.kind == "npz":
        return ["--in", input.listing, *labelled]
    functions = ["--illumination", str(Path(input.illumination[0]).parent)] if input.illumination else []
    return ["--in", str(Path(input.archives[0]).parent), "--wells", input.wells, *functions, *labelled]


def plate_rows(wildcards):
    """A digest of what a LoadData table or the index of npz files says of a plate, as a parameter of its rule."""
    return row_digests().get(wildcards.plate, "")


@cache
def row_digests():
    if SCREEN.kind == "npz":
        hashes = pd.util.hash_pandas_object(NPZ_INDEX, index=False)
        return hashes.groupby(NPZ_INDEX["plate"]).sum().astype(str).to_dict()
    if SCREEN.kind != "load_data":
        return {}
    table = pd.read_csv(SCREEN.load_data, dtype=str)
    rows = table.groupby("Metadata_Plate", sort=False)
    return {plate: sha256(part.to_csv(index=False).encode()).hexdigest() for plate, part in rows}


def structure_tables():
    """Tables on compounds that the screen has."""
    if SCREEN.kind == "load_data":
        return local([SCREEN.compounds.path])
    if SCREEN.kind == "npz":
        return local([SCREEN.compounds.path] if SCREEN.compounds.path else SCREEN.index)
    return [f"{RESOURCES}/compounds.csv", *([f"{RESOURCES}/mechanisms.csv"] if SCREEN.mechanisms else [])]


def well_tables():
    """Tables on wells and fields that the screen has."""
    if SCREEN.kind == "load_data":
        return local([SCREEN.load_data])
    if SCREEN.kind == "npz":
        return local(SCREEN.index)
    tables = f"{RESOURCES}/plates/{{plate}}/{{table}}.csv"
    return expand(tables, plate=PLATE_NAMES, table=["mean_well_profiles", "qc"])


def profile_files():
    """The CellProfiler profiles of each plate, where the screen has them."""
    tables = f"{RESOURCES}/plates/{{plate}}/mean_well_profiles.csv"
    return expand(tables, plate=PLATE_NAMES) if SCREEN.kind == "archives" else []


def profile_option(wildcards, input):
    """The part of the command that names their folder: a line with hundreds of files would be too long."""
    return ["--profiles", str(Path(input.profiles[0]).parents[1])] if input.profiles else []


def gapnet_weights():
    """The weights of GapNet, if the user has them."""
    return local([EXPERIMENT.evaluate.gapnet] if EXPERIMENT.evaluate.gapnet else [])


def gapnet_files():
    """The features that they give."""
    return [f"{RESULTS}/gapnet.h5"] if EXPERIMENT.evaluate.gapnet else []


def gapnet_option(wildcards, input):
    """The part of the command that names them."""
    return ["--gapnet", *input.gapnet] if input.gapnet else []


def split_tables(wildcards):
    """The published tables of a split, if it is a published one."""
    published = EXPERIMENT.runs.splits[wildcards.split].kind == "published"
    return [f"{RESOURCES}/split_train.csv", f"{RESOURCES}/split_test.csv"] if published else []


def split_of(run):
    """The split of a run, the first part of its name."""
    return run.rsplit("-seed", 1)[0].rsplit("-", 1)[0]


def run_split(wildcards):
    """The file of a run's split."""
    return f"{RESULTS}/splits/{split_of(wildcards.run)}.csv"


def run_baselines(wildcards):
    """The probed baselines of a run's split."""
    return f"{RESULTS}/baselines/{split_of(wildcards.run)}/probing_baselines.csv"


def run_options(wildcards):
    """Method, seed and control of a run, from its name."""
    name, _, seed = wildcards.run.rpartition("-seed")
    number, _, control = seed.partition("-")
    return ["--method", name.rsplit("-", 1)[1], "--seed", number, *(["--control", control] if control else [])]


def run_model(wildcards):
    """The model of a run: trained, or one of the published files."""
    name, _, _ = wildcards.run.rpartition("-seed")
    trained = f"{RESULTS}/runs/{wildcards.run}/model.pt"
    return f"{RESOURCES}/weights/{name.rsplit('-', 1)[1]}.pt" if PUBLISHED else trained


def label_files():
    """The activity labels, where the screen has them."""
    if SCREEN.kind == "archives" and SCREEN.labels:
        return [f"{RESOURCES}/{table}" for table in TABLES if table.startswith("labels/")]
    if SCREEN.kind != "archives" and SCREEN.labels:
        return local([f"{SCREEN.labels}/{Path(table).name}" for table in TABLES if table.startswith("labels/")])
    return []


def label_option(wildcards, input):
    """The part of the command that names their folder."""
    return ["--labels", str(Path(input.labels[0]).parent)] if input.labels else []


def table_evaluations(wildcards):
    """What a table is made of: one benchmark of all runs, but for weights that were published for other tables."""
    other = [name for name, numbers in PUBLISHED_TABLES.items() if int(wildcards.number) not in numbers]
    runs = [run for run in RUNS if not any(f"-{name}-" in run for name in other)]
    return expand(f"{RESULTS}/runs/{{run}}/evaluation/{TABLE_BENCHMARKS[wildcards.number]}.csv", run=runs)


def run_folders(wildcards, input):
    """The folders of the runs, from the places of their evaluations."""
    return list(dict.fromkeys(str(Path(file).parents[1]) for file in input.evaluations))


def published_splits():
    """The tables of the published split, if one of the splits is that one."""
    published = any(split.kind == "published" for split in EXPERIMENT.runs.splits.values())
    return [f"{RESOURCES}/split_{part}.csv" for part in ("train", "test")] if published else []


def origins(wildcards, input):
    """Files that the experiment started from; of the tables of all plates, their folder: a line would be too long."""
    wells = [str(Path(input.wells[0]).parents[1])] if SCREEN.kind == "archives" else input.wells
    sources = [SOURCES] if SOURCES else []
    return list(dict.fromkeys([*sources, *input.structures, *wells, *input.labels, *input.splits, *input.gapnet]))
