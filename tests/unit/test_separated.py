"""CSV and TSV: quotes that swallow rows and quotes that hold texts of several lines, separators, headers."""

import csv
import io
import itertools
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from lit_humor.core.errors import UserError
from lit_humor.data.reading import quotes
from lit_humor.data.reading.counts import FileCounts
from lit_humor.data.reading.quotes import checked_rows
from lit_humor.data.reading.separated import lines_of, open_separated, split_line
from lit_humor.data.reading.streams import check_input, read_chunks
from lit_humor.data.reading.tables import read_file, read_table
from lit_humor.data.sources.files import TextFiles
from tests.obeying import settings_in

TEXTS = [f"a line about {n} things" for n in range(60)]
NUMBERED = "id,label,text", [(str(n), str(n % 2), text) for n, text in enumerate(TEXTS, start=1)]
TEXT_FIRST = "text,label", [(text, str(n % 2)) for n, text in enumerate(TEXTS)]
IN_THE_MIDDLE = "id,text,label", [(str(n), text, "humor" if n % 2 else "not humor") for n, text in enumerate(TEXTS)]

# Rows after sixty good ones, with the lines that must be named and what must come out under quoting=none.
SWALLOWED = {
    "the issue's": (NUMBERED, ['61|1|"Well, that went fine', "62|0|the bus", '63|1|the hat"', "64|0|x"], (62, 64)),
    "two lines": (NUMBERED, ['61|1|"Well that', '62|0|the bus"', "63|1|x"], (62, 63)),
    "first column": (TEXT_FIRST, ['"Well that|1', "the bus|0", 'the hat"|1'], (62, 64)),
    "in the middle": (IN_THE_MIDDLE, ['61|"Well that|humor', "62|the bus|not humor", '63|the hat"|humor'], (62, 64)),
    "never closed": (NUMBERED, ['61|1|"Well that', "62|0|the bus", "63|1|the hat"], (62, 64)),
    "doubled inside": (NUMBERED, ['61|1|"Well ""that"" went', "62|0|the bus", '63|1|the hat"'], (62, 64)),
    "a sentence in quotes": (NUMBERED, ['61|1|"Well that', "62|0|the bus", '63|1|"the hat"', "64|0|x"], (62, 64)),
    "a blank line inside": (NUMBERED, ['61|1|"Well that', "", "62|0|the bus", '63|1|the hat"'], (62, 65)),
    "two places": (NUMBERED, ['61|1|"Well that', '62|0|the bus"', "63|1|x", '64|0|"the hat', '65|1|blue"'], (62, 63)),
}  # fmt: skip


