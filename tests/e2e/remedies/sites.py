"""Where the product makes its errors, and which of these places an error came from."""

import ast
import contextlib
import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lit_humor.core import errors
from lit_humor.core.errors import UserError
from tests.e2e.typed import ROOT

SOURCE = ROOT / "src" / "lit_humor"
KINDS = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, UserError)} | {
    "DamagedCheckpointError",
    "UnknownLabelError",
}


class Site(NamedTuple):
    """A call that makes an error.

    Attributes:
        file: Below src/lit_humor.
        function: That holds the call.
        line: First line of the call.
        end: Last line of the call.
    """

    file: str
    function: str
    line: int
    end: int


@functools.cache
def all_sites() -> tuple[Site, ...]:
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        tree, file = ast.parse(path.read_text()), path.relative_to(SOURCE).as_posix()
        functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in KINDS:
                around = [one for one in functions if one.lineno <= node.lineno <= (one.end_lineno or 0)]
                name = max(around, key=lambda one: one.lineno).name if around else "module"
                found.append(Site(file, name, node.lineno, node.end_lineno or 0))
    return tuple(found)


def site_at(file: str, line: int) -> Site | None:
    """The smallest call round a line."""
    path = Path(file)
    if not path.is_relative_to(SOURCE):
        return None
    inside = path.relative_to(SOURCE).as_posix()
    round_it = [one for one in all_sites() if one.file == inside and one.line <= line <= one.end]
    return min(round_it, key=lambda one: one.end - one.line, default=None)


@contextlib.contextmanager
def noting_errors() -> Iterator[list[tuple[Site | None, UserError]]]:
    """Every error that is made meanwhile, with its place."""
    made: list[tuple[Site | None, UserError]] = []

    def new(kind: type[UserError], *args: object, **values: object) -> UserError:
        caller = sys._getframe(1)
        error = Exception.__new__(kind, *args)
        made.append((site_at(caller.f_code.co_filename, caller.f_lineno), error))
        return error

    UserError.__new__ = new  # type: ignore[assignment,method-assign]
    try:
        yield made
    finally:
        del UserError.__new__
