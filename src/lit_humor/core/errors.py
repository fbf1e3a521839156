"""Exceptions that end a command with a message and an exit code: errors of a user, and requests to stop."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # colours of a terminal


class UserError(Exception):
    """An error in the input, in one sentence: where, what was found, what was expected, what to do.

    Commands print it without a traceback and exit with code 1.

    Args:
        where: The config key, file with line, or row that is wrong.
        found: The actual value.
        expected: What is allowed.
        fix: What the user can do about it.
    """

    def __init__(self, where: str, *, found: str, expected: str, fix: str) -> None:
        super().__init__(f"{where}: found {found}, expected {expected}. Fix: {fix}.")
        self.where, self.found, self.expected, self.fix = where, found, expected, fix


class UserErrors(UserError):
    """Several errors, reported together on one line each.

    Args:
        errors: The errors, in the order to show them.
    """

    def __init__(self, errors: Iterable[Exception]) -> None:
        Exception.__init__(self, "\n".join(str(error) for error in errors))


class NonFiniteStepError(UserError):
    """A gradient is not finite; the weights are those before its step.

    Attributes:
        CHECKPOINT: File among the checkpoints that keeps these weights.
    """

    CHECKPOINT = "finite.ckpt"


class CollapsedError(Exception):
    """The model predicts one class only; the training must be restarted."""


class InterruptedRun(Exception):
    """The process was asked to stop; its state has been saved.

    Args:
        number: Number of the signal.
    """

    def __init__(self, number: int = 2) -> None:
        super().__init__(f"signal {number}")
        self.exit_code = 128 + number


class MissingExtraError(UserError):
    """A feature needs an optional package that is not installed.

    Args:
        what: The feature that needs it, e.g. ``data=hub``.
        package: The package that could not be found.
        extra: The extra of this project that installs it.
    """

    def __init__(self, what: str, *, package: str, extra: str) -> None:
        super().__init__(
            what,
            found=f"no package '{package}' in this environment",
            expected=f"the extra '{extra}'",
            fix=f"pip install -c constraints.txt -e '.[{extra}]'",
        )


def shorten(value: object, limit: int = 80) -> str:
    """Return a value of the user's data as text for an error: one line, at most ``limit`` characters."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def list_names(names: Iterable[object], limit: int = 8) -> str:
    """Return names of the user's data for an error: the first ones, each shortened, and the number of the others."""
    texts = [" ".join(str(name).split()) for name in names]
    shown = [text if len(text) <= 40 else text[:39] + "…" for text in texts[:limit]]
    return ", ".join(shown) + (f" and {len(texts) - limit:,} more" if len(texts) > limit else "")


def one_line(error: BaseException, limit: int = 200) -> str:
    """Return the message of another library's error on one line, at most ``limit`` characters.

    Its first line alone often says nothing ("Error(s) in loading state_dict for Model:").
    """
    text = " ".join(_ESCAPES.sub("", str(error)).split()).rstrip(".:") or type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"
