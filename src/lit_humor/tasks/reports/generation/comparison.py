"""Compares two runs that write texts, on the same rows. Legend: N rows, M numbers of a row, R replicates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lit_humor.metrics.generated_texts import row_of
from lit_humor.metrics.intervals import share_interval
from lit_humor.metrics.ngrams import bleu_of, chrf_of, counts_of
from lit_humor.metrics.text_scores import exact_match, token_f1
from lit_humor.pages.page import Grid, Picture, Section
from lit_humor.tasks.answers import PREDICTION
from lit_humor.tasks.generation import perplexities
from lit_humor.tasks.reports.generation.sections import IN_WORDS, MEANING
from lit_humor.tasks.reports.numbers import row_grid
from lit_humor.tasks.reports.paired import (
    Compared,
    Estimate,
    check_rows,
    compare_scores,
    difference_grid,
    differences_in_words,
    differences_of,
    mcnemar,
    mcnemar_grid,
)
from lit_humor.tasks.reports.scored import ScoredRun

_SHARES = {"exact_match": "exact match", "empty": "empty", "copied": "copied"}
_NAMES = IN_WORDS | {"bleu": "BLEU"} | _SHARES
_WILSON = f"Intervals of {', '.join(_SHARES.values())} of A and of B are Wilson's."
_OTHER_TOKENS = "A and B read the answers as different tokens, so their perplexities cannot be compared."
_NOT_WRITTEN = "No rows have texts of both runs; tasks.generation.splits names the splits whose answers a model writes."
_NOTHING = "nothing that is written can be compared: the runs read different tokens, and no rows have texts of both"

Columns = Mapping[str, Sequence[Any]]


def check_same_rows(split: str, runs: tuple[ScoredRun, ScoredRun], fix: str) -> None:
    """Check that two runs have the same rows and answers.

    Raises:
        UserError: They have not; ``fix`` is its remedy.
    """
    check_rows(split, runs, ("id", "text", "answer"), fix)


def sections(split: str, runs: tuple[ScoredRun, ScoredRun]) -> list[Section]:
    """Return differences of scores, and the rows whose texts, or else whose losses, differ most."""
    first, second = (run.predictions[split] for run in runs)
    compared, rows = _compared(first, second), _written(first, second)
    caption, note = f"{split}: {len(first['id']):,} rows, answers written", _WILSON if rows else ""
    parts: list[str | Grid | Picture] = [MEANING if rows else _NOT_WRITTEN]
    parts += [] if _same_tokens(first, second) else [_OTHER_TOKENS]
    parts += [difference_grid(caption, compared, _NAMES, note)] if compared else []
    parts += [mcnemar_grid(*_right(first, second, rows), "writes the answer exactly")] if rows else []
    grids = [_texts(split, first, second, rows)] if rows else _losses(split, first, second)
    return [Section(f"Answers written in {split}", parts), *([Section(f"Texts in {split}", [*grids])] if grids else [])]


def differences(split: str, runs: tuple[ScoredRun, ScoredRun]) -> dict[str, float]:
    """Return differences of the scores that both runs have (second minus first), with the ends of their intervals.

    Perplexities are compared where both runs read the answers as equally many tokens, the others where both wrote;
    there is ``mcnemar_p`` of exact match, too.
    """
    first, second = (run.predictions[split] for run in runs)
    rows = _written(first, second)
    p = {"mcnemar_p": mcnemar(*_right(first, second, rows))[2]} if rows else {}
    return p | differences_of(_compared(first, second))


def right_rows(columns: Columns) -> dict[str, bool]:
    """Return whether the written text is the answer, by the id of each row that has both."""
    if PREDICTION not in columns:
        return {}
    cells = zip(columns["id"], columns["answer"], columns[PREDICTION], strict=True)
    return {name: exact_match(answer, text) for name, answer, text in cells if None not in (answer, text)}


def in_words(differences: Mapping[str, float], names: str) -> str:
    """Return the differences as one line; ``names`` says which run is subtracted from which."""
    if not differences:
        return _NOTHING
    p = f"; McNemar's p of exact match {differences['mcnemar_p']:.4f}" if "mcnemar_p" in differences else ""
    return f"{differences_in_words(differences, IN_WORDS)} ({names}; 95 % intervals){p}"


def _right(first: Columns, second: Columns, rows: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return whether the texts of A and of B are the answers in some rows, [N] bool each."""
    a, b = (
        np.asarray([exact_match(one["answer"][row], one[PREDICTION][row]) for row in rows]) for one in (first, second)
    )
    return a, b


