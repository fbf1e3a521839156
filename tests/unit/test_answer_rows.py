"""Rows that have a text to write or to find: files, and jokes of two parts."""

from pathlib import Path

import numpy as np
import pytest

from lit_humor.auditing import labels
from lit_humor.auditing.rows import join_splits
from lit_humor.core.errors import UserError
from lit_humor.data.answers import Answers
from lit_humor.data.dividing.similarity import normalise
from lit_humor.data.examples import Examples, tolerant_reading
from lit_humor.data.report import fingerprint
from lit_humor.data.sources.files import TextFiles
from lit_humor.data.sources.joke_halves import JokeHalves, cut
from tests.unit.answering import answers_of, write_rows
from tests.unit.building import make_datamodule

ROWS = [
    {"text": "Why?", "label": 1, "end": "Because.", "not": "Never.", "do": "Finish the joke"},
    {"text": "Who?", "label": 0, "end": "Nobody.", "not": "", "do": ""},
    {"text": "When?", "label": 1, "end": "Now.", "not": None, "do": None},
]
COLUMNS = {"answer_column": "end", "negative_column": "not", "instruction_column": "do"}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_every_format_reads_the_sameanswers_of(ending: str, tmp_path: Path) -> None:
    path = write_rows(tmp_path / f"in.{ending}", ROWS)
    examples = TextFiles(train_path=path, **COLUMNS).load()["train"]  # type: ignore[arg-type]
    assert examples.class_names == ()
    assert examples.labels.tolist() == [0, 0, 0]
    assert answers_of(examples) == Answers(
        texts=["Because.", "Nobody.", "Now."],
        negatives=[["Never."], [], []],
        instructions=["Finish the joke", "", ""],
    )
    taken = answers_of(examples.take([2, 0, 0]))
    assert taken.texts == ["Now.", "Because.", "Because."]
    assert taken.negatives == [[], ["Never."], ["Never."]]


def test_a_label_is_read_where_its_column_is_named(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in.csv", ROWS)
    examples = TextFiles(train_path=path, answer_column="end", label_column="label").load()["train"]
    assert examples.labels.tolist() == [1, 0, 1]
    assert examples.class_names == ("not humor", "humor")
    assert answers_of(examples).negatives == [[], [], []]
    assert TextFiles(train_path=path).load()["train"].answers is None


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_negatives_may_be_a_list(ending: str, tmp_path: Path) -> None:
    rows = [row | {"not": value} for row, value in zip(ROWS, (["a", "b"], [], None), strict=True)]
    path = write_rows(tmp_path / f"in.{ending}", rows)
    examples = TextFiles(train_path=path, **COLUMNS).load()["train"]  # type: ignore[arg-type]
    assert answers_of(examples).negatives == [["a", "b"], [], []]


def test_a_list_in_a_csv_is_read_as_audit_writes_it(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('text,end,not\nWhy?,Because.,"[""a"", ""b""]"\nWho?,Me.,"[""a"" is open"\n')
    path = str(tmp_path / "in.csv")
    examples = TextFiles(train_path=path, answer_column="end", negative_column="not").load()["train"]
    assert answers_of(examples).negatives == [["a", "b"], ['["a" is open']]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"end": " "}, "line 2, column 'end': found an empty or blank text"),
        ({"end": None}, "line 2, column 'end': found an empty or blank text"),
        ({"end": 5}, "line 2, column 'end': found 5, expected a text"),
        ({"not": 5}, "line 2, column 'not': found 5, expected a text, a list of texts"),
        ({"not": ["a", ""]}, "line 2, column 'not': found an empty or blank text"),
        ({"not": ["a", 3]}, "line 2, column 'not': found 3"),
        ({"do": 5}, "line 2, column 'do': found 5"),
    ],
)
def test_errors_name_the_row(change: dict, message: str, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "in.jsonl", [ROWS[0], ROWS[1] | change, ROWS[2]])
    with pytest.raises(UserError, match=message):
        TextFiles(train_path=path, **COLUMNS).load()  # type: ignore[arg-type]
    with tolerant_reading() as readings:
        examples = TextFiles(train_path=path, **COLUMNS).load()["train"]  # type: ignore[arg-type]
    assert examples.texts == ["Why?", "When?"]
    assert answers_of(examples).texts == ["Because.", "Now."]
    assert list(readings[path].rejected) == [1]


