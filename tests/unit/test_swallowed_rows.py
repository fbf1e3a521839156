"""A text that is only a quote, and rows with missing values: no row is swallowed without a word."""

import csv
from pathlib import Path

import pytest

from lit_humor.core.errors import UserError
from lit_humor.data.reading.streams import check_input
from lit_humor.data.reading.tables import read_file, read_table
from tests.unit.test_separated import IN_THE_MIDDLE, NUMBERED, POEM, TEXT_FIRST, TEXTS, write_lines

NOTED = "id,text,note", [(str(n), text, f"about {n}") for n, text in enumerate(TEXTS)]
# A text that is only a quote; after sixty rows, each line a row.
LONE = {
    "alone": (TEXT_FIRST, ['"|1', 'and the hat was blue"|1', "nine|0"]),
    "with blanks": (TEXT_FIRST, ['" |1', 'and the hat was blue"|1', "nine|0"]),
    "two in a row": (TEXT_FIRST, ['"|1', '"|0', "nine|0"]),
    "three quotes": (TEXT_FIRST, ['"""|1', 'and the hat was blue"|1', "nine|0"]),
    "last": (NUMBERED, ['61|1|"', '62|0|the hat was blue"', "63|1|nine"]),
    "in the middle": (IN_THE_MIDDLE, ['61|"|humor', '62|the hat"|not humor', "63|nine|humor"]),
    "beside a note": (NOTED, ['61|"|so so', '62|the hat was blue"|so', "63|nine|so"]),
}


@pytest.mark.parametrize("ending", [".csv", ".tsv"])
@pytest.mark.parametrize("case", LONE)
def test_a_text_that_is_only_a_quote_swallows_no_row(tmp_path: Path, case: str, ending: str) -> None:
    (header, rows), tail = LONE[case]
    path = write_lines(tmp_path / f"in{ending}", header, rows, tail)
    with pytest.raises(UserError, match=r"line 62 to 63: found .*2 of them look like rows.*set data.quoting=none"):
        read_table(path)
    with pytest.raises(UserError, match=r"line 62 to 63: found .*set quoting=none"):
        check_input(path, "auto")
    column = header.split(",").index("text")
    assert read_table(path, "none")["text"][60:] == [line.split("|")[column] for line in tail]


MISSING = {
    "label of the first": (TEXT_FIRST, ['"Well|', 'the hat"|1']),
    "label of the second": (TEXT_FIRST, ['"Well|1', 'the hat"|']),
    "number": (NUMBERED, ['|1|"Well', '62|0|the hat"']),
    "name": (IN_THE_MIDDLE, ['61|"Well|', '62|the hat"|humor']),
}


@pytest.mark.parametrize("case", MISSING)
def test_a_missing_value_hides_no_swallowed_row(tmp_path: Path, case: str) -> None:
    (header, rows), tail = MISSING[case]
    path = write_lines(tmp_path / "in.tsv", header, rows, tail)
    with pytest.raises(UserError, match=r"line 62 to 63: found .*set data.quoting=none"):
        read_table(path)


@pytest.mark.parametrize("case", sorted(MISSING.keys() - {"label of the first"}))
def test_with_commas_too(tmp_path: Path, case: str) -> None:
    (header, rows), tail = MISSING[case]
    path = write_lines(tmp_path / "in.csv", header, rows, tail)
    with pytest.raises(UserError, match=r"line 62 to 63: found .*set data.quoting=none"):
        read_table(path)
    assert len(read_table(path, "none")["text"]) == 62


def test_a_line_with_a_comma_at_its_end_may_be_of_a_text_and_is_named(tmp_path: Path) -> None:
    """``"Roses are red,`` with the text going on is the same as a row without a label: refusing would refuse poems."""
    (header, rows), tail = MISSING["label of the first"]
    counts = read_file(write_lines(tmp_path / "in.csv", header, rows, tail))[1]
    assert counts.summary() == "62 lines after the header, 61 rows, 1 row of several lines (line 62)"


@pytest.mark.parametrize(
    "text", ["Roses are red,\nviolets are blue", "Roses,\n\nviolets,\nsugar,\n", "There were,\n3, 000", "\n\nso"]
)
def test_texts_with_commas_at_line_ends_are_read(tmp_path: Path, text: str) -> None:
    for header, rows in (TEXT_FIRST, NUMBERED, IN_THE_MIDDLE):
        names = header.split(",")
        row = [text if name == "text" else rows[0][index] for index, name in enumerate(names)]
        with (tmp_path / "in.csv").open("w", newline="") as file:
            csv.writer(file).writerows([names, *rows, row])
        for quoting in ("auto", "standard"):
            assert read_table(tmp_path / "in.csv", quoting)["text"][-1] == text  # type: ignore[arg-type]


REAL_NOTES = {
    "poem": (TEXT_FIRST, (POEM, "1"), "64 lines after the header, 61 rows, 1 row of several lines"),
    "two lines": (IN_THE_MIDDLE, ("61", "one\ntwo", "humor"), "62 lines after the header, 61 rows"),
    "a blank line": (NUMBERED, ("61", "1", "one\n\n"), "62 lines after the header, 61 rows, 1 row of several lines"),
}


@pytest.mark.parametrize("quoting", ["auto", "standard"])
@pytest.mark.parametrize("case", REAL_NOTES)
def test_predict_names_the_rows_of_several_lines(tmp_path: Path, case: str, quoting: str) -> None:
    (header, rows), row, note = REAL_NOTES[case]
    with (tmp_path / "in.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows, row])
    assert note in check_input(tmp_path / "in.csv", quoting)  # type: ignore[arg-type]
    assert note in read_file(tmp_path / "in.csv", quoting)[1].describe()  # type: ignore[arg-type]
