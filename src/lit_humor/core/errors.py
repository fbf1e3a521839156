"""Exceptions that commands answer with a message and an exit code: mistakes of a user, and requests to stop."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # colours of a terminal


class UserError(Exception):
    """A mistake in input, told in one sentence: where, what was found, what was expected, what to do.

    Commands print it without a traceback and exit with code 1.

    Args:
        where: Config key, file with line, or row that is wrong.
        found: What is there.
        expected: What should be there.
        fix: What the user can do about it.
    """

    def __init__(self, where: str, *, found: str, expected: str, fix: str) -> None:
        super().__init__(f"{where}: found {found}, expected {expected}. Fix: {fix}.")
        self.where, self.found, self.expected, self.fix = where, found, expected, fix


class UserErrors(UserError):
    """Several mistakes reported at once, a line each.

    Args:
        errors: The mistakes, in the order to show them.
    """

    def __init__(self, errors: Iterable[Exception]) -> None:
        Exception.__init__(self, "\n".join(str(error) for error in errors))


class NonFiniteStepError(UserError):
    """A gradient that is not a number; the weights are those before its step."""


class CollapsedError(Exception):
    """A model answers one class only; the training is to be taken from its start."""


class InterruptedRun(Exception):
    """Somebody asked the process to stop; what there was to save is saved.

    Args:
        number: The signal that asked.
    """

    def __init__(self, number: int = 2) -> None:
        super().__init__(f"signal {number}")
        self.exit_code = 128 + number


class MissingExtraError(UserError):
    """An optional package is needed that is not installed.

    Args:
        what: The feature that needs it, e.g. ``data=hub``.
        package: The package that could not be found.
        extra: The extra of this project that brings it.
    """

    def __init__(self, what: str, *, package: str, extra: str) -> None:
        super().__init__(
            what,
            found=f"no package '{package}' in this environment",
            expected=f"the extra '{extra}'",
            fix=f"pip install -c constraints.txt -e '.[{extra}]'",
        )


def shorten(value: object, limit: int = 80) -> str:
    """Show a value from somebody's data in an error: one line, at most ``limit`` characters."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def one_line(error: BaseException, limit: int = 200) -> str:
    """What an error of a library says, for a message of ours: all its lines in one, at most ``limit`` characters.

    The first line alone often says nothing ("Error(s) in loading state_dict for Model:").
    """
    text = " ".join(_ESCAPES.sub("", str(error)).split()).rstrip(".:") or type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"