@pytest.mark.parametrize("key", ["negative_column", "instruction_column"])
def test_what_belongs_to_an_answer_needs_one(key: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"data.{key}: found no data.answer_column"):
        TextFiles(train_path=write_rows(tmp_path / "in.csv", ROWS), **{key: "not"}).load()  # type: ignore[arg-type]


def test_a_missing_column_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a column 'ending' \(data.answer_column\)"):
        TextFiles(train_path=write_rows(tmp_path / "in.csv", ROWS), answer_column="ending").load()


def test_splits_and_report_do_without_classes(tiny_model: str, tmp_path: Path) -> None:
    rows = [{"text": f"set-up {row} of {row * 7919}", "end": f"ending {row}", "talk": row // 2} for row in range(60)]
    path = write_rows(tmp_path / "in.jsonl", rows)
    train = TextFiles(train_path=path, answer_column="end", group_column="talk").load()["train"]
    datamodule = make_datamodule(tiny_model, tmp_path, splits={"train": train}, split_similarity=0.6)
    splits = datamodule.load()
    assert min(map(len, splits.values())) >= 4
    groups = [set(examples.groups or ()) for examples in splits.values()]
    assert sum(map(len, groups)) == 30, "no group in two splits"
    for examples in splits.values():
        assert [text.split()[1] for text in examples.texts] == [text.split()[1] for text in answers_of(examples).texts]
    report = datamodule.report()
    assert report["splits"]["train"]["classes"] == {}
    other = answers_of(splits["train"])
    other.texts[0] += "!"
    assert fingerprint(splits, datamodule.prepared, None) != report["fingerprint"], "answers are part of it"
    audited = join_splits(splits)
    assert labels.out_of_fold_probabilities(audited, np.arange(60)) == "the rows have no classes"
    assert labels.telling_features(audited) == {}
    assert audited.describe(0)["label"] == "any"


# --- Jokes of two parts ---


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Why so sad? No reason.", ("Why so sad?", "No reason.")),
        ('"Who won?" "Me." "Really?"', ('"Who won?"', '"Me." "Really?"')),
        ("One here. Two here. Three here.", ("One here. Two here.", "Three here.")),
        ("It works fine. Never again. One star.", ("It works fine.", "Never again. One star.")),
        ("My tools: a hammer.", ("My tools:", "a hammer.")),
        ("We met Mr. Hill. He left.", ("We met Mr. Hill.", "He left.")),
        ('"Who called?" asks the man. "Us."', ('"Who called?" asks the man.', '"Us."')),
        ("My password is old. #sad", None),
        ("Only one sentence.", None),
        ("Why? Because.", None),
    ],
)
def test_where_a_joke_is_cut(text: str, parts: tuple[str, str] | None) -> None:
    assert cut(text) == parts


def test_the_halves_of_the_corpus() -> None:
    splits = JokeHalves().load()
    assert {name: len(examples) for name, examples in splits.items()} == {"train": 704, "val": 147, "test": 129}
    negatives = {name: sum(map(bool, answers_of(examples).negatives)) for name, examples in splits.items()}
    assert negatives == {"train": 76, "val": 13, "test": 13}
    set_ups = [set(map(normalise, examples.texts)) for examples in splits.values()]
    assert len(set.union(*set_ups)) == sum(map(len, set_ups)), "no set-up in two splits"
    groups = [set(examples.groups or ()) for examples in splits.values()]
    assert len(set.union(*groups)) == sum(map(len, groups)), "no pair in two splits"
    for examples in splits.values():
        assert examples.class_names == ()
        assert set(examples.slices["language"]) == {"en"}
        assert all(answer not in others for answer, others in zip(*_both(examples), strict=True))


def _both(examples: Examples) -> tuple[list[str], list[list[str]]]:
    return answers_of(examples).texts, answers_of(examples).negatives


def test_a_few_halves_of_each_split() -> None:
    assert [len(examples) for examples in JokeHalves(rows_per_split=8).load().values()] == [8, 8, 8]
