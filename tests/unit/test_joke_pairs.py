"""The user's own rows to embed and to write, and how the two streams are mixed."""

import csv
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from lit_humor.auditing.cleaning import check_is_of_tables
from lit_humor.core.errors import UserError
from lit_humor.data.examples import Examples, tolerant_reading
from lit_humor.data.report import fingerprint
from lit_humor.data.sources.joke_pairs import JokePairs
from tests.unit.answering import answers_of, write_rows
from tests.unit.building import make_datamodule

PAIRS = [
    {"query": ["Find the end", f"query {row} {row * 7919}"], "pos": [f"end {row}", "x"], "neg": ["no", ["i", "nor"]]}
    for row in range(20)
]
TURNS = [{"text": [f"user {row}", f"assistant {row}"]} for row in range(7)]


def _pairs(folder: Path, **settings: object) -> JokePairs:
    train, writing = write_rows(folder / "pairs.jsonl", PAIRS), write_rows(folder / "turns.jsonl", TURNS)
    return JokePairs(**{"train_path": train, "writing_path": writing, **settings})  # type: ignore[arg-type]


def test_rows_of_gritlm_are_read(tmp_path: Path) -> None:
    rows = [*PAIRS[:1], {"query": "plain", "pos": [["i", "end"]], "id": "a"}]
    examples = JokePairs(val_path=write_rows(tmp_path / "in.jsonl", rows), also_write=False).load()["val"]
    assert examples.texts == ["query 0 0", "plain"]
    assert examples.ids == ["1", "a"]
    answers = answers_of(examples)
    assert (answers.texts, answers.negatives) == (["end 0", "end"], [["no", "nor"], []])
    assert answers.instructions == ["Find the end", ""]
    assert answers.embeds is not None
    assert answers.writes is not None
    assert (answers.embeds.tolist(), answers.writes.tolist()) == ([True, True], [False, False])


def test_instructions_of_passages_are_kept_with_their_texts(tmp_path: Path) -> None:
    rows = [
        {"query": "a", "pos": [["find", "the end"], "another"], "neg": ["no", ["say", "nor"]]},
        {"query": "b", "pos": ["c"]},
    ]
    source = JokePairs(train_path=write_rows(tmp_path / "in.jsonl", rows), writing_path=_turns(tmp_path))
    answers = answers_of(source.load()["train"])
    assert answers.passage_instructions == [["find", "", "say"], [""]]
    assert answers.take([1]).passage_instructions == [[""]]
    assert answers_of(source.mixed(source.load()["train"], 0)).passage_instructions == [
        ["find", "", "say"],
        [""],
        *[[]] * 7,
    ]
    with tolerant_reading():
        path = write_rows(tmp_path / "wrong.jsonl", [{"query": " ", "pos": ["a"]}, *rows])
        assert answers_of(JokePairs(train_path=path).load()["train"]).passage_instructions == [
            ["find", "", "say"],
            [""],
        ]
    assert answers_of(_pairs(tmp_path).load()["train"]).passage_instructions is not None
    plain = JokePairs(train_path=write_rows(tmp_path / "plain.jsonl", rows[1:])).load()["train"]
    assert answers_of(plain).passage_instructions is None, "so that nothing changes for such rows"


FORMS = ("jsonl", "json", "parquet", "csv", "tsv")


def write_form(folder: Path, name: str, form: str, rows: list[dict]) -> str:
    """Rows in one of the forms that are read; cells of a table are JSON."""
    path = folder / f"{name}.{form}"
    if form in ("csv", "tsv"):
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter={"csv": ",", "tsv": "\t"}[form])
            writer.writeheader()
            writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    elif form == "json":
        path.write_text(json.dumps(rows))
    else:
        write_rows(path, rows)
    return str(path)


def _cell(value: object) -> object:
    return value if isinstance(value, str) else json.dumps(value) if value else ""


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(form: str, tmp_path: Path) -> None:
    """Parquet needs one type a column, so each text has an instruction here."""
    rows = [
        {"id": f"row {row}", "query": ["Find", f"query {row}, \"so\""], "pos": [["", f"end {row}"], ["", "x"]],
         "neg": [["say", "no"]] if row % 2 else []}
        for row in range(4)
    ]  # fmt: skip
    turns = [{"text": [f"user {row}", f"assistant, {row}"]} for row in range(3)]
    source = JokePairs(
        train_path=write_form(tmp_path, "pairs", form, rows), writing_path=write_form(tmp_path, "turns", form, turns)
    )
    examples = source.mixed(source.load()["train"], 0)
    assert examples.ids[:4] == ["row 0", "row 1", "row 2", "row 3"]
    assert examples.texts == [*(f'query {row}, "so"' for row in range(4)), "user 0", "user 1", "user 2"]
    answers = answers_of(examples)
    assert answers.texts == [*(f"end {row}" for row in range(4)), *(f"assistant, {row}" for row in range(3))]
    assert answers.negatives == [[], ["no"], [], ["no"], [], [], []]
    assert answers.instructions == [*["Find"] * 4, *[""] * 3]
    assert answers.passage_instructions == [[""], ["", "say"], [""], ["", "say"], [], [], []]


