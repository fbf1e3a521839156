"""Compares two runs that find answers by vectors, on the same rows. Legend: N rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lit_humor.metrics.ranks import RECALLS, scores_of_ranks
from lit_humor.pages.page import Section
from lit_humor.tasks.embedding import RANK, ranks_in
from lit_humor.tasks.reports.embedding.neighbours import answer_of
from lit_humor.tasks.reports.embedding.sections import CANDIDATES, IN_WORDS, NO_VECTORS, ranked
from lit_humor.tasks.reports.numbers import row_grid
from lit_humor.tasks.reports.paired import (
    Compared,
    check_rows,
    compare_scores,
    difference_grid,
    differences_in_words,
    differences_of,
    mcnemar,
    mcnemar_grid,
)
from lit_humor.tasks.reports.scored import ScoredRun

_NAMES = {f"recall_at_{most}": f"recall@{most}" for most in RECALLS} | IN_WORDS
_NOTE = "The largest differences of 1 / rank come first. A rank that ends in .5 is shared with another answer."


def check_same_rows(split: str, runs: tuple[ScoredRun, ScoredRun], fix: str) -> None:
    """Check that two runs have the same rows and answers.

    Raises:
        UserError: They have not; ``fix`` is its remedy.
    """
    check_rows(split, runs, ("id", "text", "answer"), fix)


def sections(split: str, runs: tuple[ScoredRun, ScoredRun]) -> list[Section]:
    """Return differences of scores with McNemar's test of recall@1, and the rows whose ranks differ most."""
    title, ranks = f"Answers found in {split}", _ranks(split, runs)
    if ranks is None:
        return [Section(title, [NO_VECTORS])]
    first, second = ranks
    grid = difference_grid(f"{split}: {len(first):,} rows, answers found", _compared(first, second), _NAMES)
    test = mcnemar_grid(first <= 1, second <= 1, "ranks the answer first")
    columns, gaps = runs[0].predictions[split], 1 / second - 1 / first
    differ = np.flatnonzero(gaps)
    rows = differ[np.argsort(-np.abs(gaps[differ]), kind="stable")].tolist()
    counts = f"{(gaps > 0).sum():,} better in B, {(gaps < 0).sum():,} better in A, {(gaps == 0).sum():,} alike"
    shown = {
        "answer": {row: answer_of(columns, row) for row in rows},
        "rank A": {row: f"{first[row]:g}" for row in rows},
        "rank B": {row: f"{second[row]:g}" for row in rows},
    }
    table = row_grid(f"Ranks of the answers of {split}: {counts}", columns, rows, shown, texts=("answer",), note=_NOTE)
    return [Section(title, [CANDIDATES, grid, test]), Section(f"Ranks in {split}", [table])]


def differences(split: str, runs: tuple[ScoredRun, ScoredRun]) -> dict[str, float]:
    """Return ``mcnemar_p`` of recall@1, and differences of recalls and MRR with their ends; none without vectors."""
    ranks = _ranks(split, runs)
    if ranks is None:
        return {}
    return {"mcnemar_p": mcnemar(*(one <= 1 for one in ranks))[2], **differences_of(_compared(*ranks))}


def in_words(differences: Mapping[str, float], names: str) -> str:
    """Return the differences as one line; ``names`` says which run is subtracted from which."""
    if not differences:
        return NO_VECTORS
    gaps = f"{differences_in_words(differences, IN_WORDS)} ({names}; 95 % intervals)"
    return f"{gaps}; McNemar's p of recall@1 {differences['mcnemar_p']:.4f}"


def _ranks(split: str, runs: tuple[ScoredRun, ScoredRun]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the ranks [N] of both runs; None if one has no vectors."""
    first, second = (ranked(run)[split] for run in runs)
    return (ranks_in(first), ranks_in(second)) if RANK in first and RANK in second else None


def _compared(*ranks: np.ndarray) -> dict[str, Compared]:
    first, second = (scores_of_ranks(one) for one in ranks)
    values = [np.stack([*scores.values()], axis=1) for scores in (first, second)]
    return compare_scores(values[0], values[1], lambda means: dict(zip(first, means.T, strict=True)))
