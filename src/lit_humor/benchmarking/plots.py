"""The one picture of a benchmark: bars with their ranges."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from lit_humor.core.errors import MissingExtraError


def bars(path: Path, values: Mapping[str, Sequence[float]], label: str, title: str) -> None:
    """Draw the median of each row as a bar, with a line from its smallest to its largest value.

    Args:
        path: PNG to write.
        values: What each bar is called, from above, and its repeats.
        label: What the values are.
        title: Above the picture.

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
    drawn = axes.barh(list(values), middles, xerr=[below, above], color="#4c78a8", ecolor="#222222", capsize=3)
    axes.bar_label(drawn, labels=[f" {middle:,.4g}" for middle in middles], label_type="center", color="white")
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
