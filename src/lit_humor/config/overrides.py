"""Prepares settings of the command line for Hydra, whose grammar would misread some of them.

Values of text settings get quotes: ``data.train_path=in/train (1).csv``, ``run_id=1e5``, ``data.label_names=[-1,да]``.
``declared.py`` finds which settings take texts.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf.errors import GrammarParseError
from omegaconf.grammar_parser import parse as parse_interpolation

from lit_humor.config.declared import TextType, text_type_of
from lit_humor.core.errors import UserError, list_names, shorten
from lit_humor.core.settings import QUOTED, command_line, is_null, is_quoted, quoted
from lit_humor.core.settings import typed as typed_setting

_SEPARATED = re.compile(rf"(?:\s*({QUOTED}|\[(?:{QUOTED}|[^\]])*+\])\s*|((?:\$\{{[^}}]*\}}|[^,])*))(,|\Z)", re.DOTALL)
_UNREADABLE = (HydraException, ValueError, TypeError, AttributeError)  # errors of Hydra on unusual values


def for_hydra(config_name: str, overrides: Iterable[str]) -> list[str]:
    """Return overrides for Hydra: values of text settings in quotes, other values unchanged.

    A value that Hydra cannot read also gets quotes; the check of its type then reports what was expected.

    Args:
        config_name: File under ``configs/``, without ``.yaml``.
        overrides: As typed, or as returned by this function.

    Raises:
        UserError: A list without brackets, several values instead of one, or bytes that are not text.
    """
    typed = list(overrides)
    return [_rewritten(config_name, override, typed) for override in typed]


def _rewritten(config_name: str, override: str, typed: Sequence[str]) -> str:
    key, equals, value = override.partition("=")
    if not equals or key.startswith("~"):
        return override
    if any("\ud800" <= character <= "\udfff" for character in override):
        found, expected = shorten(override), "text that UTF-8 can encode"
        raise UserError(key, found=found, expected=expected, fix="rename the file or folder, or export LC_ALL=C.UTF-8")
    text_type = text_type_of(config_name, key.lstrip("+"))
    if text_type is None or text_type.is_node(value):
        return _checked(config_name, override, typed)
    return f"{key}={_quoted_value(key, value, text_type)}"


def _quoted_value(key: str, value: str, text_type: TextType) -> str:
    if is_null(value) and not (text_type.is_optional and key.endswith("_column")):
        return "null"  # a column may be named null; the table decides
    if text_type.is_list and not value.lstrip().startswith("${"):
        items = value.strip()
        if not (items.startswith("[") and items.endswith("]")):
            raise UserError(
                key,
                found=shorten(value),
                expected="a list in brackets",
                fix=f"set {shlex.quote(f'{key}=[{value}]')}",
            )
        return f"[{','.join(_quoted_text(key, item.strip()) for item in separated(items[1:-1]))}]"
    return _quoted_text(key, value)


def _quoted_text(key: str, text: str) -> str:
    if is_quoted(text):
        return text.strip()
    try:
        if "${" in text:
            parse_interpolation(text)
    except GrammarParseError:
        raise UserError(
            key,
            found=f"{shorten(text)}: an incomplete reference that starts with ${{",
            expected="${<key>}, ${oc.env:NAME}, or a text without ${",
            fix=f"set {shlex.quote(f'{key}={with_plain_dollar(text)}')} if it is a part of the text",
        ) from None
    return quoted(text)


def _checked(config_name: str, override: str, typed: Sequence[str]) -> str:
    """Return the override of a setting that takes no text: unchanged if Hydra can read it, else with quotes.

    Raises:
        UserError: Several values.
    """
    key, _, value = override.partition("=")
    try:
        parsed = OverridesParser.create().parse_override(override)
    except _UNREADABLE:
        return f"{key}={_pairs(value) if _takes_list(config_name, key) else quoted(value)}"
    if parsed.is_sweep_override():
        raise one_value(config_name, typed, f"several values ({override})", f"{key}={separated(value)[0].strip()}")
    return override


def _takes_list(config_name: str, key: str) -> bool:
    text_type = text_type_of(config_name, key.lstrip("+"))
    return text_type is not None and text_type.is_list


def _pairs(mapping: str) -> str:
    """Return a mapping such as ``{не смешно: нет}``, whose keys Hydra cannot read, as a list of texts."""
    parts = [item.partition(":") for item in separated(mapping.strip(" {}"))]
    texts = [f"{_unquoted(name)}: {_unquoted(value)}" for name, _, value in parts]
    return f"[{','.join(map(quoted, texts))}]"


def _unquoted(text: str) -> str:
    return text.strip()[1:-1] if is_quoted(text) else text.strip()


def separated(values: str) -> list[str]:
    """Split at commas that are not in quotes, brackets or ``${...}``; an empty text gives an empty list."""
    parts, position = list[str](), 0
    while values.strip():
        match = _SEPARATED.match(values, position)
        assert match is not None
        parts.append(match[1] or match[2] or "")
        position = match.end()
        if not match[3]:
            break
    return parts


def values_of(override: str) -> list[str]:
    """Split a setting of ``train.py`` at the commas between its values, as ``sweep.py`` reads it: one override each.

    Raises:
        UserError: The values are one path with a comma in it.
    """
    key, _, value = override.partition("=")
    text_type = text_type_of("train", key.lstrip("+"))
    if text_type is None or text_type.is_node(value):
        try:
            parsed = OverridesParser.create().parse_override(override)
        except _UNREADABLE:
            return [override]  # the check of its type reports what was expected
        if not parsed.is_sweep_override():
            return [override]
        return [f"{parsed.get_key_element()}={item}" for item in parsed.sweep_string_iterator()]
    values = [item.strip() for item in separated(value)]
    if len(values) > 1 and os.path.exists(value):  # Path.exists raises an error for a name that is too long
        raise UserError(
            key,
            found=f"a path with a comma ({value}); commas separate values here",
            expected="quotes around it",
            fix=f"set {shlex.quote(f'{key}={quoted(value, chr(34))}')}",
        )
    return [f"{key}={item}" for item in values] if len(values) > 1 else [override]


def check_one_file(config_name: str, key: str, path: str, typed: Sequence[str]) -> None:
    """Refuse several files where one is expected.

    Args:
        config_name: File under ``configs/``, without ``.yaml``.
        key: The setting that names the file.
        path: The file.
        typed: All settings as typed.

    Raises:
        UserError: There is no such file, but each part between commas is one; names ``sweep.py``. Or some parts are
            files; names the others.
    """
    if files := _files_in(path):
        raise one_value(config_name, typed, f"{len(files)} files ({key}={path})", shlex.quote(f"{key}={files[0]}"))
    parts = _parts_of(path)
    if files := [part for part in parts if os.path.isfile(part)]:
        missing = [part for part in parts if part not in files]
        expected = "one data file" + (" (sweep.py takes several, in turn)" if config_name == "train" else "")
        found = f"several paths, but no file {list_names(map(repr, missing))}"
        raise UserError(f"{key}={path}", found=found, expected=expected, fix=f"set {typed_setting(key, files[0])}")


def _files_in(path: str) -> list[str]:
    """Return the files between commas, with or without brackets; empty if one is missing, or if it is all one path."""
    parts = _parts_of(path)
    return parts if parts and all(map(os.path.isfile, parts)) else []


def _parts_of(path: str) -> list[str]:
    """Return the parts between commas, with or without brackets; empty if there is one, or if it is all one path."""
    parts = [part.strip(" '\"") for part in path.strip(" []'\"").split(",")]
    return parts if len(parts) > 1 and not os.path.exists(path) else []


def with_plain_dollar(text: str) -> str:
    r"""Escape each ``${`` as ``\${``, which OmegaConf reads as plain text."""
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def one_value(config_name: str, typed: Sequence[str], found: str, instead: str) -> UserError:
    """Return the error for several values, or Hydra's ``--multirun``, in a command for one run; names ``sweep.py``."""
    if config_name != "train":
        fix = f"set {instead}, and run the command once for each value"
        return UserError(f"{config_name}.py", found=found, expected="one value", fix=fix)
    words = [_for_sweep(setting) for setting in typed if not setting.startswith(("run_id=", "resume="))]
    fix = command_line("sweep", "plan=grid", *words)
    return UserError("train.py", found=found, expected="settings of one training", fix=fix)


def _for_sweep(override: str) -> str:
    """Write an override of ``train.py`` so that ``sweep.py`` reads the same value."""
    key, _, value = override.partition("=")
    if files := _files_in(value):
        return f"{key}={','.join(files)}"
    text_type = text_type_of("train", key.lstrip("+"))
    is_one_text = text_type is not None and not text_type.is_list and not is_quoted(value)
    return f"{key}={quoted(value, chr(34))}" if is_one_text and "," in value else override
