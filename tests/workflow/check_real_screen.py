"""Print what the real screen's runs reached on the held-out plates, averaged over them, and fail below the limits.

The reference with hand-made features is 0.479 (compound) and 0.885 (mechanism), over all wells of this data.
"""

import sys
from pathlib import Path

import pandas as pd

LIMITS = {"image_to_molecule": 0.50, "well_to_compound": 0.55, "well_to_mechanism": 0.92}


def reached(runs: list[Path]) -> pd.DataFrame:
    """Top-1 values and chance levels of the model, one row per direction and run."""
    tables = []
    for run in runs:
        retrieval = pd.read_csv(run / "evaluation/retrieval.csv").query("queries == 'all_images'")
        wells = pd.read_csv(run / "evaluation/replicate_wells.csv")
        tables.append(pd.concat([retrieval, wells]).query("k == 1").assign(run=run.name))
    return pd.concat(tables)


def main(folder: str) -> int:
    runs = sorted(Path(folder, "runs").glob("replicate_*"))
    rows = reached(runs)
    print(rows.pivot_table("value", ["direction", "features"], "run").round(3).to_string())
    print("hand-made reference: compound 0.479, mechanism 0.885")
    print(rows.pivot_table(["chance", "chance_within_batch"], "direction").round(3).to_string())
    means = rows[rows["features"] == "cloome"].groupby("direction")["value"].mean()
    short = {name: limit for name, limit in LIMITS.items() if means[name] < limit}
    for name, limit in LIMITS.items():
        print(f"{name}: {means[name]:.3f} over {len(runs)} held-out replicates, at least {limit} wanted")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
