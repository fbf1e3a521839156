"""The sections on the page of a run that finds answers by their vectors. Legend: N rows, C different answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lit_humor.pages.figures import ONE, OTHER, draw
from lit_humor.pages.page import Grid, Picture, Section
from lit_humor.tasks.embedding import KEY, PASSAGE, QUERY, RANK, Embedding, ranks_in
from lit_humor.tasks.reports.embedding.neighbours import neighbours
from lit_humor.tasks.reports.numbers import result_grids, slice_grids, with_interval
from lit_humor.tasks.reports.scored import ScoredRun

IN_WORDS = {"recall_at_1": "recall@1", "recall_at_10": "recall@10", "mrr": "MRR"}  # of the lead sentence
_MOST = 50  # answers of the picture
_SHOWN = (1, 2, 3, 5, 10, 20, 30, 50)  # of them, in the table
CANDIDATES = (
    "An answer is looked for among those of all rows of the split, each different answer once: an equal answer of "
    "another row counts as found."
)
NO_VECTORS = "The vectors of the rows do not lie beside their predictions, so no ranks and neighbours are shown."


def lead(run: ScoredRun) -> str:
    """Return a sentence with the main metrics and their intervals."""
    split = run.headline
    results, ends = run.results[split], Embedding().intervals(ranked(run)[split])
    numbers = ", ".join(
        f"{words} {with_interval(results[name], ends.get(name))}"
        for name, words in IN_WORDS.items()
        if results.get(name) is not None
    )
    return f"Finding the answers of {results['rows']:,} rows of {split}: {numbers}."


def results(run: ScoredRun) -> list[Grid]:
    """Return tables of every split's scores with intervals, next to the baseline."""
    with_ranks = ScoredRun(
        predictions=ranked(run), results=run.results, baselines=run.baselines, origins=run.origins, kept=run.kept
    )
    return result_grids(with_ranks, Embedding(), ", answers found")


def sections(run: ScoredRun) -> list[Section]:
    """Return sections on recall, on rows with what lies near them, and on slices."""
    split = run.headline
    columns = ranked(run)[split]
    if RANK not in columns:
        return [Section("Recall", [NO_VECTORS])]
    ranks, num_answers = ranks_in(columns), len(set(columns[KEY]))
    baseline = run.baselines.get(split, {})
    recall: list[str | Grid | Picture] = [
        f"{CANDIDATES} {split} has {len(ranks):,} rows and {num_answers:,} different answers.",
        _picture(split, ranks, num_answers, baseline),
        _recalls(split, ranks, num_answers, baseline),
    ]
    without_vectors = {name: values for name, values in columns.items() if name not in (QUERY, PASSAGE)}
    slices = slice_grids(split, without_vectors, Embedding(), ("recall_at_10", "mrr"))
    return [
        Section("Recall", recall),
        Section("Neighbours", [*neighbours(split, columns)]),
        Section("Recall by slice", [CANDIDATES, *slices] if slices else ["The data has no slices."]),
    ]


def calibrate(run: ScoredRun) -> dict[str, float]:
    """Return nothing, since nothing is fitted on validation."""
    return {}


def ranked(run: ScoredRun) -> Mapping[str, Mapping[str, Any]]:
    """Return the predictions of all splits with ``rank`` where there are vectors; worked out once for a run."""
    if "ranked" not in run.kept:
        run.kept["ranked"] = {
            split: {**columns, RANK: ranks_in(columns)} if {QUERY, PASSAGE, KEY} <= columns.keys() else columns
            for split, columns in run.predictions.items()
        }
    kept: Mapping[str, Mapping[str, Any]] = run.kept["ranked"]
    return kept


def _picture(split: str, ranks: np.ndarray, num_answers: int, baseline: Mapping[str, Any]) -> Picture:
    """Draw the share of rows whose answer is among the first k, beside chance and the baseline."""
    most = np.arange(1, min(_MOST, num_answers) + 1)

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot(most, [(ranks <= k).mean() for k in most], color=ONE, label="model")
        known = {k: value for k in most if isinstance(value := baseline.get(f"recall_at_{k}"), float)}
        if known:
            axes.plot([*known], [*known.values()], "x", color=OTHER, label="TF-IDF baseline")
        axes.plot(most, most / num_answers, linestyle=":", color="gray", label="chance")
        axes.set(xlabel="k: answers that are looked at", ylabel="share of rows found", ylim=(0, 1.02))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)

    return draw(f"Recall at k ({split})", paint, (5.5, 3.6))


def _recalls(split: str, ranks: np.ndarray, num_answers: int, baseline: Mapping[str, Any]) -> Grid:
    """Return a table of the numbers of the picture."""
    rows = []
    for k in (k for k in _SHOWN if k <= num_answers):
        known = baseline.get(f"recall_at_{k}")
        numbers = f"{(ranks <= k).mean():.3f}", f"{known:.3f}" if isinstance(known, float) else ""
        rows.append([str(k), *numbers, f"{k / num_answers:.3f}"])
    note = f"Median rank of the row's own answer: {np.median(ranks):g}; by chance it is {(num_answers + 1) / 2:g}."
    return Grid(f"{split}: share of rows found", ["k", "model", "TF-IDF baseline", "chance"], rows, note)
