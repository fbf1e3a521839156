"""Settings as they are typed: how a text is written so that a command reads back that text. Standard library only."""

from __future__ import annotations

import re
import shlex

# One quote, what is between, the same quote; a backslash before a quote makes it a part of the text.
QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
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


def setting(key: str, text: str) -> str:
    """``key=text``, in quotes where a command would not take the text as it stands."""
    value = quoted(text, '"') if is_null(text) or is_quoted(text) else text
    return f"{key}={value}"


def command_line(command: str, *settings: str) -> str:
    """A command with settings, quoted for the shell."""
    return shlex.join(["python", f"src/lit_humor/{command}.py", *settings])
