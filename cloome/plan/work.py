"""How much is left to compute, and how long that takes at measured rates."""

from dataclasses import dataclass

from cloome.config import Config, Split
from cloome.plan.contents import PUBLISHED_PLATES, Contents
from cloome.plan.places import Places
from cloome.plan.rates import images_rate, network_rate, past_seconds
from cloome.plan.text import counted, rounded

PUBLISHED_PAIRS = 674_357  # training pairs of the published split (FACTS 1.8)
# The rules whose jobs are counted; a test holds them against workflow/rules.
IMAGES, TRAIN, EMBED, EVALUATE = "images", "train_run", "embed", "evaluate"
PROBE, PROBE_BASELINES = "probe", "probe_baselines"
# Work -> its rule, its benchmark files, and the end of the names of other ones among these: a network that was written
# as it is before training is no training.
PAST = {
    "training": (TRAIN, "train/*.tsv", "-untrained"),
    "embedding": (EMBED, "embed/*.tsv", None),
    "evaluation": (EVALUATE, "evaluate/*.tsv", None),
    "probing": (PROBE, "probe/*.tsv", None),
    "probing of baselines": (PROBE_BASELINES, "probe_baselines/*.tsv", None),
}


@dataclass(frozen=True)
class Work:
    """What one stage has left to do."""

    stage: str
    items: float  # fields or images
    unit: str
    core_seconds: float | None  # None: no rate is known
    basis: str  # where the time comes from, for people


@dataclass(frozen=True)
class Past:
    """Jobs of a stage that are left, and what they take if each takes as long as the longest so far."""

    stage: str
    jobs: int
    seen: int  # past jobs
    seconds: float  # of the longest of them: one that was killed and went on has only its rest in its file


def list_past(config: Config, jobs: dict[str, int], places: Places) -> list[Past]:
    """The stages with jobs left that this experiment has run before."""
    past = []
    for stage, (rule, pattern, without) in PAST.items():
        left = round(jobs.get(rule, 0) * (_share_trained(config) if rule == TRAIN else 1))
        seconds = past_seconds(places.times, pattern, without)
        if left and seconds:
            past.append(Past(stage, left, len(seconds), max(seconds)))
    return past


def list_work(config: Config, contents: Contents, jobs: dict[str, int], places: Places) -> list[Work]:
    """What the costly stages have left to do, by the jobs that Snakemake counts."""
    embed = config.embed
    height, width = min(embed.height, contents.shape[0]), min(embed.width, contents.shape[1])
    runs = jobs.get(TRAIN, 0) * _share_trained(config)
    trained = runs * config.train.epochs * training_images(config, contents)
    embedded = jobs.get(EMBED, 0) * contents.images
    return [
        _storing(contents, jobs.get(IMAGES, 0), places),
        _network("training", config, trained, config.train.crop, config.train.crop),
        _network("embedding", config, embedded, height, width),
    ]


def _share_trained(config: Config) -> float:
    """Of the runs, those with a training: an untrained control writes its network as it is."""
    names = config.run_names()
    return sum(not name.endswith("-untrained") for name in names) / max(len(names), 1)


def training_images(config: Config, contents: Contents) -> float:
    """Images in the training part, on average over the splits."""
    splits = config.runs.splits.values()
    return sum(_in_training(split, contents) for split in splits) / len(splits)


def _in_training(split: Split, contents: Contents) -> float:
    images = contents.images * contents.treated
    match split.kind:
        case "replicate":
            return images * contents.replicates
        case "published":
            return min(images, PUBLISHED_PAIRS * contents.per_field * len(contents.plates) / PUBLISHED_PLATES)
    return images * (1 - split.validation - split.test)


def _storing(contents: Contents, plates: int, places: Places) -> Work:
    chosen = contents.missing or contents.plates
    fields = plates * sum(contents.fields[plate] for plate in chosen) / len(chosen)
    if past := past_seconds(places.times, "images/*.tsv", of_cores=True):
        seconds = plates * sum(past) / len(past)
        return Work("images", fields, "fields", seconds, f"from {counted(len(past), 'plate')} stored before")
    rate = images_rate()
    return Work("images", fields, "fields", fields / rate.per_core, _basis(rate.per_core, "fields", rate.machine))


def _network(what: str, config: Config, images: float, height: int, width: int) -> Work:
    rate = network_rate(what, config.model, height, width)
    if rate is None:
        network = f"{config.model.encoder}, width {config.model.width}"
        return Work(what, images, "images", None, f"no rate measured: {network}")
    return Work(what, images, "images", images / rate.per_core, _basis(rate.per_core, "images", rate.machine))


def _basis(per_core: float, unit: str, machine: str) -> str:
    return f"{rounded(per_core)} {unit}/s per core ({machine})"
