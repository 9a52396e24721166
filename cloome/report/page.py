"""The page: everything the template shows, and its rendering into one self-contained file."""

from dataclasses import dataclass

import jinja2
import pandas as pd
import yaml

from cloome import __version__
from cloome.config import Config
from cloome.data.index import read_index
from cloome.data.molecules import read_molecules
from cloome.report.controls import controls
from cloome.report.embedding_map import embedding_map
from cloome.report.figures import accuracy_curves, assay_aucs, training_curves
from cloome.report.gallery import gallery
from cloome.report.heat_maps import map_measures, plate_maps, plate_strip
from cloome.report.held_out import HeldOut, read_held_out
from cloome.report.page_evaluations import other_tables
from cloome.report.page_tables import by_k, peer_rows, probing_table
from cloome.report.runs import PROBING, Run, read_evaluation, read_log
from cloome.report.scorecard import card_rows, is_headline, is_paper_screen, scorecard
from cloome.report.summary import refused_by_plate, refused_by_reason, summarise
from cloome.report.tables import TITLES, collect, in_paper, read_peers

SMALLEST_MAP = 4  # t-SNE needs neighbours


@dataclass(frozen=True)
class Sources:
    """The files that a page is made of."""

    index: str
    molecules: str
    plates: list[str]
    splits: str


def render(config: Config, runs: list[Run], tables: dict[int, pd.DataFrame], sources: Sources) -> str:
    """The page as HTML text.

    Parameters
    ----------
    config : Config
        The experiment.
    runs : list of Run
        All runs; map and gallery show the first that is no control, if there is one.
    tables : dict of DataFrame
        The four tables by number.
    sources : Sources
        Index, molecules, plate stores and splits.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cloome.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html").render(_context(config, runs, tables, sources))


def _context(config: Config, runs: list[Run], tables: dict[int, pd.DataFrame], sources: Sources) -> dict:
    index, molecules = read_index(sources.index), read_molecules(sources.molecules)
    is_paper = is_paper_screen(config)
    models = sorted((run for run in runs if not run.shuffled), key=lambda run: run.untrained)
    held_out = read_held_out(models[0], sources.splits, index, molecules) if models else None
    logs = {run.name: read_log(run) for run in runs if not (run.published or run.untrained)}
    return {
        "name": config.name,
        "screen": config.screen.name,
        "simulated": config.simulate is not None,
        "is_paper": is_paper,
        "percent": f"{100 * config.evaluate.confidence:.4g} %",
        "version": __version__,
        "settings": yaml.safe_dump(
            config.model_dump(mode="json", exclude={"running"}), sort_keys=False, allow_unicode=True
        ),
        "counts": summarise(index, molecules, sources.plates),
        "refused": refused_by_reason(sources.plates, sources.index, sources.molecules),
        "worst_plates": refused_by_plate(index, sources.plates),
        "filters": [key for key, value in config.quality if key != "refused_limit" and value],
        **_tables_context(tables, is_paper),
        "probing_by": {"protocol": config.evaluate.probe_protocol, "level": config.evaluate.probe_level},
        "others": other_tables(runs),
        "replicates": by_k(collect("replicate_wells", models)) if models else by_k(tables[1].iloc[:0]),
        "controls": controls(tables),
        "run_names": [run.name for run in runs],
        "trained": list(logs),
        "curves": training_curves(logs) if logs else None,
        "accuracies": accuracy_curves(tables[1]),
        "assays": _assays(models),
        **_plates_context(config, index),
        **_held_out_context(config, held_out, sources.plates),
    }


def _tables_context(tables: dict[int, pd.DataFrame], is_paper: bool) -> dict:
    """Scorecard, the paper's tables in its setting and in others, and the values of others."""
    card = scorecard(tables, is_paper)
    main = {number: in_paper(tables[number], number) for number in (1, 3, 4)}
    return {
        "headline": card_rows(card[is_headline(card)]),
        "scorecard": card_rows(card),
        "titles": TITLES,
        "tables": {number: by_k(tables[number][rows]) for number, rows in main.items()},
        "more_tables": {number: by_k(tables[number][~rows]) for number, rows in main.items()},
        "probing": probing_table(tables[2]),
        "paper_sources": _paper_sources(tables),
        "peers": peer_rows(read_peers()),
    }


def _assays(models: list[Run]) -> dict | None:
    """The figure of the assays of the first model that was probed, its name and the baseline's."""
    for run in models:
        drawn = assay_aucs(read_evaluation(run, PROBING))
        if drawn:
            return {"picture": drawn[0], "baseline": drawn[1], "run": run.name}
    return None


def _plates_context(config: Config, index: pd.DataFrame) -> dict:
    """The strip over all plates, and the maps, or None where the index holds none of their measures."""
    measures = map_measures(index, config.screen.channels, config.images.nuclei)
    maps, shown = plate_maps(index, measures) if measures else (None, [])
    return {
        "plate_strip": plate_strip(index),
        "plate_maps": maps,
        "mapped_plates": shown,
        "mapped_measures": list(measures.values()),
        "indexed_plates": index["plate"].nunique(),
    }


def _held_out_context(config: Config, held_out: HeldOut | None, plates: list[str]) -> dict:
    """Map and gallery, or None where the test part has too little to show."""
    nothing = {"map": None, "gallery": None, "shown_run": "", "test_images": 0, "test_molecules": 0}
    if held_out is None or not len(held_out.fields):
        return nothing
    seed = config.evaluate.seed
    enough = len(held_out.fields) + len(held_out.molecules) >= SMALLEST_MAP
    return {
        "map": embedding_map(held_out, seed) if enough else None,
        "gallery": gallery(held_out, plates, config.images.nuclei, seed),
        "shown_run": held_out.run,
        "test_images": len(held_out.fields),
        "test_molecules": len(held_out.molecules),
    }


def _paper_sources(tables: dict[int, pd.DataFrame]) -> dict[int, list[str]]:
    """Where the values beside the reproduced ones come from, by number of the table."""
    return {number: sorted(set(table["paper_source"].dropna())) for number, table in tables.items()}
