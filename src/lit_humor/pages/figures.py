"""Pictures of a page, drawn by matplotlib: vectors that take the colour and the letters of the page around them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

from lit_humor.core.errors import MissingExtraError
from lit_humor.pages.page import Picture

ONE, OTHER = "#4c9be8", "#f28e2b"  # seen apart in both themes, and by people who see no red or no green
_INK = "#0a0b0c"  # what is drawn in it takes the colour of the page's text
_STYLE = {
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
    "axes.facecolor": "none",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "font.sans-serif": ["DejaVu Sans"],
    "svg.fonttype": "none",
    "svg.hashsalt": "a fixed one: the same numbers give the same file",
    "text.parse_math": False,  # a class may be called $x$
}
_UNUSED = re.compile(r"<metadata>.*?</metadata>|(?<=<g) id=\"[^\"]*\"|<!--.*?-->", re.DOTALL)


def draw(caption: str, paint: Callable[[Any], None], size: tuple[float, float] = (8, 3.4)) -> Picture:
    """Paint a picture, once for all themes.

    Args:
        caption: What it shows.
        paint: Given an empty ``matplotlib.figure.Figure``, fills it.
        size: Inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("report.html", package="matplotlib", extra="report") from None
    held = io.StringIO()
    with style.context(["default", _STYLE]):
        figure = Figure(figsize=size)
        paint(figure)
        figure.savefig(
            held, format="svg", metadata={"Title": f"{caption}; the numbers stand in the tables", "Date": None}
        )
    _, _, drawing = held.getvalue().partition("<svg ")
    return Picture(caption, f'<svg role="img" {_UNUSED.sub("", drawing)}'.replace(_INK, "currentColor"))
