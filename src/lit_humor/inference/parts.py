"""Writes files that may be larger than memory in parts, which are kept after an interruption and joined at the end."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lit_humor.core import locks
from lit_humor.core.errors import UserError
from lit_humor.core.remedies import free_path, new_path
from lit_humor.core.settings import typed
from lit_humor.data.reading.streams import Rejected
from lit_humor.data.reading.tables import safe_cell
from lit_humor.runs import record

OUTPUTS = (".csv", ".tsv", ".jsonl", ".parquet")


class Parts:
    """The finished parts of a file, in ``<target>.parts``; each part is written atomically.

    The folder is locked for one process, until ``join`` or the end of the process.

    Args:
        target: The file to write, with a suffix of ``OUTPUTS``.
        origin: Description of the input, as JSON; parts with another description are an error.

    Raises:
        UserError: The target exists, cannot be written, is being written by another process, or there are parts of
            another origin.
    """

    def __init__(self, target: Path, origin: Mapping[str, Any]) -> None:
        where = f"output={target}"
        check_target(target)
        self.target = target
        self.folder = target.with_name(f"{target.name}.parts")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = locks.hold(self.folder / ".lock")
        if self._lock is None:
            found, another = "another process that makes this file", typed("output", str(free_path(target)))
            raise UserError(where, found=found, expected="none", fix=f"wait for it, or set {another}")
        manifest = self.folder / "origin.json"
        if manifest.is_file() and record.read_json(manifest) != dict(origin):
            found = f"parts in {self.folder} that were made from other input, columns or weights"
            fix = shlex.join(["rm", "-r", str(self.folder)])
            raise UserError(where, found=found, expected="the same command as before", fix=fix)
        record.write_json(manifest, dict(origin))

    def __len__(self) -> int:
        """Number of finished parts."""
        return sum(1 for _ in self.folder.glob("*.parquet"))

    def is_done(self, index: int) -> bool:
        """Return whether a part is finished."""
        return self._path(index).is_file()

    def add(self, index: int, rows: Sequence[Mapping[str, Any]], rejected: Sequence[Rejected]) -> None:
        """Write a part."""
        record.write_text(self._path(index, ".rejected.json"), json.dumps(rejected))
        unfinished = self._path(index, ".unfinished")
        pq.write_table(_to_table(rows), unfinished)
        unfinished.replace(self._path(index))

    def join(self, count: int) -> tuple[int, int]:
        """Write the target, and a file of rejected rows next to it; remove the parts.

        Returns:
            Number of rows and of rejected rows.

        Raises:
            UserError: Another process has written the target; the parts are kept.
        """
        check_target(self.target)
        paths = [self._path(index) for index in range(count)]
        schema = _common_schema([pq.read_schema(path) for path in paths])
        unfinished = self.target.with_name(f".{self.target.name}.unfinished")
        num_rows = _WRITERS[self.target.suffix.lower()](unfinished, schema, _cast_parts(paths, schema))
        rejected = [
            Rejected(*fields)
            for index in range(count)
            for fields in json.loads(self._path(index, ".rejected.json").read_text(encoding="utf-8"))
        ]
        if rejected:
            with self.rejected_path.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([Rejected._fields, *(map(safe_cell, row) for row in rejected)])
        unfinished.replace(self.target)
        shutil.rmtree(self.folder)
        return num_rows, len(rejected)

    @property
    def rejected_path(self) -> Path:
        """Path of the file of rejected rows."""
        return self.target.with_name(f"{self.target.stem}.rejected.csv")

    def _path(self, index: int, ending: str = ".parquet") -> Path:
        return self.folder / f"{index:06}{ending}"


def check_target(target: Path) -> None:
    """Check that a file has a known suffix and does not exist.

    Raises:
        UserError: It has not, or it exists; the message names ``output``.
    """
    if target.suffix.lower() not in OUTPUTS:
        found, known = f"the ending '{target.suffix}'", ", ".join(OUTPUTS)
        fix = f"set {typed('output', str(new_path(target.with_suffix(OUTPUTS[0]))))}"
        raise UserError(f"output={target}", found=found, expected=f"one of {known}", fix=fix)
    if target.exists():
        fix = f"set {typed('output', str(free_path(target)))}, or move that file away"
        raise UserError(f"output={target}", found="a file there already", expected="a new file", fix=fix)


def _to_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return a table of rows; a column of mixed types becomes text."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            columns[name] = pa.array([None if value is None else _to_text(value) for value in values])
    return pa.table(columns)


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _common_schema(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Return all columns of all parts; a column with types that cannot be combined becomes text."""
    fields: dict[str, pa.DataType] = {}
    for schema in schemas:
        for field in schema:
            known = fields.setdefault(field.name, field.type)
            if known != field.type:
                both = [pa.schema({field.name: known}), pa.schema({field.name: field.type})]
                try:
                    merged = pa.unify_schemas(both, promote_options="permissive")
                    fields[field.name] = merged.field(field.name).type
                except (pa.ArrowInvalid, pa.ArrowTypeError):
                    fields[field.name] = pa.string()
    return pa.schema(fields)


def _cast_parts(paths: Sequence[Path], schema: pa.Schema) -> Iterator[pa.Table]:
    for path in paths:
        part = pq.read_table(path)
        columns = {}
        for field in schema:
            if field.name not in part.column_names:
                columns[field.name] = pa.nulls(part.num_rows, field.type)
            elif field.type == pa.string() and part[field.name].type != pa.string():
                values = part[field.name].to_pylist()
                columns[field.name] = pa.array([None if value is None else _to_text(value) for value in values])
            else:
                columns[field.name] = part[field.name].cast(field.type)
        yield pa.table(columns, schema=schema)


def _write_parquet(path: Path, schema: pa.Schema, parts: Iterator[pa.Table]) -> int:
    num_rows = 0
    with pq.ParquetWriter(path, schema) as writer:
        for part in parts:
            writer.write_table(part)
            num_rows += part.num_rows
    return num_rows


def _write_text(path: Path, schema: pa.Schema, parts: Iterator[pa.Table], separator: str | None) -> int:
    num_rows = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator or ",")
        if separator:
            writer.writerow(map(safe_cell, schema.names))
        for part in parts:
            rows = part.to_pylist()
            num_rows += len(rows)
            if separator:
                writer.writerows(["" if value is None else safe_cell(value) for value in row.values()] for row in rows)
            else:
                file.writelines(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
    return num_rows


_WRITERS: dict[str, Callable[[Path, pa.Schema, Iterator[pa.Table]], int]] = {
    ".parquet": _write_parquet,
    ".csv": lambda path, schema, parts: _write_text(path, schema, parts, ","),
    ".tsv": lambda path, schema, parts: _write_text(path, schema, parts, "\t"),
    ".jsonl": lambda path, schema, parts: _write_text(path, schema, parts, None),
}
