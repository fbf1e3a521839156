"""Settings as they are typed: how a text is written so that a command reads back that text. Standard library only."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

from lit_humor.core.errors import UserError
from lit_humor.core.remedies import clean_name

# One quote, what is between, the same quote; a backslash before a quote makes it a part of the text.
QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_DOUBLE = '"'
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_NO_TEXT = ("null", "true", "false", "inf", "nan")  # which Hydra takes for something else
_IS_QUOTED = re.compile(rf"\s*(?:{QUOTED})\s*", re.DOTALL)


def is_setting(word: str) -> bool:
    """Whether what was typed has the form of a setting: ``key=value``, or ``~key``."""
    return ("=" in word and word.strip() != "=") or word.startswith("~")


def is_quoted(value: str) -> bool:
    """Whether a typed value stands in quotes as a whole; these are no part of the text."""
    return bool(_IS_QUOTED.fullmatch(value))


def is_null(value: str) -> bool:
    """Whether a typed value is the word that unsets a setting."""
    return value.strip().lower() == "null"


def quoted(text: str, quote: str = "'") -> str:
    """A text in quotes: those within get a backslash, and backslashes before a quote are doubled."""
    escaped = re.sub(rf"(\\*)({quote}|\Z)", lambda found: found[1] * 2 + ("\\" + quote if found[2] else ""), text)
    return f"{quote}{escaped}{quote}"


def setting(key: str, value: Any) -> str:
    """``key=value`` as a command reads it: a text in quotes where it is not taken as it stands, a list in brackets."""
    if isinstance(value, str):
        return f"{key}={quoted(value, _DOUBLE) if is_null(value) or is_quoted(value) else value}"
    if isinstance(value, list | tuple):
        return f"{key}=[{','.join(item(one) if isinstance(one, str) else _word(one) for one in value)}]"
    return f"{key}={_word(value)}"


def item(text: str) -> str:
    """A text in a list or in braces, in quotes where it is no plain word."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _NO_TEXT else quoted(text, _DOUBLE)


def typed(key: str, value: Any) -> str:
    """A setting as it is typed in a shell, quotes included where they are needed."""
    return shlex.quote(setting(key, value))


def _word(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def command_line(command: str, *settings: str) -> str:
    """A command with settings, quoted for the shell."""
    return shlex.join(["python", f"src/lit_humor/{command}.py", *settings])


def typed_command() -> str:
    """What was typed, without the folders before the command."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def check_name(key: str, name: str) -> None:
    """Refuse a name that is no plain name of a folder or file.

    Raises:
        UserError: It has other characters than a name has.
    """
    if not re.fullmatch(r"[\w][\w.+-]*", name):
        raise UserError(
            f"{key}={name}",
            found="a name with other characters",
            expected="letters, digits, . _ + -",
            fix=f"set {key}={clean_name(name)}",
        )
