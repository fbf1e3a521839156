"""Reads JSON: one object per line, or one document: a list of rows, a dict of rows or a dict of columns."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from lit_humor.core.errors import UserError, list_names, shorten
from lit_humor.core.remedies import clean_name, new_path
from lit_humor.data.reading.places import RowNumber, name_place

Record = dict[str, Any]


class DoubledKey(dict[str, Any]):
    """An object in which a key stands twice.

    Attributes:
        key: The key.
        positions: Positions of its first two values among the entries of the object, from 1.
    """

    key: str
    positions: tuple[int, int]

    @property
    def reason(self) -> str:
        """Description of the fault."""
        return f"key {shorten(self.key, 40)} twice"


class Unusable(NamedTuple):
    """A row that cannot be read: its content, the reason, and whether it is an object in which a key stands twice."""

    content: str
    reason: str = "no JSON object"
    is_doubled: bool = False


NumberedRecords = Iterator[tuple[int, Record | Unusable]]


def json_lines(lines: Iterable[str]) -> NumberedRecords:
    """Yield (line number, row) for every line that is not blank; a line that is no JSON object is ``Unusable``."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, _as_record(parse(line), line.rstrip("\r\n"))


def json_rows(path: Path, text: str) -> NumberedRecords:
    """Yield (row number from 1, row) of a JSON document; a row that is no object is ``Unusable``.

    Accepted: a list of rows, a dict of rows (by id) or of columns, pandas' ``orient=split``, an object with one list
    of rows under any name, a single row, and one object per line.

    Raises:
        UserError: The document is broken, has several lists of rows, columns of unequal length, or a key twice.
    """
    document = parse(text)
    if document is None and (is_document(text) or text.lstrip("\ufeff \t\r\n").startswith(("{\n", "{\r\n"))):
        _raise_if_broken(path, text)
    rows = None if document is None else _document_rows(path, document)
    if rows is None and isinstance(document, dict):
        rows = [document]
    if rows is None:  # one object per line, or not JSON
        yield from json_lines(text.split("\n"))
        return
    for number, row in enumerate(rows, start=1):
        yield RowNumber(number), _as_record(row)


def row_error(path: Path, number: int, row: Unusable) -> UserError:
    """The error for a row that cannot be read."""
    where = f"{path}, {name_place(number)}"
    if row.is_doubled:
        return UserError(where, found=row.reason, expected="each key once", fix="rename or delete one of them")
    found, fix = shorten(row.content), 'write each row as an object: {"text": ..., "label": ...}'
    line = row.content.strip()
    if line.endswith(",") and isinstance(parse(line[:-1]), dict):
        source, target = _source_and_target(path, f".lines{path.suffix}")
        found += ", with a comma at its end"
        fix = f"sed 's/,[[:space:]]*$//' {source} > {target}, and name that file"
    elif line.startswith("{"):
        try:
            json.loads(line)
        except json.JSONDecodeError as error:
            found += f", which is broken JSON ({error.msg}, column {error.colno})"
            fix = "put each object on a line of its own" if error.msg == "Extra data" else "correct it there"
        except RecursionError:
            pass
    return UserError(where, found=found, expected="one JSON object on each line, or a list of objects", fix=fix)


def parse(text: str) -> Any:
    """Return the value of a JSON text, or None if it is broken; an object with a key twice is a ``DoubledKey``."""
    try:
        return json.loads(text, object_pairs_hook=_make_object)
    except (ValueError, RecursionError):
        return None


def _make_object(pairs: list[tuple[str, Any]]) -> Record:
    record = dict(pairs)
    if len(record) == len(pairs):
        return record
    doubled, positions = DoubledKey(record), dict[str, int]()
    for position, (key, _) in enumerate(pairs, start=1):
        if key in positions:
            doubled.key, doubled.positions = key, (positions[key], position)
            break
        positions[key] = position
    return doubled


def _as_record(row: Any, content: str | None = None) -> Record | Unusable:
    if isinstance(row, dict) and not isinstance(row, DoubledKey):
        return row
    content = json.dumps(row, ensure_ascii=False) if content is None else content
    return Unusable(content, row.reason, is_doubled=True) if isinstance(row, DoubledKey) else Unusable(content)


def _raise_if_broken(path: Path, text: str) -> None:
    """Raise if a document of several lines is broken; if its first line is valid, it is no document but JSON lines."""
    if parse(text.lstrip().split("\n")[0]) is not None:
        return
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        place, problem = f"{path}, line {error.lineno}, column {error.colno}", f"broken JSON ({error.msg})"
        raise UserError(
            place, found=problem, expected="a whole document", fix="correct it there, or write the file again"
        ) from None
    except RecursionError:
        pass


