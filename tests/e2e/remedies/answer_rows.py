"""Mistakes in rows that have a text to write or to find."""

# ruff: noqa: E501
import json

from tests.e2e.remedies.data import MODEL, from_file, write
from tests.e2e.remedies.telling import Case

ROWS = [
    {"text": f"set-up {row} of {row * 7919}", "label": row % 2, "end": f"ending {row}", "no": [f"other {row}"]}
    for row in range(40)
]
PAIRS = [{"query": row["text"], "pos": [row["end"]], "neg": row["no"]} for row in ROWS]
TURNS = [{"text": [row["text"], row["end"]]} for row in ROWS]


def _lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _answered(rows: str, *wrong: str, **more: object) -> Case:
    return from_file(rows, *wrong, name="train.jsonl", **more)


def _pairs(pairs: str, turns: str, *wrong: str, **more: object) -> Case:
    arguments = ("data=joke_pairs", "data.train_path=FOLDER/pairs.jsonl", *MODEL, *wrong)
    return Case("train", arguments, files={"pairs.jsonl": pairs, "turns.jsonl": turns}, **more)  # type: ignore[arg-type]


GOOD, GOOD_PAIRS, GOOD_TURNS = _lines(*ROWS), _lines(*PAIRS), _lines(*TURNS)
WRITING = "data.writing_path=FOLDER/turns.jsonl"
BOTH = ("data.label_column=label", "data.answer_column=end")

CASES = {
    "answers: negatives alone": _answered(GOOD, "data.label_column=label", "data.negative_column=no", fill={"<column of answers>": "end"}),
    "answers: a negative that is no text": _answered(
        GOOD + _lines(ROWS[0] | {"no": 5}), *BOTH, "data.negative_column=no", hand=write(GOOD, "train.jsonl")
    ),
    "answers: none": _answered(GOOD + _lines(ROWS[0] | {"end": ""}), *BOTH, way="fill in", hand=write(GOOD, "train.jsonl")),
    "answers: no classes": _answered(GOOD, "data.answer_column=end", fill={"<column of labels>": "label"}),
    "answers: halves without classes": Case("train", ("data=joke_halves", *MODEL)),
    "answers: no file of pairs": Case("train", ("data=joke_pairs", *MODEL), files={"pairs.jsonl": GOOD_PAIRS}, fill={"<file>": "FOLDER/pairs.jsonl"}, errors=2),
    "answers: a query that is none": _pairs(GOOD_PAIRS + _lines({"query": 5, "pos": ["a"]}), "", hand=write(GOOD_PAIRS, "pairs.jsonl"), errors=2),
    "answers: more turns": _pairs(GOOD_PAIRS, GOOD_TURNS + _lines({"text": ["a", "b", "c"]}), WRITING, hand=write(GOOD_TURNS, "turns.jsonl"), errors=2),
    "answers: a share of nothing": _pairs(GOOD_PAIRS, GOOD_TURNS, "data.writing_share=0.5", fill={"<file of rows to write>": "FOLDER/turns.jsonl"}, errors=2),
    "answers: no share": _pairs(GOOD_PAIRS, GOOD_TURNS, WRITING, "data.writing_share=1", errors=2),
    "answers: a copy of pairs": Case(
        "audit", ("data=joke_pairs", "data.train_path=FOLDER/pairs.jsonl", "model=tiny", "paths.logs_dir=FOLDER/logs", "fix=FOLDER/new"),
        files={"pairs.jsonl": GOOD_PAIRS}, to_the_end=True,
    ),
}  # fmt: skip
