"""Finds faults of answers, in rows that have a text to write or to find. Legend: N rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from lit_humor.auditing.rows import ERROR, NOTE, WARNING, Finding, Rows
from lit_humor.data.answers import Answers
from lit_humor.data.dividing.similarity import exact_groups, near_pairs, normalise
from lit_humor.data.examples import Examples
from lit_humor.data.preparing.pairs import EMBEDDING, PARTS, WRITING
from lit_humor.data.preparing.preparation import Preparation

_READ = "read them: a model may know such an answer from training"
_KINDS: dict[str, tuple[Literal["error", "warning", "note"], str, str]] = {  # level, title, remedy
    "negatives_equal": (ERROR, "negatives that are an answer of the same text", "delete the negative"),
    "texts_across": (
        WARNING,
        "equal texts in two splits, with different answers",
        "move all rows of a text into one split, as fix=<folder> does",
    ),
    "several_answers": (
        NOTE,
        "texts with several answers within a split",
        "none is needed: each is learned; in one step of a contrastive loss they count as negatives of one another",
    ),
    "answers_copied": (
        WARNING,
        "answers that are equal to their text",
        "correct them: a model learns to repeat what it reads",
    ),
    "answers_across": (WARNING, "equal answers of different texts in two splits", _READ),
    "near_answers_across": (WARNING, "nearly equal answers of different texts in two splits", _READ),
}


def join_answers(splits: Mapping[str, Examples]) -> Answers | None:
    """Return the answers [N] of all splits; None where rows have none."""
    parts = [examples.answers for examples in splits.values()]
    there = [part for part in parts if part is not None]
    if len(there) < len(parts):
        return None
    return Answers(
        texts=[text for part in there for text in part.texts],
        negatives=[texts for part in there for texts in part.negatives],
        instructions=[text for part in there for text in part.instructions],
    )


def equal_rows(groups: Sequence[Sequence[int]], rows: Rows, answers: Answers | None) -> list[list[int]]:
    """Return the groups of rows that are equal in all that is learned: text, and answer where rows have no label.

    Args:
        groups: Row numbers of equal texts, from ``exact_groups``.
        rows: All rows.
        answers: Their answers, or None.
    """
    if answers is None or len(rows.class_names) > 1:
        return [list(group) for group in groups]
    equal: dict[tuple[int, str], list[int]] = defaultdict(list)
    for number, group in enumerate(groups):
        for row in group:
            equal[number, normalise(answers.texts[row])].append(row)
    return [members for members in equal.values() if len(members) > 1]


def answer_findings(
    rows: Rows, answers: Answers, groups: Sequence[Sequence[int]], similarity: float, preparation: Preparation
) -> list[Finding]:
    """Find answers that are copies, are cut, stand in two splits or among their negatives, and texts with several.

    Args:
        rows: All rows.
        answers: Their answers.
        groups: Row numbers of equal texts, from ``exact_groups``.
        similarity: Smallest similarity of two answers that are nearly equal, see ``near_pairs``.
        preparation: How a model reads the answers.

    Returns:
        The findings that have cases.
    """
    texts, written = list(map(normalise, rows.texts)), list(map(normalise, answers.texts))
    several = [group for one in groups if len(group := _first_of_each(one, lambda row: written[row])) > 1]
    alike = near_pairs(answers.texts, similarity)

    def described(row: int, **more: Any) -> dict[str, Any]:
        return rows.describe(row) | {"answer": answers.texts[row]} | more

    cases: dict[str, list[list[dict[str, Any]]]] = {
        "negatives_equal": [[described(row, negative=text)] for row, text in _wrong_negatives(texts, written, answers)],
        "texts_across": [list(map(described, group)) for group in several if _splits(rows, group) > 1],
        "several_answers": [list(map(described, group)) for group in several if _splits(rows, group) == 1],
        "answers_copied": [[described(row)] for row in range(len(rows)) if texts[row] == written[row]],
        "answers_across": [list(map(described, group)) for group in _equal_across(rows, texts, answers)],
        "near_answers_across": [
            [described(one), described(other, similarity=round(value, 3))]
            for one, other, value in alike
            if _splits(rows, (one, other)) > 1 and texts[one] != texts[other]
        ],
    }
    findings = [Finding(kind, *_KINDS[kind], found) for kind, found in cases.items()]
    return [finding for finding in (*findings, _cut_answers(answers, preparation, described)) if finding.cases]


def _splits(rows: Rows, numbers: Sequence[int]) -> int:
    """Number of splits that some rows are of."""
    return len({rows.splits[row] for row in numbers})


def _first_of_each(rows: Sequence[int], key: Callable[[int], object]) -> list[int]:
    """The first row of each key, in order."""
    return list({key(row): row for row in reversed(rows)}.values())[::-1]


def _wrong_negatives(texts: Sequence[str], written: Sequence[str], answers: Answers) -> Iterator[tuple[int, str]]:
    """Yield rows and their negatives that are, but for case and punctuation, an answer of the row's text."""
    of_text: dict[str, set[str]] = defaultdict(set)
    for text, answer in zip(texts, written, strict=True):
        of_text[text].add(answer)
    for row, negatives in enumerate(answers.negatives):
        yield from ((row, negative) for negative in negatives if normalise(negative) in of_text[texts[row]])


def _equal_across(rows: Rows, texts: Sequence[str], answers: Answers) -> Iterator[list[int]]:
    """Yield a row of each split that has an answer of another split; not where all have one text, too."""
    for group in exact_groups(answers.texts):
        apart = _first_of_each(group, lambda row: rows.splits[row])
        if len(apart) > 1 and len({texts[row] for row in group}) > 1:
            yield apart


def _cut_answers(answers: Answers, preparation: Preparation, described: Callable[..., dict[str, Any]]) -> Finding:
    """Find answers whose last tokens a model does not read, and count the tokens."""
    tokenizer: Any = preparation.pretrained.tokenizer
    parts = getattr(preparation, "parts", PARTS[:1])
    room = {EMBEDDING: preparation.settings.max_length - tokenizer.num_special_tokens_to_add()}
    room |= {WRITING: getattr(preparation, "answer_tokens", 0) - 1}  # and the end
    most = min(room[part] for part in parts)
    ids = tokenizer(answers.texts, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
    lengths = list(map(len, ids))
    lost = sum(max(0, length - most) for length in lengths)
    cases = [
        [described(row, tokens=length, lost=f"{(length - most) / length:.0%}")]
        for row, length in enumerate(lengths)
        if length > most
    ]
    title = (
        f"answers of more than {most} tokens, which are cut: {lost / max(1, sum(lengths)):.1%} of all tokens are lost"
    )
    remedy = "set data.max_length, or model.preparation.answer_tokens of a model that writes, higher"
    return Finding("answers_cut", WARNING, title, remedy, cases)
