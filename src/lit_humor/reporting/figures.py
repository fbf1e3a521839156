"""The figures on the page of every run."""

from __future__ import annotations

from typing import Any

from lit_humor.pages.figures import ONE, OTHER, draw
from lit_humor.pages.page import Picture
from lit_humor.reporting.evidence import Evidence

_MOST_TIMES = 100  # the smaller of two curves on one axis would be a flat line


def learning_curves(run: Evidence, caption: str = "Learning curves") -> Picture:
    """Draw losses, validation metrics and, if they were logged, learning rates by depth."""
    depths = _depth_columns(run)

    def paint(figure: Any) -> None:
        losses, scores, *rest = figure.subplots(1, 3 if depths else 2)
        for axes, names in ((losses, ("train/loss", "val/loss")), (scores, curves_of_a_size(run))):
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
            shade = colormaps["viridis"](index / max(len(depths) - 1, 1))
            points = [(row["step"], row[name]) for row in run.steps if name in row]
            rates.plot(*zip(*points, strict=True), color=shade, label=name.removeprefix("lr-AdamW/"))
        rates.set_xlabel("optimizer step")
        rates.set_title("learning rate by depth", fontsize="medium")
        rates.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
        handles, names = rates.get_legend_handles_labels()
        rates.legend(handles[:: max(len(handles) - 1, 1)], names[:: max(len(names) - 1, 1)], frameon=False)

    return draw(caption, paint, (11, 3.4))


def curves_of_a_size(run: Evidence) -> tuple[str, ...]:
    """Return the names of the monitored metric and of the next one, if its values are of the same order of size."""
    names = run.tasks.curves[:2]
    largest = [max((abs(row[name]) for row in run.epochs if name in row), default=0.0) for name in names]
    is_alike = min(largest) == 0 or max(largest) <= _MOST_TIMES * min(largest)
    return names if is_alike else names[:1]


def _depth_columns(run: Evidence) -> list[str]:
    """Return the columns of learning rates, lowest layer first; without biases, which have the rate of their layer."""
    return sorted(
        {name for row in run.steps for name in row if name.startswith("lr-") and ", biases" not in name},
        key=lambda name: max(row.get(name, 0.0) for row in run.steps),
    )
