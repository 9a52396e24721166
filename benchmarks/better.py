"""What the settings of config/better.yaml bring: held-out accuracies beside those of upstream's settings.

    python benchmarks/better.py --out better.md
    CLOOME_REAL_DATA=../shared/real python benchmarks/better.py --out better.md

Runs the workflow on the demo and, where real data are at hand, on bbbc021, once with config/paper_settings.yaml and
once with config/better.yaml laid over the screen's own configuration: same network, same number of epochs, same splits
and seeds. Prints a Markdown table: mean and standard deviation over the seeds. A run that was stopped goes on.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import yaml

SETTINGS = ("paper_settings", "better")
CONFIGS = {"demo": "config/config.yaml", "bbbc021": "config/bbbc021.yaml"}
# Top-1 accuracies of held-out images, molecules or wells.
MEASURES = {
    "demo": ["image_to_molecule", "molecule_to_image"],
    "bbbc021": ["image_to_molecule", "well_to_compound", "well_to_mechanism"],
}


def run_workflow(screen: str, settings: str, seeds: int, epochs: int | None, cores: int) -> Path:
    """Train and evaluate all seeds of one screen with one set of settings; returns the folder of the runs."""
    name = f"{screen}_{settings}"
    last = {"name": name, "runs": {"seeds": list(range(seeds)), "shuffled_control": False, "untrained_control": False}}
    if epochs:
        last["train"] = {"epochs": epochs}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as overlay:
        yaml.safe_dump(last, overlay)
        overlay.flush()
        files = [CONFIGS[screen], f"config/{settings}.yaml", overlay.name]
        command = [sys.executable, "-m", "snakemake", "table_1", "--quiet", "--cores", str(cores)]
        subprocess.run([*command, "--configfile", *files], check=True)
    return Path("results", name, "runs")


def accuracies(runs: Path, seeds: int) -> pd.DataFrame:
    """Top-1 accuracies of the model: columns run, direction, value, chance."""
    tables = []
    for run in sorted(run for seed in range(seeds) for run in runs.glob(f"*-seed{seed}")):
        retrieval = pd.read_csv(run / "evaluation/retrieval.csv").query("candidates == 'all'")
        # All images as queries; molecules are asked for one image of each, here in the whole pool.
        there = retrieval["queries"] == "all_images"
        back = (retrieval["direction"] == "molecule_to_image") & (retrieval["pool"] == retrieval["pool"].max())
        wells = pd.read_csv(run / "evaluation/replicate_wells.csv")
        tables.append(pd.concat([retrieval[there | back], wells]).assign(run=run.name))
    return pd.concat(tables).query("k == 1 and features == 'cloome'")[["run", "direction", "value", "chance"]]


def markdown(tables: dict[tuple[str, str], pd.DataFrame]) -> str:
    """One row per screen and measure, one column per set of settings; values in percent."""
    lines = [
        "| screen | top-1 accuracy | chance | " + " | ".join(SETTINGS) + " |",
        "|---|---|---|" + "---|" * len(SETTINGS),
    ]
    for screen in dict.fromkeys(screen for screen, _ in tables):
        for direction in MEASURES[screen]:
            groups = [_of(tables[screen, settings], direction) for settings in SETTINGS]
            chance = 100 * groups[0]["chance"].mean()
            cells = [f"{100 * group['value'].mean():.1f} ± {100 * group['value'].std():.1f}" for group in groups]
            lines.append(f"| {screen} | {direction.replace('_', ' ')} | {chance:.1f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _of(table: pd.DataFrame, direction: str) -> pd.DataFrame:
    return table[table["direction"] == direction]


def main() -> None:
    """Run all screens and settings, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="at least 2 for a spread; default %(default)s"
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="for a trial; default: those of the configurations")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), metavar="N", help="default all: %(default)s")
    parser.add_argument("--out", type=Path, required=True, metavar="MD", help="table to write, in Markdown")
    arguments = parser.parse_args()
    screens = ["demo"]
    if real := os.environ.get("CLOOME_REAL_DATA"):
        screens.append("bbbc021")
        link = Path("resources/bbbc021")
        link.parent.mkdir(exist_ok=True)
        if not link.exists():
            link.symlink_to(Path(real, "bbbc021").resolve())
    tables = {}
    for screen in screens:
        for settings in SETTINGS:
            runs = run_workflow(screen, settings, arguments.seeds, arguments.epochs, arguments.cores)
            tables[screen, settings] = accuracies(runs, arguments.seeds)
    text = markdown(tables)
    arguments.out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
