"""The numbers of a split of prompts, answers and generated texts, by the standard library alone. Legend: N rows."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from lit_humor.metrics import ngrams, text_scores


class TextRow(NamedTuple):
    """What the numbers of a split need of a row: whole numbers, so that sums of them are exact."""

    tokens: int  # of the answer; 0 where there is none
    is_generated: int
    is_compared: int  # whether there are a text and an answer
    is_empty: int
    is_copied: int
    is_exact: int
    common: int  # as ``text_scores.common_words``
    total: int
    key: int  # of the text


def row_of(prompt: str, answer: str | None, text: str | None, tokens: int) -> TextRow:
    """The numbers of a row; None: it has no answer, or no text was generated."""
    if text is None:
        return TextRow(tokens, 0, 0, 0, 0, 0, 0, 0, 0)
    is_exact, common, total = False, 0, 0
    if answer is not None:
        is_exact = text_scores.exact_match(answer, text)
        common, total = text_scores.common_words(answer, text)
    is_empty, is_copied = text_scores.is_empty(text), text_scores.is_copied(prompt, text)
    of_text = (int(is_empty), int(is_copied), int(is_exact), common, total, text_scores.key_of(text))
    return TextRow(tokens, 1, int(answer is not None), *of_text)


def measure_texts(
    prompts: Sequence[str],
    answers: Sequence[str | None],
    texts: Sequence[str | None],
    nll: Sequence[float],
    tokens: Sequence[int],
) -> dict[str, Any]:
    """The numbers of ``GenerationMetrics`` without slices, of a whole split.

    Args:
        prompts: [N] what the model was given.
        answers: [N] what it should have said; None for rows without an answer.
        texts: [N] what it said; None for rows where nothing was generated.
        nll: [N] negative log-likelihoods of the answers in nats, sums over their tokens.
        tokens: [N] tokens of the answers, the end of the text included; 0 for rows without an answer.

    Returns:
        ``rows``; ``perplexity``, None without tokens; where texts were generated ``empty``, ``copied``, ``distinct``;
        where they have answers ``exact_match``, ``token_f1``, ``chrf`` and ``bleu``.

    Raises:
        ValueError: The columns have different lengths.
    """
    rows = [row_of(*columns) for columns in zip(prompts, answers, texts, tokens, strict=True)]
    counts = [0] * ngrams.NUM_COUNTS
    for answer, text in zip(answers, texts, strict=True):
        if answer is not None and text is not None:
            counts = [a + b for a, b in zip(counts, ngrams.counts_of(answer, text), strict=True)]
    return {**numbers_of(rows, nll, counts), "slices": {}}


def numbers_of(rows: Sequence[TextRow], nll: Sequence[float], counts: Sequence[int]) -> dict[str, Any]:
    """The numbers that ``measure_texts`` describes, the same for every order of the rows.

    Args:
        rows: [N].
        nll: [N] as in ``measure_texts``.
        counts: Sums over rows of ``ngrams.counts_of``.
    """
    numbers: dict[str, Any] = {"rows": len(rows), "perplexity": perplexity_of(rows, nll)}
    generated = [row for row in rows if row.is_generated]
    if generated:
        numbers["empty"] = sum(row.is_empty for row in generated) / len(generated)
        numbers["copied"] = sum(row.is_copied for row in generated) / len(generated)
        numbers["distinct"] = len({row.key for row in generated}) / len(generated)
    compared = [row for row in rows if row.is_compared]
    if compared:
        numbers["exact_match"] = share_exact(compared)
        numbers["token_f1"] = mean_f1(compared)
        numbers["chrf"], numbers["bleu"] = ngrams.chrf_of(counts), ngrams.bleu_of(counts)
    return numbers


def share_exact(compared: Sequence[TextRow]) -> float:
    """Share of rows, at least one, whose text is the answer; see ``text_scores.exact_match``."""
    return sum(row.is_exact for row in compared) / len(compared)


def mean_f1(compared: Sequence[TextRow]) -> float:
    """Mean of ``text_scores.token_f1`` over rows, at least one."""
    return math.fsum(row.common / row.total for row in compared if row.total) / len(compared)


def perplexity_of(rows: Sequence[TextRow], nll: Sequence[float]) -> float | None:
    """Exponential of the mean over all tokens, at most the largest float; None without tokens."""
    tokens = sum(row.tokens for row in rows)
    if not tokens:
        return None
    mean = math.fsum(value for row, value in zip(rows, nll, strict=True) if row.tokens) / tokens
    return sys.float_info.max if mean > math.log(sys.float_info.max) else math.exp(mean)
