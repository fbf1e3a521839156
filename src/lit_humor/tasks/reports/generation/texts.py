"""Tables of written texts: beside their answers, and those that are copied, empty or repeated. Legend: N rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lit_humor.metrics.text_scores import is_copied, is_empty, normalized, token_f1
from lit_humor.pages.page import Grid
from lit_humor.tasks.answers import PREDICTION
from lit_humor.tasks.reports.numbers import SHOWN, Cells, row_grid

MOST_ROWS = 200
_ENDS = 50  # rows with the best F1 and with the worst, each
_WRITTEN, _F1, _LOSS, _PLACE = "written text", "F1", "nll", "part"
_NOT_WRITTEN = (
    "No texts were written for these rows, so only their answers are shown; tasks.generation.splits names the splits "
    "whose answers a model writes."
)
_OF_TOKENS = "nll is the mean loss of a token of the answer."
Columns = Mapping[str, Sequence[Any]]


def side_by_side(split: str, columns: Columns) -> list[Grid | str]:
    """Return a table of texts, answers and written texts: the best, the worst, and evenly spaced ones."""
    pairs = zip(columns["nll"], columns["answer_tokens"], strict=True)
    losses = [loss / tokens if tokens else 0.0 for loss, tokens in pairs]
    shown: dict[str, Cells] = {"answer": columns["answer"]}
    if PREDICTION not in columns:
        order = sorted(range(len(losses)), key=lambda row: losses[row])
        chosen, places = _spread(order)
        shown |= {_LOSS: losses, **places}
        caption = f"Answers of {split}, from the likeliest to the least likely"
        return [
            _NOT_WRITTEN,
            row_grid(caption, columns, chosen, shown, texts=("answer",), limit=MOST_ROWS, note=_OF_TOKENS),
        ]
    scores = [_f1(answer, text) for answer, text in zip(columns["answer"], columns[PREDICTION], strict=True)]
    order = sorted(range(len(scores)), key=lambda row: (-scores[row], losses[row]))
    chosen, places = _spread(order)
    shown |= {_WRITTEN: columns[PREDICTION], _F1: scores, _LOSS: losses, **places}
    note = f"F1 is that of the words of answer and written text, from the best to the worst; {_OF_TOKENS}"
    caption = f"Texts of {split} beside what was written: {len(chosen)} of {len(order):,} rows"
    texts = ("answer", _WRITTEN)
    return [row_grid(caption, columns, chosen, shown, texts=texts, limit=MOST_ROWS, note=note)]


def faults(split: str, columns: Columns) -> list[Grid | str]:
    """Return tables of the most frequent written texts, of those copied from the text, and of empty ones."""
    texts = columns[PREDICTION]
    rows = [row for row, text in enumerate(texts) if text is not None]
    empty = [row for row in rows if is_empty(texts[row])]
    copied = [row for row in rows if is_copied(columns["text"][row], texts[row])]
    shown = {"answer": columns["answer"]}
    parts: list[Grid | str] = [_repeated(split, [texts[row] for row in rows])]
    if copied:
        caption = f"{len(copied):,} of {len(rows):,} texts of {split} are a part of what stands before them"
        parts.append(row_grid(caption, columns, copied, {_WRITTEN: texts, **shown}, texts=(_WRITTEN, "answer")))
    else:
        parts.append(f"None of the {len(rows):,} written texts is a part of what stands before it.")
    if empty:
        caption = f"{len(empty):,} of {len(rows):,} texts of {split} are empty"
        parts.append(row_grid(caption, columns, empty, shown, texts=("answer",)))
    else:
        parts.append(f"None of the {len(rows):,} written texts is empty.")
    return parts


def _repeated(split: str, texts: Sequence[str]) -> Grid:
    """Return a table of the texts that were written most often; case and punctuation do not count."""
    keys = [normalized(text) for text in texts]
    first = dict(zip(reversed(keys), reversed(texts), strict=True))
    counts = Counter(keys)
    rows = [
        [str(count), f"{count / len(texts):.1%}", first[key].strip() or "(empty)"]
        for key, count in counts.most_common(SHOWN)
        if count > 1
    ]
    caption = f"{len(counts):,} different texts in {len(texts):,} rows of {split}; those written more than once"
    note = "Texts that differ in case or punctuation alone are one text."
    return Grid(caption, ["rows", "share", _WRITTEN], rows, note, bool(rows), texts=(2,))


def _f1(answer: str | None, text: str | None) -> float:
    return token_f1(answer, text) if answer is not None and text is not None else 0.0


def _spread(order: Sequence[int]) -> tuple[list[int], dict[str, dict[int, str]]]:
    """Choose at most 200 rows of an order: both ends, and evenly spaced ones between.

    Returns:
        The rows in that order; and, if some were left out, a column that says which part each is of.
    """
    if len(order) <= MOST_ROWS:
        return list(order), {}
    best, middle, worst = order[:_ENDS], order[_ENDS:-_ENDS], order[-_ENDS:]
    count = MOST_ROWS - 2 * _ENDS
    spaced = [middle[index * len(middle) // count] for index in range(count)]
    parts = {"best": best, "between": spaced, "worst": worst}
    return [*best, *spaced, *worst], {_PLACE: {row: name for name, rows in parts.items() for row in rows}}
