"""The sections on the page of a run that writes texts. Legend: N rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lit_humor.core.batch import SLICE_COLUMNS
from lit_humor.pages.page import Grid, Section
from lit_humor.tasks.answers import PREDICTION
from lit_humor.tasks.generation import Generation
from lit_humor.tasks.reports.generation.texts import faults, side_by_side
from lit_humor.tasks.reports.numbers import result_grids, slice_grids, with_interval
from lit_humor.tasks.reports.scored import ScoredRun

IN_WORDS = {"perplexity": "perplexity", "chrf": "chrF", "token_f1": "token F1"}  # of the lead sentence
MEANING = (
    "These numbers compare words, or letters, with one answer that a person wrote; none says that a text is funny."
)
_NEEDED = ("text", "answer", PREDICTION, "nll", "answer_tokens", *SLICE_COLUMNS)


def lead(run: ScoredRun) -> str:
    """Return sentences with the main metrics, their intervals, and the perplexity of the baseline."""
    split = run.headline
    results, ends = run.results[split], Generation().intervals(run.predictions[split])
    shown = {name: with_interval(results[name], ends.get(name)) for name in IN_WORDS if results.get(name) is not None}
    baseline = run.baselines.get(split, {}).get("perplexity")
    if baseline is not None and "perplexity" in shown:
        shown["perplexity"] += f" (unigram baseline {with_interval(baseline, None)})"
    numbers = ", ".join(f"{IN_WORDS[name]} {value}" for name, value in shown.items())
    return f"Writing the answers of {results['rows']:,} rows of {split}: {numbers}. {MEANING}"


def results(run: ScoredRun) -> list[Grid]:
    """Return tables of every split's scores with intervals, next to the baseline."""
    return result_grids(run, Generation(), ", answers written", "unigram baseline")


def sections(run: ScoredRun) -> list[Section]:
    """Return sections on texts beside their answers, faults of written texts, and slices."""
    split = _split_with_texts(run)
    columns = run.predictions[split]
    return [
        Section("Texts", [MEANING, *side_by_side(split, columns)]),
        *([Section("Copied, empty, repeated", list(faults(split, columns)))] if PREDICTION in columns else []),
        Section("Texts by slice", [*_slices(run)] or ["The data has no slices."]),
    ]


def calibrate(run: ScoredRun) -> dict[str, float]:
    """Return nothing, since nothing is fitted on validation."""
    return {}


def _split_with_texts(run: ScoredRun) -> str:
    """Return the split of the main results, or another one if texts were written for that alone."""
    written = [split for split, columns in run.predictions.items() if PREDICTION in columns]
    return run.headline if run.headline in written or not written else written[-1]


def _slices(run: ScoredRun) -> list[Grid]:
    columns: Mapping[str, Any] = run.predictions[run.headline]
    needed = {name: columns[name] for name in _NEEDED if name in columns}
    return slice_grids(run.headline, needed, Generation(), ("perplexity", "exact_match", "token_f1"))
