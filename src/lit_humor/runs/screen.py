"""Prints on the terminal, and keeps a copy in log.txt."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Sequence
from logging.handlers import MemoryHandler
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table

from lit_humor.core.place import is_main_process

_LOG = logging.getLogger("lit_humor.screen")
_LOG.setLevel(logging.INFO)
_LOG.propagate = False
_CAPACITY = 10**6
_BUFFER = MemoryHandler(capacity=_CAPACITY, flushLevel=logging.CRITICAL + 1)  # until there is a run folder
_LOG.addHandler(_BUFFER)
_LOG_WIDTH = 120


def show(*renderables: RenderableType) -> None:
    """Print on the terminal and add to log.txt; processes other than the main process do nothing."""
    if not is_main_process():
        return
    terminal = Console(highlight=False, markup=False)
    if not terminal.is_terminal:
        terminal.width = _LOG_WIDTH
    text = io.StringIO()
    for console in (terminal, Console(file=text, width=_LOG_WIDTH, highlight=False, markup=False)):
        for renderable in renderables:  # a line with a command or path must not be wrapped
            if isinstance(renderable, Titled):
                console.print(renderable.heading, style="bold", soft_wrap=True)
            console.print(renderable, soft_wrap=isinstance(renderable, str))
    _LOG.info(text.getvalue().rstrip())


def write_log_to(path: Path) -> None:
    """Start the log file; what was shown before is written to it first."""
    if is_main_process():
        _BUFFER.setTarget(logging.FileHandler(path, encoding="utf-8"))
        _BUFFER.flush()
        _BUFFER.capacity = 1


def close_log() -> None:
    """End the log file; later output does not belong to the run."""
    if _BUFFER.target is not None:
        _BUFFER.target.close()
    _BUFFER.setTarget(None)
    _BUFFER.buffer.clear()
    _BUFFER.capacity = _CAPACITY


class Titled(Table):
    """A table with a heading that is not wrapped; rich wraps the title of a table at the table's width."""

    def __init__(self, heading: str) -> None:
        super().__init__(header_style="bold")
        self.heading = heading


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Titled:
    """Make a table; columns of numbers are right-aligned."""
    grid = Titled(title)
    for index, column in enumerate(columns):
        cells = [cell for row in rows if (cell := _cell(row[index]))]
        numeric = bool(cells) and all(re.fullmatch(r"[\d.,e+-]+", cell) for cell in cells)
        grid.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(_cell(value) for value in row))
    return grid


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
