"""Figures of the numbers: training curves, retrieval accuracy against k, and probing task by task."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cloome.report.scorecard import is_shuffled
from cloome.report.style import CHANCE, COLOURS, LINES, look, styled, svg
from cloome.report.tables import ACCURACY, ALL
from cloome.report.wording import DIRECTIONS, FEATURES, in_words, model_name, widest

BASELINES = ["cell_count", "intensity"]  # the first that was probed stands beside the model (FACTS 3.2, Seal et al.)


def training_curves(logs: dict[str, pd.DataFrame]) -> str:
    """Loss, learning rate and inverse temperature by epoch, one line per run.

    Parameters
    ----------
    logs : dict of DataFrame
        Training logs by name of the run; a validation loss may be missing.

    Returns
    -------
    str
        SVG as data URI.
    """
    with styled():
        figure = Figure(figsize=(9.6, 3.0 + 0.18 * -(-len(logs) // 3)), layout="constrained")
        loss, rate, temperature = figure.subplots(1, 3)
        for number, (name, log) in enumerate(logs.items()):
            line = {"color": COLOURS[number % len(COLOURS)], "linewidth": 1.4}
            dashes = LINES[number // len(COLOURS) % len(LINES)]
            loss.plot(log["epoch"], log["train_loss"], label=name, linestyle=dashes, **line)
            known = log.dropna(subset="validation_loss")
            loss.plot(known["epoch"], known["validation_loss"], linestyle="", marker="o", markersize=2.5, **line)
            rate.plot(log["epoch"], log["learning_rate"], linestyle=dashes, **line)
            temperature.plot(log["epoch"], log["inv_tau"], linestyle=dashes, **line)
        loss.set(title="Loss (line: training, dots: validation)", xlabel="epoch", ylabel="loss")
        rate.set(title="Learning rate", xlabel="epoch", ylabel="learning rate")
        rate.ticklabel_format(axis="y", scilimits=(-2, 2))
        temperature.set(title="Inverse temperature", xlabel="epoch", ylabel="1 / tau")
        temperature.ticklabel_format(axis="y", useOffset=False)
        figure.legend(loc="outside lower center", ncols=3)
        return svg(figure, "Training curves")


def accuracy_curves(table: pd.DataFrame) -> str | None:
    """Top-k accuracy of retrieval against k, one panel per direction and size of the pool.

    Parameters
    ----------
    table : DataFrame
        Table 1, as of `cloome.report.tables.paper_table`.

    Returns
    -------
    str or None
        SVG as data URI; None without reproduced values. Bars: the wider interval; dots in a line: chance.
    """
    shown = (table["features"] == "cloome") & (table["queries"] == "one_per_molecule") & (table["candidates"] == ALL)
    shown &= table["reproduced"].notna() & (table["measure"] == ACCURACY) & ~is_shuffled(table)
    table = table[shown]
    if table.empty:
        return None
    panels = sorted(table.groupby(["pool", "direction"]), key=lambda panel: (-panel[0][0], panel[0][1]))
    models = list(dict.fromkeys(model_name(cell) for cell in table.itertuples()))
    rows = -(-len(panels) // 2)
    with styled():
        figure = Figure(figsize=(8.6, 2.7 * rows + 0.3 + 0.18 * -(-len(models) // 3)), layout="constrained")
        grid = figure.subplots(rows, 2, squeeze=False).ravel()
        for axes, ((pool, direction), panel) in zip(grid, panels, strict=False):
            _accuracies(axes, panel.sort_values("k"), models)
            axes.set(title=f"{DIRECTIONS[direction]}, {pool} candidates", xlabel="k", ylabel="top-k accuracy, %")
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        # Not every panel has every model.
        entries = {
            name: handle for axes in grid for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=3)
        return svg(figure, "Retrieval accuracy against k")


def assay_aucs(tasks: pd.DataFrame) -> tuple[str, str] | None:
    """Test AUC of each probed assay, the model's beside a baseline's.

    Parameters
    ----------
    tasks : DataFrame
        The probing table of one run: columns features, labels, assay and test_auc.

    Returns
    -------
    (str, str) or None
        SVG as data URI, and the baseline; None where no assay was probed with both.
    """
    if "assay" not in tasks:
        return None
    tasks = tasks[tasks["labels"] == "true"].dropna(subset="test_auc")
    wide = tasks.pivot_table(index=_task(tasks), columns="features", values="test_auc", observed=True)
    baseline = next((name for name in BASELINES if name in wide), None)
    if baseline is None or "cloome" not in wide:
        return None
    wide = wide[["cloome", baseline]].dropna().sort_values("cloome", ascending=False, kind="stable")
    if wide.empty:
        return None
    with styled():
        figure = Figure(figsize=(8.6, 3.4), layout="constrained")
        ordered, against = figure.subplots(1, 2, width_ratios=[1.6, 1])
        for number, column in enumerate(wide):
            dots = look(number) | {"linestyle": "", "markersize": 3.5, "label": in_words(column, FEATURES)}
            ordered.plot(range(1, len(wide) + 1), wide[column], **dots)
        ordered.axhline(0.5, **CHANCE)
        ordered.set(title="Assays in the order of the model's AUC", xlabel="assay", ylabel="test AUC", ylim=(0, 1.03))
        ordered.legend(loc="lower left")
        against.plot([0, 1], [0, 1], **CHANCE)
        against.plot(wide[baseline], wide["cloome"], linestyle="", marker="o", markersize=3.5, color=COLOURS[0])
        against.set(xlabel=f"test AUC, {in_words(baseline, FEATURES)}", ylabel="test AUC, CLOOME")
        against.set(title="One dot per assay", aspect="equal", xlim=(0, 1.03), ylim=(0, 1.03))
        return svg(figure, "Test AUC of each assay"), in_words(baseline, FEATURES)


def _accuracies(axes: Axes, panel: pd.DataFrame, models: list[str]) -> None:
    """One line with bars per model, and chance."""
    cells = pd.DataFrame([(model_name(cell), *widest(cell)) for cell in panel.itertuples()], panel.index)
    for number, model in enumerate(models):
        rows = panel[cells[0] == model]
        if rows.empty:
            continue
        low, high = cells.loc[rows.index, 1], cells.loc[rows.index, 2]
        bars = 100 * pd.concat([rows["reproduced"] - low, high - rows["reproduced"]], axis=1).clip(lower=0).T
        ks = rows["k"].astype(float)
        axes.errorbar(ks, 100 * rows["reproduced"], bars, capsize=2, markersize=4, label=model, **look(number))
    chance = panel.drop_duplicates("k")
    axes.plot(chance["k"].astype(float), 100 * chance["chance"], label="chance", **CHANCE)
    ks = sorted(int(k) for k in panel["k"].unique())
    axes.set_xscale("log")
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)


def _task(tasks: pd.DataFrame) -> list[str]:
    """What tells tasks apart: several may be of one assay, at several thresholds (FACTS 2.2)."""
    return ["task", "assay"] if "task" in tasks else ["assay"]
