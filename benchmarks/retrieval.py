"""Time and memory of ranking: 1,000,000 images against 30,000 molecules, 512 numbers each.

    python benchmarks/retrieval.py [--direction molecule_to_image] [--images N] [--molecules N]

Every image has one molecule, its embedding lies beside that of the molecule, and both are of unit length. In the other
direction, the first image of each molecule is the right one among all images. The ranks of a sample of the queries
must equal those from the full matrix; the benchmark fails if they do not.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from cloome.evaluate.retrieval import ranks

BLOCK = 20_000  # images made at a time
NOISE = 4.0  # length of the noise beside that of the molecule: some ranks are 1 and some are not


def main() -> None:
    """Make the embeddings, rank, compare a sample with the full matrix, print time and memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--molecules", type=int, default=30_000)
    parser.add_argument("--dimensions", type=int, default=512)
    parser.add_argument("--direction", choices=["image_to_molecule", "molecule_to_image"], default="image_to_molecule")
    parser.add_argument("--sample", type=int, default=500, help="queries compared with the full matrix")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    molecules = unit_length(rng.standard_normal((arguments.molecules, arguments.dimensions), dtype=np.float32))
    images, molecule_of = make_images(molecules, arguments.images, rng)
    if arguments.direction == "image_to_molecule":
        queries, candidates, positive = images, molecules, molecule_of
    else:
        shown, first = np.unique(molecule_of, return_index=True)
        queries, candidates, positive = molecules[shown], images, first
    before = peak_memory()
    begin = time.perf_counter()
    found = ranks(queries, candidates, positive)
    seconds = time.perf_counter() - begin
    after = peak_memory()
    sample = np.sort(rng.choice(len(queries), min(arguments.sample, len(queries)), replace=False))
    expected = ranks_from_full_matrix(queries[sample], candidates, positive[sample])
    different = np.count_nonzero(found[sample] != expected)
    print(
        f"{arguments.direction}: {len(queries):,} queries, {len(candidates):,} candidates, {queries.shape[1]} numbers"
    )
    print(f"ranking                        {seconds:8.1f} s")
    print(f"rate                           {2e-9 * len(queries) * candidates.size / seconds:8.1f} GFLOP/s")
    print(f"peak memory before ranking     {before / 1e9:8.2f} GB")
    print(f"peak memory with ranking       {after / 1e9:8.2f} GB")
    print(f"median rank                    {np.median(found):8.0f}")
    print(f"sampled ranks that differ      {different:8d} of {len(sample)}")
    if different:
        raise SystemExit("the ranks are not those of the full matrix")


def make_images(molecules: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of images, float32 (count, D), and the molecule of each, int64 (count,)."""
    molecule_of = rng.integers(len(molecules), size=count)
    images = np.empty((count, molecules.shape[1]), dtype=np.float32)
    for start in range(0, count, BLOCK):
        rows = slice(start, min(start + BLOCK, count))
        noise = unit_length(rng.standard_normal(images[rows].shape, dtype=np.float32))
        images[rows] = unit_length(molecules[molecule_of[rows]] + np.float32(NOISE) * noise)
    return images, molecule_of


def unit_length(values: np.ndarray) -> np.ndarray:
    """Rows brought to unit length."""
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def ranks_from_full_matrix(queries: np.ndarray, candidates: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """The definition of a rank: how many candidates score at least as much as the right one."""
    scores = queries @ candidates.T
    own = scores[np.arange(len(queries)), positive]
    return np.array([np.count_nonzero(row >= score) for row, score in zip(scores, own, strict=True)])


def peak_memory() -> int:
    """Bytes of memory that this process has held at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
