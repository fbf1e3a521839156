"""Remedies for the cause that the file has: separators, headers and labels."""

from pathlib import Path

import pytest

from lit_humor.core.errors import UserError
from lit_humor.data.reading.streams import read_chunks
from lit_humor.data.reading.tables import read_table
from lit_humor.data.sources.files import TextFiles
from tests.obeying import run_command_in, settings_in

_TEXTS = [f"a line about {n} things" for n in range(20)]


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;\r", "\ufeffsep=;"])
@pytest.mark.parametrize("ending", [".csv", ".tsv"])
def test_the_first_line_of_excel_is_skipped(tmp_path: Path, first: str, ending: str) -> None:
    path = tmp_path / f"in{ending}"
    path.write_text(f"{first}\ntext;label\nwell, one;1\ntwo;0\n", encoding="utf-8", newline="")
    table = read_table(path)
    assert table["text"] == ["well, one", "two"]
    assert table["__line__"] == [3, 4]
    assert [row["label"] for chunk in read_chunks(path, 9) for row in chunk.rows] == ["1", "0"]


@pytest.mark.parametrize("text", ["well, the doctor", "a, b, and c", "so, what"])
def test_unquoted_commas_under_tsv_are_named_as_such(tmp_path: Path, text: str) -> None:
    path = tmp_path / "in.tsv"
    path.write_text("id,text,label\n" + "".join(f"{n},{text} {n},{n % 2}\n" for n in range(20)))
    with pytest.raises(UserError, match=r"line 2: found \d fields, .*put quotes round the text that holds commas"):
        read_table(path)


@pytest.mark.parametrize("label", ["1", "humor", "funny"])
@pytest.mark.parametrize("text", ["Why, oh why?", "Who did it?", "He said:"])
def test_a_question_beside_a_label_is_no_name(tmp_path: Path, text: str, label: str) -> None:
    other = {"1": "0", "humor": "not humor", "funny": "dull"}[label]
    rows = [(f'"{text}"', label), *((line, (other, label)[n % 2]) for n, line in enumerate(_TEXTS))]
    (tmp_path / "in.csv").write_text("".join(f"{line},{name}\n" for line, name in rows))
    with pytest.raises(UserError, match="line 1: found data in place of a header") as caught:
        TextFiles(train_path=str(tmp_path / "in.csv")).load()
    assert read_table(run_command_in(caught.value))["text"] == [text, *_TEXTS]


def _load(folder: Path, labels: list[str], **settings: object) -> tuple[list[int], tuple[str, ...]]:
    (folder / "in.tsv").write_text("text\tlabel\n" + "".join(f"text {n}\t{v}\n" for n, v in enumerate(labels)))
    examples = TextFiles(train_path=str(folder / "in.tsv"), **settings).load()["train"]  # type: ignore[arg-type]
    return examples.labels.tolist(), examples.class_names


RATINGS = {
    "percent": ["85%", "10%", "50 %", "99%"],
    "stars": ["3 stars", "1 star", "5 stars", "2 Stars"],
    "fractions": ["2/5", "1/5", "5/5", "4/5"],
    "out of": ["2 out of 5", "1 out of 5", "5 out of 5", "4 out of 5"],
}


@pytest.mark.parametrize("case", RATINGS)
def test_ratings_with_a_unit_are_split_in_two(tmp_path: Path, case: str) -> None:
    with pytest.raises(UserError, match=r"different numbers .*set data.label_threshold=") as caught:
        _load(tmp_path, RATINGS[case] * 9)
    labels, classes = _load(tmp_path, RATINGS[case] * 9, **settings_in(caught.value))
    assert classes == ("not humor", "humor")
    assert set(labels) == {0, 1}


YES_NO = {
    "yes and no": (["yes", "Yes", "YES", "y", "no", "No", "n"], [1, 1, 1, 1, 0, 0, 0]),
    "letters": (["Y", "N", "yes", "yes", "no", "no"], [1, 0, 1, 1, 0, 0]),
    "true": (["true", "yes", "false", "no", "n"], [1, 1, 0, 0, 0]),
}


@pytest.mark.parametrize("case", YES_NO)
def test_spellings_of_yes_and_no_are_two_classes(tmp_path: Path, case: str) -> None:
    values, expected = YES_NO[case]
    with pytest.raises(UserError) as caught:
        _load(tmp_path, values * 9)
    labels, classes = _load(tmp_path, values * 9, **settings_in(caught.value))
    assert len(classes) == 2
    assert labels[: len(values)] == expected


@pytest.mark.parametrize("values", [["+1", "0", "1"], ["+1", "+0", "1"], ["+1.0", "0", "1"]])
def test_a_sign_makes_no_other_label(tmp_path: Path, values: list[str]) -> None:
    assert _load(tmp_path, values)[0] == [1, 0, 1]


@pytest.mark.parametrize("sign", ["\t", ","])
@pytest.mark.parametrize("first", ["# made in 2024", "#made by me", "// made in 2024"])
def test_a_comment_above_the_header_is_named_and_the_command_drops_it(tmp_path: Path, first: str, sign: str) -> None:
    path = tmp_path / ("in.csv" if sign == "," else "in.tsv")
    lines = [first, "id,text,label", *(f"{n},{text},{n % 2}" for n, text in enumerate(_TEXTS))]
    path.write_text("".join(line.replace(",", sign) + "\n" for line in lines))
    for read in (read_table, lambda path: list(read_chunks(path, 9))):
        with pytest.raises(UserError, match="line 1: found a comment above the header") as caught:
            read(path)
    assert read_table(run_command_in(caught.value))["text"] == _TEXTS


@pytest.mark.parametrize("header", ["id  text  label", "id text label", "id   text  label "])
def test_blanks_in_the_header_are_named_and_the_command_writes_tabs(tmp_path: Path, header: str) -> None:
    path = tmp_path / "in.tsv"
    path.write_text(header + "\n" + "".join(f"{n}\t{text}\t{n % 2}\n" for n, text in enumerate(_TEXTS)))
    with pytest.raises(UserError, match="line 1: found a header without tabs") as caught:
        read_table(path)
    assert list(read_table(run_command_in(caught.value)))[:3] == ["id", "text", "label"]


@pytest.mark.parametrize("row", ["well, you", "yes, sure", "a,b"])
def test_a_text_with_an_unquoted_comma_is_no_wrong_header(tmp_path: Path, row: str) -> None:
    (tmp_path / "in.csv").write_text(f"the joke\n{row}\nplain\n")
    with pytest.raises(UserError, match=r"line 2: found 2 fields, .*put quotes round the text that holds commas"):
        read_table(tmp_path / "in.csv")
