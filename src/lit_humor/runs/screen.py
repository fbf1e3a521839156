"""What commands print, on the terminal and into log.txt."""

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
    """Print on the terminal and remember for log.txt; only the main process speaks."""
    if not is_main_process():
        return
    terminal = Console(highlight=False, markup=False)
    if not terminal.is_terminal:
        terminal.width = _LOG_WIDTH
    text = io.StringIO()
    for console in (terminal, Console(file=text, width=_LOG_WIDTH, highlight=False, markup=False)):
        for renderable in renderables:  # a line that holds a command or a path must not be broken where the screen ends
            if isinstance(renderable, Titled):
                console.print(renderable.heading, style="bold", soft_wrap=True)
            console.print(renderable, soft_wrap=isinstance(renderable, str))
    _LOG.info(text.getvalue().rstrip())


def write_log_to(path: Path) -> None:
    """From now on write what is shown to a file, with all that was shown before."""
    if is_main_process():
        _BUFFER.setTarget(logging.FileHandler(path, encoding="utf-8"))
        _BUFFER.flush()
        _BUFFER.capacity = 1


def close_log() -> None:
    """The run is over: what is shown from now on is no part of its log."""
    if _BUFFER.target is not None:
        _BUFFER.target.close()
    _BUFFER.setTarget(None)
    _BUFFER.buffer.clear()
    _BUFFER.capacity = _CAPACITY


class Titled(Table):
    """A table with a heading above it, which is as long as it has to be: rich breaks titles at the table's width."""

    def __init__(self, heading: str) -> None:
        super().__init__(header_style="bold")
        self.heading = heading


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Titled:
    """A table whose numeric columns stand at the right."""
    made = Titled(title)
    for index, column in enumerate(columns):
        cells = [cell for row in rows if (cell := _cell(row[index]))]
        numeric = bool(cells) and all(re.fullmatch(r"[\d.,e+-]+", cell) for cell in cells)
        made.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        made.add_row(*(_cell(value) for value in row))
    return made


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
