"""Writes settings as a user types them, so that a command reads the same value. Standard library only."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

from lit_humor.core.errors import UserError
from lit_humor.core.remedies import clean_name

# A quote, the text, the same quote; a backslash before a quote makes it a part of the text.
QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_DOUBLE = '"'
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_RESERVED = ("null", "true", "false", "inf", "nan")  # Hydra does not read these as texts
_IS_QUOTED = re.compile(rf"\s*(?:{QUOTED})\s*", re.DOTALL)


def is_setting(word: str) -> bool:
    """Whether a word has the form of a setting: ``key=value`` or ``~key``."""
    return ("=" in word and word.strip() != "=") or word.startswith("~")


def is_quoted(value: str) -> bool:
    """Whether quotes enclose a whole typed value; then they are no part of the text."""
    return bool(_IS_QUOTED.fullmatch(value))


def is_null(value: str) -> bool:
    """Whether a typed value is ``null``, which unsets a setting."""
    return value.strip().lower() == "null"


def quoted(text: str, quote: str = "'") -> str:
    """Return a text in quotes: quotes inside get a backslash, backslashes before a quote are doubled."""
    escaped = re.sub(rf"(\\*)({quote}|\Z)", lambda match: match[1] * 2 + ("\\" + quote if match[2] else ""), text)
    return f"{quote}{escaped}{quote}"


def setting(key: str, value: Any) -> str:
    """Return ``key=value`` as a command reads it: a text in quotes if necessary, a list in brackets."""
    if isinstance(value, str):
        return f"{key}={quoted(value, _DOUBLE) if is_null(value) or is_quoted(value) else value}"
    if isinstance(value, list | tuple):
        return f"{key}=[{','.join(item(element) if isinstance(element, str) else _word(element) for element in value)}]"
    return f"{key}={_word(value)}"


def item(text: str) -> str:
    """Return a text as an element of a list or dict: in quotes unless it is a plain word."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED else quoted(text, _DOUBLE)


def typed(key: str, value: Any) -> str:
    """Return a setting as typed in a shell, with quotes if necessary."""
    return shlex.quote(setting(key, value))


def _word(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def command_line(command: str, *settings: str) -> str:
    """Return a command with settings, quoted for the shell."""
    return shlex.join(["python", f"src/lit_humor/{command}.py", *settings])


def typed_command() -> str:
    """Return the command line of this process, without the folder of the command."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def check_name(key: str, name: str) -> None:
    """Check that a name can be the name of a folder or file.

    Raises:
        UserError: The name has other characters than letters, digits and ``. _ + -``.
    """
    if not re.fullmatch(r"[\w][\w.+-]*", name):
        raise UserError(
            f"{key}={name}",
            found="a name with other characters",
            expected="letters, digits, . _ + -",
            fix=f"set {key}={clean_name(name)}",
        )
