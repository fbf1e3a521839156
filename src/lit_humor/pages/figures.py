"""Pictures of a page, drawn by matplotlib in a light and a dark theme."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from lit_humor.core.errors import MissingExtraError
from lit_humor.pages.page import Picture

_THEMES = {"light": "default", "dark": "dark_background"}
ONE, OTHER = "#4c9be8", "#f28e2b"  # seen apart in both themes, and by people who see no red or no green


def draw(caption: str, paint: Callable[[Any], None], size: tuple[float, float] = (8, 3.4)) -> Picture:
    """Paint a picture in both themes.

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
    images = {}
    for theme, name in _THEMES.items():
        with style.context(name):
            figure = Figure(figsize=size, layout="constrained")
            figure.patch.set_alpha(1.0 if theme == "light" else 0.0)
            paint(figure)
            for axes in figure.axes:
                axes.patch.set_alpha(0.0)
                axes.spines[["top", "right"]].set_visible(False)
            held = io.BytesIO()
            figure.savefig(held, format="png", dpi=110)
            images[theme] = held.getvalue()
    return Picture(caption, images["light"], images["dark"])