def write_lines(path: Path, header: str, rows: list[tuple[str, ...]], tail: list[str], end: str = "\n") -> Path:
    sign = "\t" if path.suffix == ".tsv" else ","
    lines = [header, *(",".join(row) for row in rows)]
    lines = [line.replace(",", sign) for line in lines] + [line.replace("|", sign) for line in tail]
    path.write_text(end.join([*lines, ""]), encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("ending", [".csv", ".tsv"])
@pytest.mark.parametrize("case", SWALLOWED)
def test_swallowed_rows_are_named_and_the_remedy_brings_them_back(tmp_path: Path, case: str, ending: str) -> None:
    (header, rows), tail, (first, last) = SWALLOWED[case]
    for end in ("\n", "\r\n"):
        path = write_lines(tmp_path / f"in{ending}", header, rows, tail, end)
        with pytest.raises(UserError, match=rf"line {first} to {last}: found .*look like rows") as caught:
            TextFiles(train_path=str(path)).load()
        assert settings_in(caught.value)["quoting"] == "none"
        examples = TextFiles(train_path=str(path), **settings_in(caught.value)).load()["train"]
        wanted = [line for line in tail if line]
        assert len(examples) == 60 + len(wanted)
        column = header.split(",").index("text")
        assert examples.texts[60:] == [line.split("|")[column] for line in wanted]
        with pytest.raises(UserError, match=rf"line {first} to {last}: found") as caught:
            list(read_chunks(path, 10))
        assert "set quoting=none" in str(caught.value)
        assert sum(len(chunk) for chunk in read_chunks(path, 7, "none")) == 60 + len(wanted)


_HEAD = quotes._HEAD_LINES
_ALIKE = {  # header, separator, rows before, the lines that one row swallows
    "sorted numbers": ("label,text", [("0", "one")] * (_HEAD + 100), ['1|"Well, that', "1|the bus", "1|x", '1|blue"']),
    "sorted names": ("label,text", [("no", "one")] * (_HEAD + 100), ['funny|"Well', "funny|the bus", 'funny|blue"']),
    "a name of its own": ("label,text", [("a", "one"), ("b", "two")] * 20, ['a|"Well', "c|the bus", 'b|blue"']),
    "two lines": ("label,text", [("a", "one"), ("b", "two")] * 20, ['a|"Well', 'not known|blue"']),
    "no number": ("text,score", [("one", "3.5"), ("two", "1")] * 20, ['"Well|3.5', "the bus|n/a", 'blue"|1']),
    "no number last": ("text,score", [("one", "3.5"), ("two", "1")] * 20, ['"Well|3.5', 'blue"|unknown']),
}


@pytest.mark.parametrize("ending", [".csv", ".tsv"])
@pytest.mark.parametrize("case", _ALIKE)
def test_swallowed_rows_with_values_that_the_first_rows_do_not_have(tmp_path: Path, case: str, ending: str) -> None:
    header, rows, tail = _ALIKE[case]
    tail = [line.replace("Well, that", "Well") for line in tail] if ending == ".csv" else tail
    path = write_lines(tmp_path / f"in{ending}", header, rows, tail)
    first = len(rows) + 2
    for read in (read_table, lambda path: list(read_chunks(path, 10))):
        with pytest.raises(UserError, match=rf"line {first} to {first + len(tail) - 1}: found .*set .*quoting=none"):
            read(path)
    assert len(read_table(path, "none")["text"]) == len(rows) + len(tail)


@pytest.mark.parametrize("text", ["Hello\nYes, dear", "Hey\nYes, dear\nNo, dear", "one\ntwo", "Red,\nYou"])
@pytest.mark.parametrize("labels", [("0", "1"), ("a", "b")])
def test_prose_with_commas_has_not_the_form_of_rows(tmp_path: Path, text: str, labels: tuple[str, str]) -> None:
    rows = [(labels[n % 2], text) for n, text in enumerate(TEXTS)] + [(labels[0], text)]
    for at, header in ((1, ("label", "text")), (-1, ("text", "label"))):
        with (tmp_path / "in.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *(row[::at] for row in rows)])
        assert read_table(tmp_path / "in.csv")["text"][-1] == text


POEM = "Roses are red,\nViolets are blue,\nSugar is sweet,\nAnd so are you."
REAL = {
    "poem": POEM,
    "two lines": "one\ntwo",
    "dialogue": '- "Hello," he said.\n- "No, 1," she said,\n\n- and left, 0',
    "address": "12 High Street\nLondon, UK",
    "list": "Things to buy:\n1, milk\n2, eggs\n3, a hat",
    "long": "\n".join(f"verse {n}, and so on, and so on" for n in range(3000)),
}


@pytest.mark.parametrize("ending", [".csv", ".tsv"])
@pytest.mark.parametrize("layout", [NUMBERED, TEXT_FIRST, IN_THE_MIDDLE], ids=["last", "first", "middle"])
@pytest.mark.parametrize("text", REAL)
def test_real_texts_of_several_lines_keep_working(tmp_path: Path, text: str, layout: tuple, ending: str) -> None:
    header, rows = layout
    names = header.split(",")
    own = tuple({"id": "61", "label": rows[0][names.index("label")], "text": REAL[text]}[name] for name in names)
    for several in ([*rows, own], [own, *rows], [own, own]):
        path = tmp_path / f"in{ending}"
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter="\t" if ending == ".tsv" else ",").writerows([names, *several])
        table, counts = read_file(path)
        assert table["text"] == [row[names.index("text")] for row in several]
        assert counts.rows == len(several)
        assert counts.rows_of_several_lines == several.count(own)
        assert f"{counts.lines:,} lines after the header, {len(several)} rows" in counts.describe()
        assert sum(len(chunk.rows) for chunk in read_chunks(path, 50)) == len(several)


# Nothing but the text: no other column tells rows from lines.
ALONE = {
    "cannot be told": ('text\nfine\n"Well that went fine\nthe bus was late\nthe hat was blue"\nthe tram\n', False),
    "two lines": ('text\n"Well that went fine\nthe hat was blue"\nthe tram\n', False),
    "commas inside": ('text\nfine\n"Roses are red,\nViolets are blue,\nand so are you"\n', True),
    "written by a writer": ('text\n"a, b"\nfine\n"Roses\nViolets\nyou"\n', True),
    "quotes doubled": ('text\nfine\n"he said\n""hello""\nand left"\n', True),
    "one text with a comma": ("text\n" + "fine\n" * 20 + '"yes, sure"\n"Well\nthe bus\nthe hat"\n', False),
    "one quoted word": ("text\n" + "fine\n" * 20 + '"he ""said"" so"\n"Well\nthe hat"\n', False),
    "a speech at the end": ("text\n" + "fine\n" * 30 + '"Well\nthe bus\nthe hat"\n"no, no"\n', False),
    "many texts with commas": ("text\n" + 'fine\n"yes, sure"\n' * 9 + '"Well\nthe bus\nthe hat"\n', True),
    "plain quotes elsewhere": ('text\nhe said "hi"\n"Well\nthe bus\nthe hat"\n', False),
}


@pytest.mark.parametrize("case", ALONE)
def test_a_text_alone_is_refused_where_it_cannot_be_told(tmp_path: Path, case: str) -> None:
    content, is_text = ALONE[case]
    path = tmp_path / "in.csv"
    path.write_text(content)
    if is_text:
        assert "1 row of several lines" in check_input(path, "auto")
        return
    with pytest.raises(UserError, match=r"quoting=none .*, or set quoting=standard \(these are texts"):
        check_input(path, "auto")
    lines = [line if ", " not in line else line.strip('"') for line in content.splitlines()[1:]]
    assert [row["text"] for chunk in read_chunks(path, 9, "none") for row in chunk.rows] == lines
    rows = [row["text"] for chunk in read_chunks(path, 9, "standard") for row in chunk.rows]
    assert rows == [row[0] for row in csv.reader(io.StringIO(content))][1:]


def test_where_no_setting_helps_the_line_to_write_is_told(tmp_path: Path) -> None:
    """A file of real texts of several lines and one stray quote."""
    header, rows = NUMBERED
    path = write_lines(
        tmp_path / "in.csv", header, rows, ['61|1|"two', 'lines"', '62|0|"Well', '63|1|the bus"', "64|0|x"]
    )
    with pytest.raises(UserError, match=r"line 64 to 65: .*write line 64 as ") as caught:
        read_table(path)
    line = str(caught.value).partition("write line 64 as ")[2].partition(", or set")[0]
    lines = path.read_text().split("\n")
    path.write_text("\n".join([*lines[:63], line, *lines[64:]]))
    assert read_table(path)["text"][60:] == ["two\nlines", '"Well', 'the bus"', "x"]


def test_a_stray_quote_in_the_header(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in.csv", '"text,label', [("one", "1"), ('two"', "0")], [])
    with pytest.raises(UserError, match=r"line 1: found a quote in the header") as caught:
        read_table(path)
    assert TextFiles(train_path=str(path), **settings_in(caught.value)).load()["train"].texts == ["one", 'two"']


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ('7,"Be yourself" - Oscar Wilde,1', ["7", '"Be yourself" - Oscar Wilde', "1"]),
        ('7,"Be yourself, always" - Oscar Wilde,1', ["7", '"Be yourself, always" - Oscar Wilde', "1"]),
        ('7,"he said "ha" and left",1', ["7", '"he said "ha" and left"', "1"]),
        ('7,"a" and "b, c",1', ["7", '"a" and "b, c"', "1"]),
        ('7,he said "ha",1', ["7", 'he said "ha"', "1"]),
    ],
)
def test_quotes_that_close_nothing_are_plain_characters(tmp_path: Path, line: str, fields: list[str]) -> None:
    path = tmp_path / "in.csv"
    path.write_text(f"id,text,label\n1,one,0\n{line}\n9,two,0\n")
    for quoting in ("auto", "standard", "none"):
        table = read_table(path, quoting)  # type: ignore[arg-type]
        assert [table[name][1] for name in ("id", "text", "label")] == fields
    assert [list(row.values()) for chunk in read_chunks(path, 9) for row in chunk.rows][1] == fields
    assert split_line(line, ",", 3) == fields