def _same_tokens(first: Columns, second: Columns) -> bool:
    """Whether both models read each answer as equally many tokens; else perplexities cannot be compared."""
    return first["answer_tokens"] == second["answer_tokens"]


def _written(first: Columns, second: Columns) -> list[int]:
    """Return the rows with an answer and texts of both runs."""
    if PREDICTION not in first or PREDICTION not in second:
        return []
    cells = zip(first["answer"], first[PREDICTION], second[PREDICTION], strict=True)
    return [row for row, values in enumerate(cells) if None not in values]


def _compared(first: Columns, second: Columns) -> dict[str, Compared]:
    compared: dict[str, Compared] = {}
    losses = [np.asarray([one["nll"], one["answer_tokens"]], dtype=np.float64).T for one in (first, second)]
    read = losses[0][:, 1] > 0
    if _same_tokens(first, second) and read.any():
        compared |= compare_scores(losses[0][read], losses[1][read], lambda m: {"perplexity": perplexities(m)})
    rows = _written(first, second)
    if not rows:
        return compared
    numbers = [np.asarray([_numbers(one, row) for row in rows]) for one in (first, second)]
    compared |= compare_scores(numbers[0], numbers[1], _scores)
    for name in _SHARES:
        a, b, difference = compared[name]
        ends = [share_interval(one.value * len(rows), len(rows)) for one in (a, b)]
        compared[name] = Compared(Estimate(a.value, ends[0]), Estimate(b.value, ends[1]), difference)
    return compared


def _numbers(columns: Columns, row: int) -> list[float]:
    """Return the [M] numbers that ``_scores`` needs of a row."""
    answer, text = columns["answer"][row], columns[PREDICTION][row]
    found = row_of(columns["text"][row], answer, text, 0)
    f1 = found.common / found.total if found.total else 0.0
    return [f1, found.is_exact, found.is_empty, found.is_copied, *counts_of(answer, text)]


def _scores(means: np.ndarray) -> dict[str, np.ndarray]:
    """Return scores [R] by name from means [R, M]; those of n-grams are quotients, for which means do as sums do."""
    counts = means[:, 4:].tolist()
    of_ngrams = {name: np.asarray([of(one) for one in counts]) for name, of in (("chrf", chrf_of), ("bleu", bleu_of))}
    return {"token_f1": means[:, 0], **of_ngrams, **dict(zip(_SHARES, means[:, 1:4].T, strict=True))}


def _texts(split: str, first: Columns, second: Columns, rows: Sequence[int]) -> Grid:
    """Return a table of the rows whose texts differ, with both texts."""
    differ = [row for row in rows if first[PREDICTION][row] != second[PREDICTION][row]]
    scores = [{row: token_f1(one["answer"][row], one[PREDICTION][row]) for row in differ} for one in (first, second)]
    order = sorted(differ, key=lambda row: -abs(scores[1][row] - scores[0][row]))
    shown = {"answer": first["answer"], "text of A": first[PREDICTION], "text of B": second[PREDICTION]}
    caption = f"{len(differ):,} of {len(rows):,} texts of {split} differ"
    note = "F1 is that of the words of answer and text; the largest differences come first."
    return row_grid(caption, first, order, {**shown, "F1 A": scores[0], "F1 B": scores[1]}, texts=[*shown], note=note)


def _losses(split: str, first: Columns, second: Columns) -> list[Grid]:
    """Return a table of the rows whose answers are likelier in one run than in the other."""
    if not _same_tokens(first, second):
        return []
    tokens = np.maximum(first["answer_tokens"], 1)
    losses = [np.asarray(one["nll"]) / tokens for one in (first, second)]
    order = np.argsort(-np.abs(losses[1] - losses[0]), kind="stable").tolist()
    shown = {"answer": first["answer"], "nll A": losses[0].tolist(), "nll B": losses[1].tolist()}
    caption = f"Answers of {split} whose likelihoods differ most"
    note = "nll is the mean loss of a token of the answer."
    return [row_grid(caption, first, order, shown, texts=("answer",), note=note)]
