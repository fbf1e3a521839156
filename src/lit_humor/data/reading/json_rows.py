"""Reads JSON: one object per line, or one document: a list of rows, a dict of rows or a dict of columns."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lit_humor.core.errors import UserError
from lit_humor.core.remedies import clean_name, new_path

Record = dict[str, Any]


def json_lines(lines: Iterable[str]) -> Iterator[tuple[int, Record | str]]:
    """Yield (line number, row) for every line that is not blank; a line that is no JSON object is yielded as text."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            record = _parse(line)
            yield number, record if isinstance(record, dict) else line.rstrip("\r\n")


def json_rows(path: Path, text: str) -> Iterator[tuple[int, Record | str]]:
    """Yield (row number from 1, row) of a JSON document; a row that is no object is yielded as text.

    Accepted: a list of rows, a dict of rows (by id) or of columns, pandas' ``orient=split``, an object with one list
    of rows under any name, and one object per line.

    Raises:
        UserError: The document is broken, or has several lists of rows.
    """
    document = _parse(text)
    if document is None and (is_document(text) or text.lstrip("\ufeff \t\r\n").startswith(("{\n", "{\r\n"))):
        _raise_if_broken(path, text)
    rows = None if document is None else _document_rows(path, document)
    if rows is None:  # one object per line, or not JSON
        yield from json_lines(text.split("\n"))
        return
    for number, row in enumerate(rows, start=1):
        yield number, row if isinstance(row, dict) else json.dumps(row, ensure_ascii=False)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _raise_if_broken(path: Path, text: str) -> None:
    """Raise if a document of several lines is broken; if its first line is valid, it is no document but JSON lines."""
    if _parse(text.lstrip().split("\n")[0]) is not None:
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
    if isinstance(document.get("columns"), list) and isinstance(document.get("data"), list):
        return [dict(zip(document["columns"], row, strict=False)) for row in document["data"]]
    lists = {name: value for name, value in document.items() if isinstance(value, list)}
    lists_of_rows = {
        name: value for name, value in lists.items() if value and all(isinstance(row, dict) for row in value)
    }
    if len(lists_of_rows) > 1:
        name, source_path = next(iter(lists_of_rows)), shlex.quote(str(path))
        target_path = shlex.quote(str(new_path(path.with_name(f"{path.stem}.{clean_name(name)}.json"))))
        code = f"import json, sys; json.dump(json.load(sys.stdin)[{name!r}], sys.stdout)"
        raise UserError(
            str(path),
            found=f"several lists of rows: {', '.join(lists_of_rows)}",
            expected="one list of rows",
            fix=f"a file for each: python -c {shlex.quote(code)} < {source_path} > {target_path}",
        )
    if lists_of_rows:
        return next(iter(lists_of_rows.values()))
    if lists and len(lists) == len(document) and len({len(value) for value in lists.values()}) == 1:
        return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    if document and all(isinstance(value, dict) for value in document.values()):
        return _from_nested(document)
    return None


def is_document(text: str) -> bool:
    """Whether a text starts as a JSON list, and is thus not one object per line."""
    return text.lstrip("\ufeff \t\r\n").startswith("[")


def _from_nested(document: dict[str, dict[str, Any]]) -> list[Record]:
    """Return the rows of ``{id: row}``, or of ``{column: {index: value}}`` as pandas writes it."""
    key_sets = [set(value) for value in document.values()]
    if all(key_set == key_sets[0] for key_set in key_sets) and all(name.isdigit() for name in key_sets[0]):
        return [{name: column[index] for name, column in document.items()} for index in next(iter(document.values()))]
    return [{"id": name, **row} for name, row in document.items()]
