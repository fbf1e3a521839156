"""JSON: an object on each line, or one document that is a list of rows, a dict of rows or a dict of columns."""

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
    """Line and row of every line that is not blank; the line itself where it is no JSON object."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            record = _parse(line)
            yield number, record if isinstance(record, dict) else line.rstrip("\r\n")


def json_rows(path: Path, text: str) -> Iterator[tuple[int, Record | str]]:
    """Number (from 1) and row of a JSON document; what stands there where a row is no object.

    Takes a list of rows, a dict of rows (by id) or of columns, pandas' ``orient=split``, an object in which one list
    of rows stands under any name, and an object on each line.

    Raises:
        UserError: It is one document and broken, or has several lists of rows.
    """
    document = _parse(text)
    if document is None and (is_document(text) or text.lstrip("\ufeff \t\r\n").startswith(("{\n", "{\r\n"))):
        _refuse_broken(path, text)
    rows = None if document is None else _rows_of(path, document)
    if rows is None:  # an object on each line, or nothing that can be read
        yield from json_lines(text.split("\n"))
        return
    for number, row in enumerate(rows, start=1):
        yield number, row if isinstance(row, dict) else json.dumps(row, ensure_ascii=False)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _refuse_broken(path: Path, text: str) -> None:
    """Raise where a document of several lines is broken; lines of which only some are broken are no document."""
    if _parse(text.lstrip().split("\n")[0]) is not None:
        return
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        where, found = f"{path}, line {error.lineno}, column {error.colno}", f"broken JSON ({error.msg})"
        raise UserError(
            where, found=found, expected="a whole document", fix="correct it there, or write the file again"
        ) from None
    except RecursionError:
        pass


def _rows_of(path: Path, document: Any) -> list[Any] | None:
    """The rows of a document; None where it is one row itself, or no rows at all."""
    if not isinstance(document, dict):
        return document if isinstance(document, list) else None
    if isinstance(document.get("columns"), list) and isinstance(document.get("data"), list):
        return [dict(zip(document["columns"], row, strict=False)) for row in document["data"]]
    lists = {name: value for name, value in document.items() if isinstance(value, list)}
    of_rows = {name: value for name, value in lists.items() if value and all(isinstance(row, dict) for row in value)}
    if len(of_rows) > 1:
        name, source = next(iter(of_rows)), shlex.quote(str(path))
        target = shlex.quote(str(new_path(path.with_name(f"{path.stem}.{clean_name(name)}.json"))))
        code = f"import json, sys; json.dump(json.load(sys.stdin)[{name!r}], sys.stdout)"
        raise UserError(
            str(path),
            found=f"several lists of rows: {', '.join(of_rows)}",
            expected="one list of rows",
            fix=f"a file for each: python -c {shlex.quote(code)} < {source} > {target}",
        )
    if of_rows:
        return next(iter(of_rows.values()))
    if lists and len(lists) == len(document) and len({len(value) for value in lists.values()}) == 1:
        return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    if document and all(isinstance(value, dict) for value in document.values()):
        return _from_nested(document)
    return None


def is_document(text: str) -> bool:
    """Whether a text begins as a list, not as an object on each line."""
    return text.lstrip("\ufeff \t\r\n").startswith("[")


def _from_nested(document: dict[str, dict[str, Any]]) -> list[Record]:
    """Rows of ``{id: row}``, or of the ``{column: {index: value}}`` that pandas writes."""
    keys = [set(value) for value in document.values()]
    if all(one == keys[0] for one in keys) and all(name.isdigit() for name in keys[0]):
        return [{name: column[index] for name, column in document.items()} for index in next(iter(document.values()))]
    return [{"id": name, **row} for name, row in document.items()]
