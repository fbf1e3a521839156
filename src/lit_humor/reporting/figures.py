"""The pictures of a report, drawn by matplotlib in a light and a dark theme."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from lit_humor.core.errors import MissingExtraError
from lit_humor.pages.page import Picture
from lit_humor.reporting.evidence import Evidence

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


def learning_curves(run: Evidence, caption: str = "Learning curves") -> Picture:
    """Losses, what validation was measured by, and the rate of each depth where one was logged."""
    depths = _depth_columns(run)

    def paint(figure: Any) -> None:
        losses, scores, *rest = figure.subplots(1, 3 if depths else 2)
        for axes, names in ((losses, ("train/loss", "val/loss")), (scores, run.tasks.curves[:2])):
            for name, color in zip(names, (ONE, OTHER), strict=False):
                points = [(row["epoch"] + 1, row[name]) for row in run.epochs if name in row]
                axes.plot(*zip(*points, strict=True), marker="o", color=color, label=name) if points else None
            axes.set_xlabel("epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.legend(frameon=False)
        if not rest:
            return
        from matplotlib import colormaps

        (rates,) = rest
        for index, name in enumerate(depths):
            color = colormaps["viridis"](index / max(len(depths) - 1, 1))
            points = [(row["step"], row[name]) for row in run.steps if name in row]
            rates.plot(*zip(*points, strict=True), color=color, label=name.removeprefix("lr-AdamW/"))
        rates.set_xlabel("optimizer step")
        rates.set_title("learning rate by depth", fontsize="medium")
        rates.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
        handles, names = rates.get_legend_handles_labels()
        rates.legend(handles[:: max(len(handles) - 1, 1)], names[:: max(len(names) - 1, 1)], frameon=False)

    return draw(caption, paint, (11, 3.4))


def _depth_columns(run: Evidence) -> list[str]:
    """Columns of the learning rates, lowest layer first; biases and norms learn at the rate of their layer."""
    return sorted(
        {name for row in run.steps for name in row if name.startswith("lr-") and ", biases" not in name},
        key=lambda name: max(row.get(name, 0.0) for row in run.steps),
    )