def _document_rows(path: Path, document: Any) -> list[Any] | None:
    """Return the rows of a document; None if it is a single row or has no rows."""
    if not isinstance(document, dict):
        return document if isinstance(document, list) else None
    if isinstance(document, DoubledKey) and any(isinstance(value, dict | list) for value in document.values()):
        raise _doubled_error(path, document)
    if isinstance(document.get("columns"), list) and isinstance(document.get("data"), list):
        return _from_split(path, document["columns"], document["data"])
    lists = {name: value for name, value in document.items() if isinstance(value, list)}
    lists_of_rows = {name: value for name, value in lists.items() if any(isinstance(row, dict) for row in value)}
    if len(lists_of_rows) > 1:
        name = next(iter(lists_of_rows))
        source, target = _source_and_target(path, f".{clean_name(name)}.json")
        code = f"import json, sys; json.dump(json.load(sys.stdin)[{name!r}], sys.stdout)"
        raise UserError(
            str(path),
            found=f"several lists of rows: {list_names(lists_of_rows)}",
            expected="one list of rows",
            fix=f"a file for each: python -c {shlex.quote(code)} < {source} > {target}",
        )
    if lists_of_rows:
        return next(iter(lists_of_rows.values()))
    if lists and len(lists) == len(document):
        return _from_columns(path, lists)
    if document and all(isinstance(value, dict) for value in document.values()):
        return _from_nested(path, document)
    return None


def is_document(text: str) -> bool:
    """Whether a text starts as a JSON list, and is thus not one object per line."""
    return text.lstrip("\ufeff \t\r\n").startswith("[")


def _doubled_error(path: Path, document: DoubledKey, column: str = "") -> UserError:
    """The error for a key that stands twice among the rows or columns of a document."""
    first, second = document.positions
    is_row = column or not (_is_table_of_pandas(document) or any(isinstance(v, list) for v in document.values()))
    where = f"{path}, row {second}" if is_row else str(path)
    found = document.reason + (f" in '{column}'" if column else "") + (f", first in row {first}" if is_row else "")
    return UserError(where, found=found, expected="each key once", fix="rename or delete one of them")


def _from_split(path: Path, columns: list[Any], values: list[Any]) -> list[Any]:
    """Return the rows of ``{"columns": [...], "data": [[...], ...]}``."""
    names = list(map(str, columns))
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled is not None:
        found, fix = f"column {shorten(doubled, 40)} twice", "rename or drop one of them"
        raise UserError(str(path), found=found, expected="each column once", fix=fix)
    for number, row in enumerate(values, start=1):
        if not isinstance(row, list) or len(row) != len(names):
            raise UserError(
                f"{path}, row {number}",
                found=f"{len(row)} values" if isinstance(row, list) else shorten(row),
                expected=f"{len(names)} values as in columns ({list_names(names)})",
                fix="correct the row or delete it",
            )
    return [dict(zip(names, row, strict=True)) for row in values]


def _from_columns(path: Path, columns: Mapping[str, list[Any]]) -> list[Record]:
    """Return the rows of ``{column: [values]}``."""
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        fix = "give every column a value for each row"
        if all(isinstance(value, str) for values in columns.values() for value in values):
            source, target = _source_and_target(path, ".rows.json")
            fix += f"; if the keys are labels: {command_for_rows('label', 'texts')} < {source} > {target}"
            fix += ", and name that file"
        raise UserError(
            str(path),
            found=f"columns of unequal length: {list_names(f'{name} {n:,}' for name, n in lengths.items())}",
            expected="columns of one length",
            fix=fix,
        )
    return [dict(zip(columns, row, strict=True)) for row in zip_longest(*columns.values())]


def command_for_rows(key: str, value: str, text: str = "text", label: str = "label") -> str:
    """Return a command that reads a dict of texts and labels from standard input and writes rows.

    Args:
        key: What the keys of the dict are: ``text``, ``label`` or ``id``.
        value: What their values are: ``text``, ``label`` or ``texts``, a list.
        text: Column of the texts to write.
        label: Column of the labels to write.
    """
    names = {"text": text, "texts": text, "label": label, "id": "id"}
    row = f"{{{names[key]!r}: k, {names[value]!r}: {'v' if value != 'texts' else 't'}}}"
    more = " for t in v" if value == "texts" else ""
    code = f"import json, sys; json.dump([{row} for k, v in json.load(sys.stdin).items(){more}], sys.stdout)"
    return f"python -c {shlex.quote(code)}"


def _source_and_target(path: Path, ending: str) -> Sequence[str]:
    return shlex.quote(str(path)), shlex.quote(str(new_path(path.with_suffix(ending))))


def _is_table_of_pandas(document: Mapping[str, Any]) -> bool:
    """Whether a dict is ``{column: {index: value}}`` as pandas writes it."""
    values = list(document.values())
    if not all(isinstance(value, dict) for value in values):
        return False
    return all(set(value) == set(values[0]) for value in values) and all(name.isdigit() for name in values[0])


def _from_nested(path: Path, document: dict[str, dict[str, Any]]) -> list[Record]:
    """Return the rows of ``{id: row}``, or of ``{column: {index: value}}`` as pandas writes it."""
    if _is_table_of_pandas(document):
        for name, column in document.items():
            if isinstance(column, DoubledKey):
                raise _doubled_error(path, column, name)
        return [{name: column[index] for name, column in document.items()} for index in next(iter(document.values()))]
    return [row if isinstance(row, DoubledKey) else {"id": name, **row} for name, row in document.items()]
