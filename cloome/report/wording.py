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
    if measure.startswith("mean test"):
        return f"{value:.3f}"
    if measure.endswith("rank"):
        return f"{value:.1f}"
    percent = 100 * value
    return (f"{percent:#.3g}".removesuffix(".") if abs(percent) >= 1 else f"{percent:.3g}") + " %"


def show_interval(low: float, high: float, measure: str) -> str:
    """Two bounds in brackets, or nothing."""
    if pd.isna(low) or pd.isna(high):
        return ""
    return "[" + ", ".join(show(bound, measure).removesuffix(" %") for bound in (low, high)) + "]"


def widest(cell) -> tuple[float, float]:
    """The wider of the exact interval and the one clustered by molecule; NaN where there is neither."""
    lows, highs = pd.Series([cell.low, cell.cluster_low]), pd.Series([cell.high, cell.cluster_high])
    return float(lows.min()), float(highs.max())


def position(low: float, high: float, value: float) -> str:
    """Where an interval lies to a value: above it, below it, or it includes it."""
    if low > value:
        return "above"
    return "below" if high < value else "includes"
