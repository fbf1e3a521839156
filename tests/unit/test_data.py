"""Reading, labels, splits, cache and report."""

import json
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lit_humor.core.errors import UserError
from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.data.batches.tokens import tokenize
from lit_humor.data.reading.tables import read_table
from lit_humor.data.sources.demo import DemoCorpus
from lit_humor.data.sources.files import TextFiles
from lit_humor.models.pretrained import load_tokenizer
from tests.unit.building import make_datamodule, make_examples

ROWS = [('a joke, quoted "well"', "1"), ("a fact\nover two lines", "0"), ("NA", "1"), ("null", "0")]


def _write(path: Path, rows: list[tuple[str, str]], header: tuple[str, str] = ("text", "is_humor")) -> str:
    """The same rows in whatever format the ending names."""
    if path.suffix in (".csv", ".tsv"):
        import csv

        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter="," if path.suffix == ".csv" else "\t").writerows([header, *rows])
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(dict(zip(header, row, strict=True))) for row in rows) + "\n")
    else:
        pq.write_table(pa.table({name: [row[i] for row in rows] for i, name in enumerate(header)}), path)
    return str(path)


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_reads_the_same(tmp_path: Path, ending: str) -> None:
    examples = TextFiles(train_path=_write(tmp_path / f"rows.{ending}", ROWS)).load()["train"]
    assert examples.texts == [text for text, _ in ROWS]
    assert examples.labels.tolist() == [1, 0, 1, 0]
    assert examples.class_names == ("not humor", "humor")


def test_byte_order_mark_is_not_part_of_the_first_name(tmp_path: Path) -> None:
    (tmp_path / "bom.csv").write_bytes("text,label\nhällo,1\n".encode("utf-8-sig"))
    assert TextFiles(train_path=str(tmp_path / "bom.csv")).load()["train"].texts == ["hällo"]


@pytest.mark.parametrize(
    ("values", "names", "expected"),
    [
        (["0", "1"], None, [0, 1]),
        (["False", "true"], None, [0, 1]),
        (["not humor", "Humor"], None, [0, 1]),
        (["ham", "spam"], ["ham", "spam"], [0, 1]),
        (["spam", "ham"], ["spam", "ham"], [0, 1]),
        (["pun", "irony", "fact"], ["fact", "irony", "pun"], [2, 1, 0]),
        (["1", "0"], ["fact", "joke"], [1, 0]),
    ],
)
def test_labels(tmp_path: Path, values: list[str], names: list[str] | None, expected: list[int]) -> None:
    path = _write(tmp_path / "rows.csv", [(f"text {v}", v) for v in values])
    assert TextFiles(train_path=path, label_names=names).load()["train"].labels.tolist() == expected


@pytest.mark.parametrize("names", [["one"], ["pun", "Pun "]])
def test_label_names_must_differ(tmp_path: Path, names: list[str]) -> None:
    path = _write(tmp_path / "rows.csv", [("a", "one"), ("b", "pun")])
    with pytest.raises(UserError, match=r"data.label_names"):
        TextFiles(train_path=path, label_names=names).load()


@pytest.mark.parametrize("values", [[True, False], [1, 0], [1.0, 0.0], ["humor", "not humor"]])
def test_labels_of_other_types(tmp_path: Path, values: list) -> None:
    pq.write_table(pa.table({"transcript": ["a", "b"], "label": values}), tmp_path / "rows.parquet")
    assert TextFiles(train_path=str(tmp_path / "rows.parquet")).load()["train"].labels.tolist() == [1, 0]


BAD_FILES = {
    "missing": (None, "no such file"),
    "empty": (b"", "empty file"),
    "header only": (b"text,label\n", "no rows"),
    "no text column": (b"body,label\na,1\n", r"columns \['body', 'label'\].*data.text_column"),
    "no label column": (b"text,funny\na,1\n", "data.label_column"),
    "blank text": (b"text,label\na,1\n  ,0\n", "line 3, column 'text': found an empty or blank text"),
    "no label": (b"text,label\na,1\nb,\n", "line 3, column 'label': found no label"),
    "unknown label": (b"text,label\na,1\nb,2\n", "line 3, column 'label': found label '2'.*data.label_names"),
    "nan label": (b"text,label\na,1\nb,nan\n", "line 3.*found label 'nan'"),
    "latin-1": ("text,label\na,1\ncaf\xe9,0\n".encode("latin-1"), "line 3: found byte 0xe9"),
    "ragged": (b"text,label\na,1\nb,0,x\n", "line 3: found 3 fields, expected 2"),
    "short row": (b"text,label\na,1\nb\n", "line 3: found 1 fields"),
    "open quote": (b'text,label\n"a,1\n', "broken quoting"),
    "column twice": (b"text,text,label\na,b,1\n", "column 'text' twice"),
    "surrogate": (b'text,label\n"a \xed\xa0\x80",1\n', "line 2: found byte 0xed"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_say_where_and_what(tmp_path: Path, case: str) -> None:
    content, message = BAD_FILES[case]
    path = tmp_path / "bad.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        TextFiles(train_path=str(path)).load()
    assert str(path) in str(caught.value)
    assert "Fix: " in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{oops", "line 2"),
        ("[1]", "line 2"),
        ('{"text": "\\ud83d", "label": 1}', "line 2.*surrogate"),
        ('{"text": 5, "label": 1}', "line 2.*found 5"),
        ('{"label": 1}', "line 2"),
    ],
)
def test_bad_json_lines(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "a", "label": 0}\n' + line + "\n")
    with pytest.raises(UserError, match=message):
        TextFiles(train_path=str(path)).load()


def test_nan_in_parquet_is_no_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", None], "label": [1.0, float("nan")]}), tmp_path / "nan.parquet")
    with pytest.raises(UserError, match="row 2, column 'text'"):
        TextFiles(train_path=str(tmp_path / "nan.parquet")).load()


def test_unknown_ending(tmp_path: Path) -> None:
    (tmp_path / "rows.xlsx").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"ending in '.xlsx', expected one of .csv"):
        read_table(tmp_path / "rows.xlsx")


