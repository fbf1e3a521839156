"""Labels that no class has: the message tells the cause, and the setting that it prints makes them classes."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lit_humor.core.errors import UserError
from lit_humor.data.examples import tolerant_reading
from lit_humor.data.reading.spellings import nearest_label
from lit_humor.data.sources.files import TextFiles
from tests.obeying import settings_in


def _write(folder: Path, labels: list) -> str:
    path, texts = folder / "in.parquet", [f"text {n}" for n in range(len(labels))]
    pq.write_table(pa.table({"text": texts, "label": labels}), path)
    return str(path)


def _obey(path: str, message: str, **settings: object) -> tuple[list[int], tuple[str, ...]]:
    """Load, type what the message says, load again."""
    with pytest.raises(UserError, match=message) as caught:
        TextFiles(train_path=path, **settings).load()  # type: ignore[arg-type]
    settings |= settings_in(caught.value)
    examples = TextFiles(train_path=path, **settings).load()["train"]  # type: ignore[arg-type]
    return examples.labels.tolist(), examples.class_names


SPELLINGS = {
    "mark": (["sarcastic", "non-sarcastic", "non_sarcastic"] * 20, ["non-sarcastic", "sarcastic"], [1, 0, 0]),
    "british": (["HUMOUR", "not humor", "humor", "Not Humour"] * 9, None, [1, 0, 1, 0]),
    "blanks": (["not  funny", "funny", "not funny"] * 9, ["not funny", "funny"], [0, 1, 0]),
    "plural": (["joke", "jokes", "fact"] * 9, ["fact", "joke"], [1, 1, 0]),
    "other alphabet": (["шутка", "не шутка", "не_шутка"] * 9, ["не шутка", "шутка"], [1, 0, 0]),
    "marks that shells read": (["it's funny", "no!", "its funny"] * 9, ["no!", "it's funny"], [1, 0, 1]),
    "colon": (["a: b", "c", "a:b"] * 9, ["c", "a: b"], [1, 0, 1]),
    "word of YAML": (["null", "fact", "nul"] * 9, ["fact", "null"], [1, 0, 1]),
}  # fmt: skip


@pytest.mark.parametrize("case", SPELLINGS)
def test_two_spellings_of_a_label_become_one(tmp_path: Path, case: str) -> None:
    values, names, expected = SPELLINGS[case]
    labels, classes = _obey(_write(tmp_path, values), r"in \d+ rows \(like '.*data.label_aliases", label_names=names)
    assert labels[: len(expected)] == expected
    assert len(classes) == 2


def test_the_alias_of_the_issue_is_told_with_its_rows(tmp_path: Path) -> None:
    path = _write(tmp_path, ["non-sarcastic"] * 400 + ["sarcastic"] * 300 + ["non_sarcastic"] * 377)
    told = (
        r"'non_sarcastic' in 377 rows \(like 'non-sarcastic'\).*set 'data.label_aliases={non_sarcastic: non-sarcastic}'"
    )
    with pytest.raises(UserError, match=told):
        TextFiles(train_path=path, label_names=["non-sarcastic", "sarcastic"]).load()


def test_aliases_add_to_those_that_are_set(tmp_path: Path) -> None:
    path = _write(tmp_path, ["joke", "jok", "fact", "facts"] * 9)
    labels, _ = _obey(path, r"label 'jok'", label_names=["fact", "joke"], label_aliases={"facts": "fact"})
    assert labels[:4] == [1, 1, 0, 0]
    with pytest.raises(UserError, match=r"data.label_aliases: found an alias of 'jest'"):
        TextFiles(train_path=path, label_names=["fact", "joke"], label_aliases={"jok": "jest"}).load()


NAMES = {
    "yes and no": (["yes", "no"], ["no", "yes"]),
    "signs": (["1", "-1"], ["-1", "1"]),
    "grades": (["2", "0", "1"], ["0", "1", "2"]),
    "words": (["joke", "serious"], ["serious", "joke"]),
    "negation": (["funny", "unfunny"], ["unfunny", "funny"]),
    "several": (["pun", "headline", "irony"], ["headline", "irony", "pun"]),
    "other alphabets": (["смешно", "не смешно"], ["не смешно", "смешно"]),
    "whole numbers": ([3, 1], ["1", "3"]),
    "marks": (["a, b", 'c "d"'], ["a, b", 'c "d"']),
    "backslashes": (["a\\b", "c\\"], ["a\\b", "c\\"]),
}


@pytest.mark.parametrize("case", NAMES)
def test_the_names_in_the_column_are_told(tmp_path: Path, case: str) -> None:
    values, names = NAMES[case]
    labels, classes = _obey(_write(tmp_path, values * 9), "data.label_names=")
    assert sorted(classes) == sorted(names)
    assert [classes[label] for label in labels[: len(values)]] == [str(value) for value in values]
    if case not in ("other alphabets",):  # no rule knows which of these is humor
        assert list(classes) == names


NUMBERS = {
    "ratings": ([2.35, 0.4, 3.1, 1.0] * 9, 2),
    "ratings as text": (["2.35", "0.4", "3.1", "1.0"] * 9, 2),
    "votes": (list(range(18)) * 2, 2),
    "many votes": (list(range(200)), 2),
    "percent": ([0.0, 0.25, 1.0] * 9, 2),
    "negative": ([-3.5, -1.25, 2.0] * 9, 2),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_are_split_in_two(tmp_path: Path, case: str) -> None:
    values, _ = NUMBERS[case]
    path = _write(tmp_path, values)
    labels, classes = _obey(path, r"these are \d+ different numbers from .* no classes: set data.label_threshold=")
    assert classes == ("not humor", "humor")
    assert set(labels) == {0, 1}
    lowest = max(float(value) for value, label in zip(values, labels, strict=True) if not label)
    assert lowest < min(float(value) for value, label in zip(values, labels, strict=True) if label)


def test_a_threshold_takes_numbers_from_there_on(tmp_path: Path) -> None:
    path = _write(tmp_path, ["0", "1.9", "2", "2.1", "7"])
    examples = TextFiles(train_path=path, label_threshold=2, label_names=["dull", "fun"]).load()["train"]
    assert examples.labels.tolist() == [0, 0, 1, 1, 1]
    assert examples.class_names == ("dull", "fun")
    with pytest.raises(UserError, match=r"two names with data.label_threshold"):
        TextFiles(train_path=path, label_threshold=2, label_names=["a", "b", "c"]).load()
    with pytest.raises(UserError, match=r"row 2, column 'label': found label 'many', expected a number"):
        TextFiles(train_path=_write(tmp_path, ["1", "many"]), label_threshold=2).load()


def test_numbers_come_before_missing_labels(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.label_threshold=") as caught:
        TextFiles(train_path=_write(tmp_path, [None, None, None, 2.35, 1.1] * 5)).load()
    with pytest.raises(UserError, match="found no label"):
        TextFiles(train_path=_write(tmp_path, [None, 2.35, 1.1]), **settings_in(caught.value)).load()


def test_a_column_of_many_values_is_not_the_labels(tmp_path: Path) -> None:
    path = _write(tmp_path, [f"id-{n}x" for n in range(50)])
    with pytest.raises(UserError, match=r"set data.label_column=.*50 different values"):
        TextFiles(train_path=path).load()


@pytest.mark.parametrize(
    ("label", "known", "expected"),
    [
        ("non_sarcastic", ["sarcastic", "non-sarcastic"], "non-sarcastic"),
        ("unfunny", ["funny"], None),
        ("nonhumor", ["humor", "non humor"], "non humor"),
        ("class 2", ["class 1"], None),
        ("2", ["1", "20"], None),
        ("irronic", ["ironic", "fact"], "ironic"),
        ("", ["a"], None),
    ],
)
def test_resembling(label: str, known: list[str], expected: str | None) -> None:
    assert nearest_label(label, known) == expected


def test_tolerant_reading_keeps_the_remedy(tmp_path: Path) -> None:
    path = _write(tmp_path, ["joke", "fact", "jok", ""] * 9)
    with tolerant_reading() as readings:
        TextFiles(train_path=path, label_names=["fact", "joke"]).load()
    fixes = {problem.fix for problem in readings[path].rejected.values()}
    assert len(readings[path].rejected) == 18
    assert "set 'data.label_aliases={jok: joke}'" in fixes


OTHER_CLASSES = [
    ("class_a", "class_b"), ("LABEL_A", "LABEL_B"), ("lustig", "listig"), ("very funny", "very unfunny"),
    ("funny", "funny not"), ("sarcastic", "sarcastic-no"), ("question", "questionable"), ("type I", "type II"),
    ("not funny", "not sunny"), ("typeI", "typeII"), ("C", "C++"), ("funny", "funny?"), ("it is", "it isn't"),
    ("v1.5", "v15"),
    ("好笑", "不好笑"), ("sehr lustig", "sehr nicht lustig"), ("grade A", "grade A-"), ("joke 😀", "joke 😢"),
]  # fmt: skip


@pytest.mark.parametrize("pair", OTHER_CLASSES)
def test_labels_that_look_alike_stay_two_classes(tmp_path: Path, pair: tuple[str, str]) -> None:
    with pytest.raises(UserError) as caught:
        TextFiles(train_path=_write(tmp_path, list(pair) * 9)).load()
    assert "label_aliases" not in str(caught.value)
    labels, classes = _obey(_write(tmp_path, list(pair) * 9), "set .*data.label_names=")
    assert [classes[label] for label in labels[:2]] == list(pair)
    if pair[0] != "lustig":  # a mistake in one letter of a name that is set
        assert nearest_label(pair[1], [pair[0]]) is None
        assert nearest_label(pair[0], [pair[1]]) is None


SAME_NUMBER = [[0.5] * 5, [2] * 5, ["2.50"] * 5, ["-3"] * 5, [1600000001] * 9, ["4,5"] * 3]


@pytest.mark.parametrize("values", SAME_NUMBER)
def test_one_number_in_all_rows_is_told(tmp_path: Path, values: list) -> None:
    labels, _ = _obey(_write(tmp_path, values), r"all rows have the same number, .* set data.label_threshold=")
    assert set(labels) == {1}


MIXED = {
    "case": (["Humor", "humor", "x"], {}, [1, 1, 0], ("x", "Humor")),
    "unknown case": (["Joke", "joke", "x"], {}, [1, 1, 0], ("x", "Joke")),
    "one as two": (["1", "1.0", "2"], {}, [0, 0, 1], ("1", "2")),
    "spellings of a class": (["true", "1", "0", "2"], {}, [1, 1, 0, 2], None),
    "an alias": (["foo", "lustig", "humor"], {"label_aliases": {"lustig": "humor"}}, [0, 1, 1], ("foo", "humor")),
    "aliases alone": (["foo", "lustig"], {"label_aliases": {"lustig": "humor"}}, [0, 1], ("foo", "humor")),
    "an alias to spare": (["foo", "0"], {"label_aliases": {"lustig": "humor"}}, None, None),
    "yes beside 1": (["0", "1", "yes", "no"], {}, [0, 1, 1, 0], ("not humor", "humor")),
    "Y beside 1": (["1", "0", "Y", "N"], {}, [1, 0, 1, 0], ("not humor", "humor")),
    "words beside indices": (["0", "1", "yes"], {"label_names": ["a", "b"]}, [0, 1, 2], ("0", "1", "yes")),
    "a list of aliases": (["foo", "a:b", "humor"], {"label_aliases": ["a:b: humor"]}, [0, 1, 1], ("foo", "humor")),
    "indices": (["0", "1", "2"], {"label_names": ["a", "b"]}, [0, 1, 2], ("0", "1", "2")),
}  # fmt: skip


@pytest.mark.parametrize("case", MIXED)
def test_known_and_unknown_labels_become_classes(tmp_path: Path, case: str) -> None:
    values, settings, expected, names = MIXED[case]
    labels, classes = _obey(_write(tmp_path, values * 9), "Fix: set ", **settings)
    first = labels[: len(values)]
    if names is not None:
        assert classes == names
    if case == "spellings of a class":
        assert first[0] == first[1]
        assert len(set(first)) == len(classes) == 3
    elif expected is not None:
        assert first == expected


STRAYS = {
    "ratings": (["2.5", "3.1", "0.4", "1.7"] * 10 + ["NA"], "data.label_threshold=.*with 'NA'"),
    "commas": (["2,5", "3,1", "0,4", "1,7"] * 10, "data.label_threshold=2.5"),
    "grades": (["3", "4", "5"] * 20 + ["many"], r"label_names=\[.*with 'many'"),
    "a dash": (["0", "1", "-"] * 9, "correct or delete the rows with '-'"),
    "a question mark": (["joke", "fact", "?"] * 9, "label_names=.*with '[?]'"),
    "one class alone": (["1"] * 50 + ["NA"], "Fix: correct or delete the rows with 'NA'"),
    "n/a": (["joke", "fact", "n/a"] * 9, "label_names=.*with 'n/a'"),
    "one label": (["joke", "Joke"] * 9, "all rows of this one have the label '(joke|Joke)'"),
}


@pytest.mark.parametrize("case", STRAYS)
def test_stray_labels_are_no_classes(tmp_path: Path, case: str) -> None:
    values, message = STRAYS[case]
    with pytest.raises(UserError, match=message) as caught:
        TextFiles(train_path=_write(tmp_path, values)).load()
    if "label_names" in str(caught.value):
        assert len(settings_in(caught.value)["label_names"]) == len(set(values)) - 1


@pytest.mark.parametrize("values", [["4,5", "2,5", "3,0"], ["4.5", "2,5", "3"], [4.5, 2.5, 3.0], ["+4,5", "-2,5", "3"]])
def test_a_threshold_takes_decimal_commas(tmp_path: Path, values: list) -> None:
    examples = TextFiles(train_path=_write(tmp_path, values), label_threshold=3).load()["train"]
    assert examples.labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize("number", [1600000001, 0.1 + 0.2, 1234567.25, 1e-7, 123456789012])
def test_numbers_are_told_exactly(tmp_path: Path, number: float) -> None:
    path = _write(tmp_path, [str(number * step) for step in (0.5, 1, 1, 2, 3, 4, 5)])
    with pytest.raises(UserError) as caught:
        TextFiles(train_path=path).load()
    assert float(settings_in(caught.value)["label_threshold"]) in {number * step for step in (1, 2, 3)}