@pytest.mark.parametrize("ending", [".csv", ".tsv"])
@pytest.mark.parametrize(
    "text",
    [
        'the "bus" came| late',
        'the "bus"',
        '"Be yourself" - Oscar Wilde',
        'he said "ha"| "ho"| and left',
        'a ""b"" "c" d',
    ],
)
def test_quotes_round_all_fields_are_the_files(tmp_path: Path, text: str, ending: str) -> None:
    text, sign = text.replace("|", ","), "\t" if ending == ".tsv" else ","
    rows = [("text", "label"), ("one", "1"), ("two, three", "0"), (text, "0"), ("four", "1")]
    path = tmp_path / f"in{ending}"
    path.write_text("".join(f'"{first}"{sign}"{second}"\n' for first, second in rows))
    for quoting in ("auto", "standard", "none"):
        table = read_table(path, quoting)  # type: ignore[arg-type]
        assert list(zip(table["text"], table["label"], strict=True)) == rows[1:]
    assert TextFiles(train_path=str(path)).load()["train"].labels.tolist() == [1, 0, 0, 1]


def test_a_quote_before_a_huge_rest_is_refused_without_reading_it(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,text\n")

    for row, most in (("{},the bus was late\n", 2_000), ("no row at all\n", 1_000_000)):
        lines_read: list[int] = []  # each time that the file is opened

        def endless(row: str = row, lines_read: list[int] = lines_read) -> Iterator[str]:
            lines_read.append(0)
            at = len(lines_read) - 1
            for line in itertools.chain(["id,text\n", '1,"Well\n'], map(row.format, itertools.count())):
                lines_read[at] += 1
                yield line

        file = open_separated(tmp_path / "in.csv", endless, "auto", "quoting")
        with pytest.raises(UserError, match="a quote that is not closed in"):
            deque(checked_rows(file, "quoting"), maxlen=0)
        assert lines_read[2] < most, "the pass that looks for swallowed rows"


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
@pytest.mark.parametrize("ending", [".csv", ".tsv"])
def test_the_separator_is_the_files_own(tmp_path: Path, ending: str, separator: str) -> None:
    path = tmp_path / f"in{ending}"
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=separator).writerows([("text", "label"), ("well, that | is; it", "1"), ("b", "0")])
    table, counts = read_file(path)
    assert table["text"] == ["well, that | is; it", "b"]
    expected = {".csv": ",", ".tsv": "\t"}[ending]
    assert bool(counts.describe()) == (separator != expected)
    assert [row["label"] for chunk in read_chunks(path, 9) for row in chunk.rows] == ["1", "0"]
    assert bool(check_input(path, "auto")) == (separator != expected)


def test_one_column_is_no_other_separator() -> None:
    for content in ("text\na; b\nc\n", "text\na|b\n", "What; me?\nno\nyes, me\n"):
        assert open_separated(Path("in.csv"), lines_of(content), "auto", "quoting").separator == ","
    with pytest.raises(UserError, match="a header separated by semicolons, and rows that are not"):
        open_separated(Path("in.csv"), lines_of("text;label\na,1\nb,0\n"), "auto", "quoting")


@pytest.mark.parametrize(
    ("count", "words"),
    [(1, "1 row has quotes without"), (2, "2 rows have quotes without"), (1234, "1,234 rows have quotes without")],
)
def test_stray_quotes_are_counted_in_words(count: int, words: str) -> None:
    counts = FileCounts("a.csv", rows=2000, lines=2000, rows_with_stray_quotes=count)
    assert counts.describe() == f"a.csv: {words} a partner; they are kept as characters"
