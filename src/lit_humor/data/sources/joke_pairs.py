"""The user's own queries with the texts to be found for them, and turns to be written, in the form of GritLM's data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lit_humor.core.batch import TEST, TRAIN, VAL
from lit_humor.core.errors import UserError, shorten
from lit_humor.core.seeds import derive_seed
from lit_humor.data.answers import Answers
from lit_humor.data.examples import Examples, build_examples
from lit_humor.data.reading.columns import Columns
from lit_humor.data.reading.places import name_place
from lit_humor.data.reading.separated import EXPECTED
from lit_humor.data.reading.tables import LINE, Table, read_table

_QUERY, _POSITIVE, _NEGATIVE, _TURNS, _INSTRUCTION = "query", "pos", "neg", "text", "instruction"
_SAID = "passage instructions"  # of the answer, then of each negative
_PAIR = Columns(text_column=_QUERY, answer_column=_POSITIVE, negative_column=_NEGATIVE, instruction_column=_INSTRUCTION)
_TO_WRITE = Columns(text_column="user", answer_column="assistant")
_A_TEXT = '"...", or ["<instruction>", "..."]'


@dataclass(kw_only=True)
class JokePairs:
    """Rows to embed, one file for each split, and rows to write, for training alone: JSONL, JSON, Parquet or CSV.

    A row to embed is ``{"query": text, "pos": [text, ...], "neg": [text, ...]}``, where each text may be
    ``[instruction, text]``. The first positive is the row's answer; the others are not read. A row to write is
    ``{"text": [user, assistant]}``. A row's ``id``, if any, is kept. A cell of CSV or TSV is a text, or a list as JSON.

    Attributes:
        train_path: Rows to embed, for training; splits without a file are drawn from them.
        val_path: The same for validation, or None.
        test_path: The same for the test, or None.
        writing_path: Rows to write, or None.
        writing_share: Share of the training rows that are from ``writing_path``, in (0, 1): all rows of one stream, and
            of the other, which has too few, each row so many whole times, and the rest drawn without replacement. None
            takes all rows of both once.
        also_write: Whether rows to embed train writing, too: the answer of the query.
    """

    train_path: str | None = None
    val_path: str | None = None
    test_path: str | None = None
    writing_path: str | None = None
    writing_share: float | None = None
    also_write: bool = True

    def load(self) -> dict[str, Examples]:
        """Read the rows to embed.

        Raises:
            UserError: No file is named, a file is broken, or a row has another form; names file and line.
        """
        self._check()
        named = {TRAIN: self.train_path, VAL: self.val_path, TEST: self.test_path}
        return {split: self._pairs(path) for split, path in named.items() if path is not None}

    def mixed(self, train: Examples, seed: int) -> Examples:
        """Return the training rows, and behind them those to write, in the share that is asked for.

        A row that stands there several times has ``#2``, ``#3`` and so on behind its id.

        Raises:
            UserError: The file of rows to write is broken, or a row has another form; names file and line.
        """
        if self.writing_path is None:
            return train
        path = self.writing_path
        writing = _build(_turns_of(path), _TO_WRITE, path, embeds=False, writes=True)
        writing = replace(writing, ids=[f"writing-{name}" for name in writing.ids])
        counts = len(train), len(writing)
        if self.writing_share is not None:
            counts = _counts(*counts, self.writing_share)
        parts = [
            _repeated(part, count, derive_seed(seed, "mix", name))
            for part, count, name in zip((train, writing), counts, ("embedding", "writing"), strict=True)
        ]
        return _joined(*parts)

    def _check(self) -> None:
        if self.train_path is self.val_path is self.test_path is None:
            found, expected = "no path", 'a file of rows {"query": ..., "pos": [...]}'
            fix = "set data.train_path=<file> (to evaluate: data.test_path=<file>)"
            raise UserError("data.train_path", found=found, expected=expected, fix=fix)
        share = self.writing_share
        if share is None or (self.writing_path is not None and 0 < share < 1):
            return
        found, expected, fix = str(share), "0 < value < 1, or null", "set data.writing_share=0.5"
        if self.writing_path is None:
            found, expected = f"{found}, but no data.writing_path", "both, or none"
            fix = "leave data.writing_share out, or set data.writing_path=<file of rows to write>"
        raise UserError("data.writing_share", found=found, expected=expected, fix=fix)

    def _pairs(self, path: str) -> Examples:
        return _build(_pairs_of(path), _PAIR, path, embeds=True, writes=self.also_write)


def _build(table: Table, columns: Columns, path: str, *, embeds: bool, writes: bool) -> Examples:
    """Check the rows; their origin is no table, so that audit.py does not write them in another form."""
    examples = build_examples(table, columns, path)
    count = len(examples)
    assert examples.answers is not None
    said = dict(zip(table[LINE], table.get(_SAID, [[]] * len(table[LINE])), strict=True))
    of_rows = [said[place.line] for place in examples.places]
    answers = replace(
        examples.answers,
        passage_instructions=of_rows if any(map(any, of_rows)) else None,
        embeds=np.full(count, embeds),
        writes=np.full(count, writes),
    )
    return replace(examples, answers=answers, origin=f"data=joke_pairs, {path}")


def _pairs_of(path: str) -> Table:
    """The table of rows to embed."""
    names = ("id", _QUERY, _POSITIVE, _NEGATIVE, _INSTRUCTION, _SAID, LINE)
    table: Table = {name: [] for name in names}
    for place, number, row in _rows(path):
        instruction, query = _text(row.get(_QUERY), place, _QUERY)
        positives = _texts(row.get(_POSITIVE), place, _POSITIVE)[:1]
        negatives = _texts(row.get(_NEGATIVE) or [], place, _NEGATIVE)
        if not positives:
            raise _fault(place, _POSITIVE, [], f"a list of texts: [{_A_TEXT}]", "add the text that is to be found")
        said, texts = zip(*positives, *negatives, strict=True)
        values = (_id(row, number), query, texts[0], list(texts[1:]), instruction, list(said), number)
        for name, value in zip(names, values, strict=True):
            table[name].append(value)
    return table


def _turns_of(path: str) -> Table:
    """The table of rows to write."""
    table: Table = {name: [] for name in ("id", "user", "assistant", LINE)}
    for place, number, row in _rows(path):
        turns = row.get(_TURNS)
        if not isinstance(turns, list) or len(turns) != 2:
            fix = "keep one turn of each or delete the row"
            raise _fault(place, _TURNS, turns, "two texts: [user, assistant]", fix)
        for name, value in zip(table, (_id(row, number), *turns, number), strict=True):
            table[name].append(value)
    return table


def _rows(path: str) -> Sequence[tuple[str, int, Mapping[str, Any]]]:
    """Place, number and content of each row of a file."""
    table = read_table(path)
    names = [name for name in table if name != LINE]
    read = _from_cell if Path(path).suffix.lower() in EXPECTED else lambda name, value: value
    return [
        (f"{path}, {name_place(number)}", number, {name: read(name, table[name][row]) for name in names})
        for row, number in enumerate(table[LINE])
    ]


def _id(row: Mapping[str, Any], number: int) -> str:
    return str(number if row.get("id") is None else row["id"])


def _from_cell(name: str, value: str) -> Any:
    """What a cell of a table of texts stands for: a list as JSON, a text, or nothing."""
    if name == "id" or not value.strip():
        return value if name == _QUERY else value or None
    if value.lstrip().startswith(('["', '[["')):
        with suppress(ValueError):
            return json.loads(value)
    return [value] if name in (_POSITIVE, _NEGATIVE) else value


def _texts(value: Any, place: str, key: str) -> list[tuple[str, Any]]:
    """The instruction and the text of each item of a list."""
    if not isinstance(value, list):
        raise _fault(place, key, value, f"a list of texts: [{_A_TEXT}]", "write it as a list, in brackets")
    return [_text(one, place, key) for one in value]


def _text(value: Any, place: str, key: str) -> tuple[str, Any]:
    """An instruction, which may be empty, and a text, which ``build_examples`` checks."""
    if isinstance(value, str):
        return "", value
    if isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value):
        return value[0], value[1]
    raise _fault(place, key, value, f"a text: {_A_TEXT}", "correct it or delete the row")


def _fault(place: str, key: str, value: Any, expected: str, fix: str) -> UserError:
    found = "nothing" if value is None else shorten(value)
    return UserError(f"{place}, '{key}'", found=found, expected=expected, fix=fix)


def _counts(num_pairs: int, num_writing: int, share: float) -> tuple[int, int]:
    """How many rows of each stream: all of one, and of the other what makes the share, to the nearest row."""
    if num_writing < share * (num_pairs + num_writing):
        return num_pairs, max(1, round(num_pairs * share / (1 - share)))
    return max(1, round(num_writing * (1 - share) / share)), num_writing


def _repeated(examples: Examples, count: int, seed: int) -> Examples:
    """Each row so many whole times, the rest drawn without replacement, in file order; repeated rows get other ids."""
    size = len(examples)
    times, rest = divmod(count, size)
    drawn = np.sort(np.random.default_rng(seed).permutation(size)[:rest])
    copies = [np.arange(size)] * times + [drawn]
    suffixes = [f"#{number}" if number > 1 else "" for number, rows in enumerate(copies, start=1) for _ in rows]
    taken = examples.take(np.concatenate(copies))
    return replace(taken, ids=[f"{name}{suffix}" for name, suffix in zip(taken.ids, suffixes, strict=True)])


def _joined(first: Examples, second: Examples) -> Examples:
    """The rows of both streams."""
    one, two = first.answers, second.answers
    assert one is not None
    assert two is not None
    said = one.passage_instructions
    answers = Answers(
        texts=one.texts + two.texts,
        negatives=one.negatives + two.negatives,
        instructions=one.instructions + two.instructions,
        passage_instructions=None if said is None else said + [[] for _ in two.texts],
        embeds=np.concatenate([one.embeds, two.embeds]),
        writes=np.concatenate([one.writes, two.writes]),
    )
    return replace(
        first,
        ids=first.ids + second.ids,
        texts=first.texts + second.texts,
        labels=np.concatenate([first.labels, second.labels]),
        places=first.places + second.places,
        answers=answers,
        origin=f"{first.origin} and {second.places[0].file}",
    )