def test_long_field_is_read(tmp_path: Path) -> None:
    path = _write(tmp_path / "long.csv", [("x" * 500_000, "1")])
    assert len(TextFiles(train_path=path).load()["train"].texts[0]) == 500_000


def test_a_fold_takes_the_place_of_a_test_split(tiny_model: str, tmp_path: Path) -> None:
    plain = make_datamodule(tiny_model, tmp_path).load()
    folded = make_datamodule(tiny_model, tmp_path, folds=4, fold=2).load()
    assert sorted(folded["train"].ids + folded["test"].ids) == sorted(plain["train"].ids)
    assert len(folded["test"]) == 11
    assert folded["val"].ids == plain["val"].ids


def test_missing_splits_are_split_off(tiny_model: str, tmp_path: Path) -> None:
    datamodule = make_datamodule(tiny_model, tmp_path, splits={"train": make_examples(200)}, test_fraction=0.2)
    sizes = {name: len(examples) for name, examples in datamodule.load().items()}
    assert sizes == {"train": 144, "val": 16, "test": 40}
    assert make_datamodule(
        tiny_model, tmp_path, splits={"train": make_examples(200)}, test_fraction=0
    ).load().keys() == {
        "train",
        "val",
    }


def test_tokens_equal_the_tokenizers_and_are_cached(tiny_model: str, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    examples = make_examples(50, text_pairs=["rain", ""] * 25)
    store = tokenize(examples, tokenizer, 16, tmp_path)
    for row, (text, pair) in enumerate(zip(examples.texts, examples.text_pairs or [], strict=True)):
        expected = tokenizer([text], [pair], truncation=True, max_length=16)["input_ids"][0]
        assert store.row(row).tolist() == expected
        if pair:
            assert expected[store.second_starts[row] :][:-1] == tokenizer(pair, add_special_tokens=False)["input_ids"]
    assert store.num_truncated == sum(
        len(tokenizer([text], [pair])["input_ids"][0]) > 16
        for text, pair in zip(examples.texts, examples.text_pairs or [], strict=True)
    )
    folders = list((tmp_path / "tokens").iterdir())
    assert len(folders) == 1
    stamp = (folders[0] / "input_ids.npy").stat().st_mtime_ns
    again = tokenize(examples, tokenizer, 16, tmp_path)
    assert isinstance(again.input_ids, np.memmap)
    assert list((tmp_path / "tokens").iterdir()) == folders, "the call before must not change the key"
    assert (folders[0] / "input_ids.npy").stat().st_mtime_ns == stamp


def test_cache_key_knows_text_tokenizer_and_length(tiny_model: str, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    tokenize(make_examples(5), tokenizer, 16, tmp_path)
    tokenize(make_examples(5, seed=9), tokenizer, 16, tmp_path)
    tokenize(make_examples(5), tokenizer, 17, tmp_path)
    tokenizer.backend_tokenizer.add_tokens(["sun"])
    tokenize(make_examples(5), tokenizer, 16, tmp_path)
    assert len(list((tmp_path / "tokens").iterdir())) == 4


def test_two_runs_may_tokenize_at_once(tiny_model: str, tmp_path: Path) -> None:
    stores: list = []
    threads = [
        threading.Thread(
            target=lambda: stores.append(tokenize(make_examples(300), load_tokenizer(tiny_model), 16, tmp_path))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores) == 4
    assert all(np.array_equal(store.input_ids, stores[0].input_ids) for store in stores)
    assert [p for p in (tmp_path / "tokens").iterdir() if p.name.startswith(".")] == []


def test_report_counts_what_is_there(tiny_model: str, tmp_path: Path) -> None:
    train = make_examples(40, slices={"language": ["en", "de"] * 20})
    train.texts[1] = "  " + train.texts[0].upper()
    val = make_examples(10, seed=1)
    val.texts[3] = train.texts[5]
    datamodule: HumorDataModule = make_datamodule(
        tiny_model, tmp_path, splits={"train": train, "val": val}, max_length=12, test_fraction=0
    )
    report = datamodule.report()
    found = report["splits"]["train"]
    assert found["rows"] == 40
    assert sum(found["classes"].values()) == 40
    assert found["classes"]["humor"] == int(train.labels.sum())
    assert found["slices"] == {"language": {"en": 20, "de": 20}}
    assert found["tokens"]["p100"] == 12
    assert found["truncated"] > 0
    assert found["duplicates"] >= 1
    assert report["leaks"]["train/val"] >= 1


def test_demo_takes_languages(tmp_path: Path) -> None:
    splits = DemoCorpus(languages=["de"]).load()
    assert set(splits["train"].slices["language"]) == {"de"}
    with pytest.raises(UserError, match=r"data.languages: found \['xx'\]"):
        DemoCorpus(languages=["xx"]).load()
