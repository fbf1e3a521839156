"""Draws the picture of a benchmark: bars with ranges."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from lit_humor.core.errors import MissingExtraError


def bars(path: Path, values: Mapping[str, Sequence[float]], label: str, title: str) -> None:
    """Draw the median of each row as a bar, with a line from its smallest to its largest value.

    Args:
        path: PNG to write.
        values: Values of the repeats by the name of the bar, in order from the top.
        label: Label of the axis of values.
        title: Title of the picture.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("bench.py", package="matplotlib", extra="report") from None
    middles = [statistics.median(repeats) for repeats in values.values()]
    below = [middle - min(repeats) for middle, repeats in zip(middles, values.values(), strict=True)]
    above = [max(repeats) - middle for middle, repeats in zip(middles, values.values(), strict=True)]
    figure = Figure(figsize=(9, 1.2 + 0.34 * len(values)), layout="constrained")
    axes = figure.add_subplot()
    drawn_bars = axes.barh(list(values), middles, xerr=[below, above], color="#4c78a8", ecolor="#222222", capsize=3)
    axes.bar_label(drawn_bars, labels=[f" {middle:,.4g}" for middle in middles], label_type="center", color="white")
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
