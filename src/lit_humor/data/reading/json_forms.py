"""Recognizes JSON documents that hold texts and labels, but not as rows: texts by label, and labels by text."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from lit_humor.core.errors import UserError, list_names
from lit_humor.core.remedies import new_path
from lit_humor.core.settings import typed
from lit_humor.data.reading.json_rows import command_for_rows, parse

_MAX_COLUMNS = 50  # an object with more plain values is no row
_MIN_CHARACTERS = 15  # mean length from which values are taken for texts


def refuse_json_without_rows(path: Path, text: str, label: str, key: str | None) -> None:
    """Raise an error if a JSON file is ``{text: label}``, ``{label: text}`` or ``{label: [texts]}``.

    Args:
        path: Any file; only JSON is checked.
        text: Name for the column of texts.
        label: Name for the column of labels.
        key: The setting that names the column of texts, if there is one.

    Raises:
        UserError: The file has such a form; names the command that writes rows.
    """
    if path.suffix.lower() not in (".json", ".jsonl", ".ndjson") or not path.is_file():
        return
    document = parse(path.read_text(encoding="utf-8-sig", errors="replace"))
    if not isinstance(document, dict) or not document:
        return
    values = list(document.values())
    source, target = shlex.quote(str(path)), shlex.quote(str(new_path(path.with_suffix(".rows.json"))))
    files = f"< {source} > {target}, and name that file"
    if all(isinstance(value, str | int | float) for value in values):
        key_length, value_length = _mean_length(document), _mean_length(map(str, values))
        if len(values) < 2 or (len(values) <= _MAX_COLUMNS and key_length < _MIN_CHARACTERS):
            return
        is_by_text = key_length >= value_length
        form = ("text", "label") if is_by_text else ("id", "text")
        raise UserError(
            str(path),
            found=f"a dict of {len(values):,} {'texts to labels' if is_by_text else 'keys to texts'}",
            expected="a list of rows",
            fix=f"{command_for_rows(*form, text, label)} {files}",
        )
    lists = [value for value in values if isinstance(value, list)]
    texts = [element for value in lists for element in value]
    if len(lists) == len(values) and texts and all(isinstance(element, str) for element in texts):
        columns = [name for name, value in document.items() if _mean_length(value) >= _MIN_CHARACTERS]
        if len(columns) < len(values):  # one of them holds labels or names
            return
        fix = f"if the keys are labels: {command_for_rows('label', 'texts', text, label)} {files}"
        fix += f"; if they are columns: set {typed(key, columns[0])}" if key else ""
        found = f"a dict of lists of texts under {list_names(map(repr, document))}"
        raise UserError(str(path), found=found, expected="a list of rows", fix=fix)


def _mean_length(texts: Iterable[str]) -> float:
    lengths = [len(text) for text in texts]
    return sum(lengths) / max(len(lengths), 1)
