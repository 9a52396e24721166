"""What each stage of past runs took, from Snakemake's benchmark files: time, memory, and disk of what it wrote.

    python benchmarks/costs.py demo bbbc021

A table in Markdown, as in docs/running.md. Times are those of single jobs, whatever ran beside them; the disk is that
of the files which lie there now.
"""

import argparse
from pathlib import Path

import pandas as pd

# Stage -> its benchmark files and its files, below the folders of an experiment's times and results. Plates and
# downloads are shared by experiments and stand below their own folders.
STAGES = {
    "download": ("download/*.tsv", []),
    "images": ("images/*.tsv", []),
    "molecules": ("molecules.tsv", ["index.parquet", "molecules.h5", "*.refused.csv"]),
    "train": ("train/*.tsv", ["runs/*/model.pt", "runs/*/train_log.csv"]),
    "embed": ("embed/*.tsv", ["runs/*/embeddings.h5"]),
    "evaluate": ("evaluate/*.tsv", ["runs/*/evaluation/*.csv"]),
    "evaluate: probing": ("probe*/*.tsv", ["baselines/*/*.csv", "runs/*/evaluation/probing*.csv"]),
    "report": ("report/*.tsv", ["report/*"]),
}


def costs(times: Path, results: Path) -> pd.DataFrame:
    """One row per stage that has run: jobs, seconds, largest memory, megabytes on the disk."""
    rows = []
    for stage, (pattern, files) in STAGES.items():
        jobs = pd.concat(
            [pd.read_csv(path, sep="\t", na_values="-") for path in sorted(times.glob(pattern))] or [pd.DataFrame()]
        )
        if jobs.empty:
            continue
        size = sum(path.stat().st_size for name in files for path in results.glob(name))
        row = {"stage": stage, "jobs": len(jobs), "all jobs, s": jobs["s"].sum(), "longest, s": jobs["s"].max()}
        row |= {"memory, GB": jobs["max_rss"].max() / 1024, "disk, MB": size / 1e6 if files else None}
        rows.append(row)
    return pd.DataFrame(rows)


def main() -> None:
    """Print a table for each experiment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", help="names of experiments that have run in this folder")
    for name in parser.parse_args().experiments:
        table = costs(Path("benchmarks/results", name), Path("results", name))
        print(f"{name}\n\n| {' | '.join(table.columns)} |\n|{'---|' * len(table.columns)}")
        for row in table.itertuples(index=False):
            cells = [f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row]
            print(f"| {' | '.join('' if cell == 'nan' else cell for cell in cells)} |")
        print()


if __name__ == "__main__":
    main()
