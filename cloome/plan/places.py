"""Where an experiment's files lie, relative to the folder of the Snakefile."""

from dataclasses import dataclass
from pathlib import Path

from cloome.config import Config
from cloome.config_files import screen_id, store_id


@dataclass(frozen=True)
class Places:
    """The folders of an experiment; a test holds them against workflow/rules/common.smk."""

    results: Path
    resources: Path
    store: Path  # of the plates
    times: Path  # Snakemake's benchmark files

    @classmethod
    def of(cls, config: Config) -> "Places":
        """The folders of a configuration."""
        return cls(
            results=Path("results") / config.name,
            resources=Path("resources") / screen_id(config),
            store=Path("results/plates") / f"{config.screen.name}-{store_id(config)}",
            times=Path("benchmarks/results") / config.name,
        )
