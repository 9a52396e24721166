"""Print what the demo reached on molecules held out of training, and fail below its limits.

Every seed: top-1, image to molecule, at least 5 times chance, and the interval clustered by molecule above chance.
The controls, trained on shuffled pairs or not at all: their intervals include chance. No table is empty, and re-paired
answers sit at chance.
"""

import sys
from pathlib import Path

import pandas as pd
from controls import problems


def top_1(run: Path) -> pd.Series:
    """Image to molecule, all test images against all test molecules."""
    table = pd.read_csv(run / "evaluation/retrieval.csv")
    wanted = "features == 'cloome' and direction == 'image_to_molecule' and queries == 'all_images' and k == 1"
    return table.query(f"{wanted} and candidates == 'all'").iloc[0]


def main(folder: str) -> int:
    failed = False
    for run in sorted(Path(folder, "runs").iterdir()):
        row = top_1(run)
        control = run.name.endswith(("-shuffled", "-untrained"))
        inside = row.cluster_low <= row.chance <= row.cluster_high
        good = inside if control else row.value >= 5 * row.chance and row.cluster_low > row.chance
        print(
            f"{run.name}: top-1 {row.value:.3f} [{row.cluster_low:.3f}, {row.cluster_high:.3f}], "
            f"chance {row.chance:.3f}, {row.value / row.chance:.1f} times chance: {'good' if good else 'WRONG'}"
        )
        wrong = problems(run, probed=True)
        print(*(f"{run.name}: {problem}" for problem in wrong), sep="\n", end="\n" if wrong else "")
        failed |= not good or bool(wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
