"""The first line of a file: names that differ by case and blanks, and data where names should be."""

import csv
from pathlib import Path

import pytest

from lit_humor.core.errors import UserError
from lit_humor.data.reading.columns import TEXT_COLUMNS, find_column
from lit_humor.data.reading.streams import read_chunks
from lit_humor.data.sources.files import TextFiles
from tests.obeying import run_command_in, settings_in

ROWS = [(f"a line about {n} things", n % 2) for n in range(20)]


def _write(path: Path, rows: list[tuple], separator: str = ",", encoding: str = "utf-8") -> str:
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    return str(path)


@pytest.mark.parametrize(
    "header",
    [
        (" Text ", "LABEL"),
        ("TEXT", "Is_Humor"),
        ("\ufefftext", "label"),
        ("Text", "is humor"),
        ("Transcript", "'Label'"),
    ],
)
def test_names_may_differ_by_case_and_blanks(tmp_path: Path, header: tuple[str, str]) -> None:
    path = _write(tmp_path / "in.csv", [header, *ROWS])
    examples = TextFiles(train_path=path).load()["train"]
    assert examples.texts == [text for text, _ in ROWS]
    assert examples.labels.tolist() == [label for _, label in ROWS]


def test_names_that_the_user_sets_may_too(tmp_path: Path) -> None:
    path = _write(tmp_path / "in.csv", [("Tweet Text", "Funny", "Thread"), *((t, n, n) for t, n in ROWS)])
    source = TextFiles(train_path=path, text_column="tweet_text", label_column="FUNNY", group_column="thread ")
    assert source.load()["train"].groups == [str(n) for _, n in ROWS]


def test_the_exact_name_comes_first_and_two_alike_are_asked_for() -> None:
    assert find_column(["TEXT", "text", "Text"], None, TEXT_COLUMNS, "k", "here") == "text"
    assert find_column(["Text", "transcript"], None, TEXT_COLUMNS, "k", "here") == "transcript"
    with pytest.raises(UserError, match=r"found columns \['TEXT', 'Text'\]"):
        find_column(["TEXT", "Text"], None, TEXT_COLUMNS, "k", "here")


WITHOUT_HEADER = {
    "label first": [(label, text) for text, label in ROWS],
    "text first": ROWS,
    "with numbers": [(n, text, label) for n, (text, label) in enumerate(ROWS)],
    "words": [(text, ("not humor", "humor")[label]) for text, label in ROWS],
    "the same number twice": [(label, label, text) for text, label in ROWS],
    "dates": [("2020-01-01", label, text) for text, label in ROWS],
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize(("ending", "separator"), [(".csv", ","), (".tsv", "\t"), (".csv", ";")])
@pytest.mark.parametrize("case", WITHOUT_HEADER)
def test_a_missing_header_is_told_and_the_command_adds_it(
    tmp_path: Path, case: str, ending: str, separator: str, encoding: str
) -> None:
    path = _write(tmp_path / f"it's in{ending}", WITHOUT_HEADER[case], separator, encoding)
    with pytest.raises(UserError, match="line 1: found data in place of a header") as caught:
        TextFiles(train_path=path).load()
    examples = TextFiles(train_path=str(run_command_in(caught.value))).load()["train"]
    assert examples.texts == [text for text, _ in ROWS]
    assert examples.labels.tolist() == [label for _, label in ROWS]


def test_a_missing_header_of_texts_alone(tmp_path: Path) -> None:
    path = Path(_write(tmp_path / "in.csv", [(text,) for text, _ in ROWS]))
    (chunk,) = read_chunks(path, 99)
    with pytest.raises(UserError, match="data in place of a header") as caught:
        find_column(list(chunk.rows[0]), None, TEXT_COLUMNS, "text_column", str(path))
    (chunk,) = read_chunks(run_command_in(caught.value), 99)
    assert [row["text"] for row in chunk.rows] == [text for text, _ in ROWS]


_WHEN = "2024/05/0{} 10:00:0{}"
SURVEYS = {  # names, and the values of a row by its text, label and number
    "words": (("Timestamp", "{text}?", "{label}?"), lambda t, n: (_WHEN.format(n % 9 + 1, n % 9), t, ("no", "yes")[n])),
    "numbers": (("Timestamp", "{text}", "{label}?"), lambda t, n: (_WHEN.format(n + 1, n), t, n)),
    "dates alone": (("Timestamp", "{text}"), lambda t, n: (_WHEN.format(n + 1, n), t)),
    "labels alone": (("{text}", "{label}"), lambda t, n: (t, ("not at all", "very")[n])),
    "a colon": (("{text}:",), lambda t, n: (t,)),
    "a question": (("{text}?", "Your name"), lambda t, n: (t, f"Anna {t}")),
}


@pytest.mark.parametrize("text", ["Please write the joke here", "Which text have you read on this page"])
@pytest.mark.parametrize("case", SURVEYS)
def test_questions_of_a_survey_are_names(tmp_path: Path, case: str, text: str) -> None:
    names, row = SURVEYS[case]
    header = tuple(name.format(text=text, label="How funny do you find this text") for name in names)
    path = _write(tmp_path / "in.csv", [header, *(row(text, n) for text, n in ROWS)])
    with pytest.raises(UserError, match=r"set '?data\.text_column=") as caught:
        TextFiles(train_path=path).load()
    assert settings_in(caught.value)["text_column"] in header


OTHER_NAMES = {
    "plain": ("joke", "funny"),
    "blanks": ("the joke", "is it funny?"),
    "numbers": ("0", "1"),
    "other alphabets": ("Größe.text", "смешно"),
    "words of YAML": ("null", "true"),
    "backslashes": ("a\\b", "c\\\\"),
    "marks": ("a,b", "[c]"),
    "in quotes": ('"text one"', "'it'"),
    "blanks around": (" x ", "y=1; z"),
    "a quote": ("the 'joke'", 'so "funny"'),
}


@pytest.mark.parametrize("case", OTHER_NAMES)
def test_the_columns_that_are_meant_are_told(tmp_path: Path, case: str) -> None:
    path = _write(tmp_path / "in.csv", [(*OTHER_NAMES[case], "n"), *((*row, n) for n, row in enumerate(ROWS))])
    settings: dict[str, str] = {}
    for key in ("text_column", "label_column"):
        with pytest.raises(UserError, match=f"data.{key}=") as caught:
            TextFiles(train_path=path, **settings).load()  # type: ignore[arg-type]
        settings |= settings_in(caught.value)
    assert settings == dict(zip(("text_column", "label_column"), OTHER_NAMES[case], strict=True))
    examples = TextFiles(train_path=path, **settings).load()["train"]  # type: ignore[arg-type]
    assert examples.labels.tolist() == [label for _, label in ROWS]


@pytest.mark.parametrize("ending", [".csv", ".tsv"])
@pytest.mark.parametrize("name", ["l'avis", "100% text", "a\\nb", "text, or so", 'the "text"', "%s", "$HOME"])
def test_names_of_a_missing_header_survive_the_shell(tmp_path: Path, name: str, ending: str) -> None:
    path = _write(tmp_path / f"in{ending}", ROWS, "," if ending == ".csv" else "\t")
    taken = tmp_path / f"in.header{ending}"
    taken.write_text("mine")
    with pytest.raises(UserError, match="data in place of a header") as caught:
        TextFiles(train_path=path, text_column=name).load()
    made = run_command_in(caught.value)
    examples = TextFiles(train_path=str(made), text_column=name).load()["train"]
    assert examples.texts == [text for text, _ in ROWS]
    assert taken.read_text() == "mine"
