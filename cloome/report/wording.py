"""How the page and the scorecard say things: names of settings, numbers and intervals for people."""

import pandas as pd

DIRECTIONS = {
    "image_to_molecule": "image → molecule",
    "molecule_to_image": "molecule → image",
    "image_to_image": "image → image",
    "image_to_activity": "image → activity",
    "well_to_compound": "well → compound",
    "well_to_mechanism": "well → mechanism",
}
QUERIES = {
    "one_per_molecule": "one image per molecule",
    "all_images_class_means": "all images, a class is the mean of its images",
    "all_images_one_right": "all images, right is the one drawn for the molecule",
    "all_images_any_right": "all images, right is any of the molecule",
    "wells": "images of a well averaged",
    "molecules": "images of a molecule averaged",
    "true": "true labels",
    "shuffled": "shuffled labels",
}
CANDIDATES = {"other_plates": "candidates from other plates only", "same_plate": "candidates on the same plate only"}
FEATURES = {
    "cloome": "CLOOME",
    "intensity": "baseline: intensity",
    "cell_count": "baseline: cell count",
    "plate": "baseline: plate alone",
    "position": "baseline: position alone",
    "plate_and_position": "baseline: plate and position alone",
    "gapnet": "baseline: GapNet",
    "fingerprint": "baseline: structure alone (fingerprint)",
    "cellprofiler_raw": "baseline: CellProfiler wells",
    "cellprofiler_robust": "baseline: CellProfiler wells, normalised by plate",
    "cellprofiler_selected": "baseline: CellProfiler wells, selected features",
    "cellprofiler_sphered": "baseline: CellProfiler wells, sphered",
    "nearest_structure": "baseline: nearest structure (fingerprint)",
    "repaired": "control: re-paired",
}


def in_words(name: str, names: dict[str, str]) -> str:
    """The entry of `names`, otherwise the name itself with spaces."""
    return names.get(name, str(name).replace("_", " "))


def setting_in_words(cell) -> str:
    """Direction, queries, candidates and size of the pool of a row, as far as it has them."""
    words = [in_words(cell.direction, DIRECTIONS), in_words(cell.queries, QUERIES)]
    words.append(CANDIDATES.get(cell.candidates, ""))
    words.append(f"of {cell.pool:.0f}" if pd.notna(cell.pool) else "")
    return ", ".join(filter(None, words))


def model_name(cell) -> str:
    """Split, method and number of seeds in words; for a published value its method."""
    if pd.isna(cell.reproduced):
        return f"{cell.method} ({cell.split} split)"
    return f"{cell.split} split, {cell.method}" + (f", mean of {cell.seeds} seeds" if cell.seeds > 1 else "")


def show(value: float, measure: str) -> str:
    """A number for people: accuracies and shares in percent, means over tasks with three digits, ranks as they are."""
    if pd.isna(value):
        return ""
    if measure.endswith("rank"):
        return f"{value:.1f}"
    if measure.startswith("mean"):
        return f"{value:.3f}"
    percent = 100 * value
    return (f"{percent:#.3g}".removesuffix(".") if abs(percent) >= 1 else f"{percent:.3g}") + " %"


def show_interval(low: float, high: float, measure: str) -> str:
    """Two bounds in brackets, or nothing."""
    if pd.isna(low) or pd.isna(high):
        return ""
    return "[" + ", ".join(show(bound, measure).removesuffix(" %") for bound in (low, high)) + "]"


def show_spread(cell, measure: str) -> str:
    """Smallest and largest value over the seeds in brackets; nothing for a single seed."""
    several = pd.notna(cell.seeds) and cell.seeds > 1
    return show_interval(cell.seed_min, cell.seed_max, measure) if several else ""


def widest(cell) -> tuple[float, float]:
    """The wider of the exact interval and the one clustered by molecule; NaN where there is neither."""
    lows, highs = pd.Series([cell.low, cell.cluster_low]), pd.Series([cell.high, cell.cluster_high])
    return float(lows.min()), float(highs.max())


def position(low: float, high: float, value: float) -> str:
    """Where an interval lies to a value: above it, below it, or it includes it."""
    if low > value:
        return "above"
    return "below" if high < value else "includes"