def test_a_cell_of_a_table_may_be_one_text(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('query,pos,neg\na,b,\n[sic] a,"[""b"", ""c""]",d\n')
    examples = JokePairs(train_path=str(tmp_path / "in.csv")).load()["train"]
    assert examples.texts == ["a", "[sic] a"]
    assert (answers_of(examples).texts, answers_of(examples).negatives) == (["b", "b"], [[], ["d"]])
    (tmp_path / "in.csv").write_text("query,pos\na,b\nc,\n")
    with pytest.raises(UserError, match="line 3, 'pos': found nothing"):
        JokePairs(train_path=str(tmp_path / "in.csv")).load()


def _turns(folder: Path) -> str:
    return write_rows(folder / "turns.jsonl", TURNS)


def _streams(examples: Examples) -> Mapping[bool, int]:
    embeds, writes = answers_of(examples).embeds, answers_of(examples).writes
    assert embeds is not None
    assert writes is not None
    assert writes.all()
    return Counter(embeds.tolist())


@pytest.mark.parametrize(
    ("share", "counts"),
    [(None, (20, 7)), (0.5, (20, 20)), (0.8, (20, 80)), (0.2, (28, 7)), (0.1, (63, 7)), (7 / 27, (20, 7))],
)
def test_the_share_is_exact_and_each_row_stands_as_often_as_any(
    share: float | None, counts: tuple[int, int], tmp_path: Path
) -> None:
    source = _pairs(tmp_path, writing_share=share)
    mixed = source.mixed(source.load()["train"], 3)
    assert (_streams(mixed)[True], _streams(mixed)[False]) == counts
    assert len(set(mixed.ids)) == len(mixed) == len(mixed.labels) == len(mixed.places)
    times = Counter(mixed.texts)
    for prefix, number in (("query", 20), ("user", 7)):
        of_stream = [count for text, count in times.items() if text.startswith(prefix)]
        assert len(of_stream) == number, "no row is left out"
        assert max(of_stream) - min(of_stream) <= 1
    assert answers_of(mixed).texts[-1].split()[1] == mixed.texts[-1].split()[1]


def test_the_same_seed_mixes_the_same_and_another_does_not(tmp_path: Path) -> None:
    source = _pairs(tmp_path, writing_share=0.5)
    train = source.load()["train"]
    assert source.mixed(train, 3).ids == source.mixed(train, 3).ids
    assert source.mixed(train, 3).ids != source.mixed(train, 4).ids


def test_drawn_splits_hold_no_repeated_row_and_none_towrite_rows(tiny_model: str, tmp_path: Path) -> None:
    datamodule = make_datamodule(tiny_model, tmp_path)
    datamodule.source = _pairs(tmp_path, writing_share=0.5)
    splits = datamodule.load()
    assert {name: dict(_streams(examples)) for name, examples in splits.items()} == {
        "train": {True: 16, False: 16},
        "val": {True: 2},
        "test": {True: 2},
    }
    assert len({text for examples in splits.values() for text in examples.texts}) == 20 + 7
    again = make_datamodule(tiny_model, tmp_path)
    again.source = datamodule.source
    again.setup()
    datamodule.setup()
    assert fingerprint(again.splits, again.prepared, None) == fingerprint(splits, datamodule.prepared, None)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"query": 5, "pos": ["a"]}, "line 21, 'query': found 5, expected a text"),
        ({"pos": ["a"]}, "line 21, 'query': found nothing"),
        ({"query": ["a", "b", "c"], "pos": ["a"]}, "line 21, 'query'"),
        ({"query": " ", "pos": ["a"]}, "line 21, column 'query': found an empty or blank text"),
        ({"query": "a"}, "line 21, 'pos': found nothing, expected a list of texts"),
        ({"query": "a", "pos": []}, r"line 21, 'pos': found \[\]"),
        ({"query": "a", "pos": "b"}, "line 21, 'pos': found 'b', expected a list of texts"),
        ({"query": "a", "pos": [" "]}, "line 21, column 'pos': found an empty or blank text"),
        ({"query": "a", "pos": ["b"], "neg": 5}, "line 21, 'neg': found 5"),
        ({"query": "a", "pos": ["b"], "neg": [""]}, "line 21, column 'neg': found an empty or blank text"),
    ],
)
def test_a_row_of_another_form_is_named(row: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        JokePairs(train_path=write_rows(tmp_path / "in.jsonl", [*PAIRS, row])).load()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": ["a", "b", "c", "d"]}, r"line 8, 'text': found \['a', 'b', 'c', 'd'\], expected two texts"),
        ({"text": "a"}, "line 8, 'text': found 'a'"),
        ({"query": "a"}, "line 8, 'text': found nothing"),
        ({"text": ["a", ""]}, "line 8, column 'assistant': found an empty or blank text"),
    ],
)
def test_a_row_to_write_of_another_form_is_named(row: dict, message: str, tmp_path: Path) -> None:
    source = _pairs(tmp_path, writing_path=write_rows(tmp_path / "other.jsonl", [*TURNS, row]))
    with pytest.raises(UserError, match=message):
        source.mixed(source.load()["train"], 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_path": None}, "data.train_path: found no path"),
        ({"writing_share": 1.0}, "data.writing_share: found 1.0, expected 0 < value < 1"),
        ({"writing_share": 0.5, "writing_path": None}, "found 0.5, but no data.writing_path"),
    ],
)
def test_settings_that_do_not_fit(settings: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        _pairs(tmp_path, **settings).load()


def test_a_clean_copy_is_not_written_of_rows_in_another_form(tmp_path: Path) -> None:
    with tolerant_reading() as readings:
        splits = _pairs(tmp_path).load()
    with pytest.raises(UserError, match="leave fix out"):
        check_is_of_tables(tmp_path / "new", splits, readings)
