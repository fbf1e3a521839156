"""The pictures of a report, drawn by matplotlib in a light and a dark theme."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lit_humor.core.errors import MissingExtraError
from lit_humor.metrics.calibration import Reliability
from lit_humor.pages.page import Picture
from lit_humor.reporting.evidence import Evidence, Predictions

_THEMES = {"light": "default", "dark": "dark_background"}
CONFUSION_INCHES = (7.5, 3.4)
_ONE, _OTHER = "#4c9be8", "#f28e2b"  # seen apart in both themes, and by people who see no red or no green


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
    """Loss, F1 and the rate of each depth."""

    def paint(figure: Any) -> None:
        losses, scores, rates = figure.subplots(1, 3)
        for axes, names in ((losses, ("train/loss", "val/loss")), (scores, ("val/f1", "val/accuracy"))):
            for name, color in zip(names, (_ONE, _OTHER), strict=True):
                points = [(row["epoch"] + 1, row[name]) for row in run.epochs if name in row]
                axes.plot(*zip(*points, strict=True), marker="o", color=color, label=name) if points else None
            axes.set_xlabel("epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.legend(frameon=False)
        for name, color in _depth_colors(run):
            points = [(row["step"], row[name]) for row in run.steps if name in row]
            rates.plot(*zip(*points, strict=True), color=color, label=name.removeprefix("lr-AdamW/"))
        rates.set_xlabel("optimizer step")
        rates.set_title("learning rate by depth", fontsize="medium")
        rates.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
        handles, names = rates.get_legend_handles_labels()
        rates.legend(handles[:: max(len(handles) - 1, 1)], names[:: max(len(names) - 1, 1)], frameon=False)

    return draw(caption, paint, (11, 3.4))


def _depth_colors(run: Evidence) -> list[tuple[str, Any]]:
    """Columns of the rates, bottom first, each with a shade; biases and norms learn at the rate of their layer."""
    from matplotlib import colormaps

    names = sorted(
        {name for row in run.steps for name in row if name.startswith("lr-") and ", biases" not in name},
        key=lambda name: max(row.get(name, 0.0) for row in run.steps),
    )
    return [(name, colormaps["viridis"](index / max(len(names) - 1, 1))) for index, name in enumerate(names)]


def paint_confusion(figure: Any, counts: np.ndarray, class_names: Sequence[str]) -> None:
    """Fill a figure with counts [C, C], and with shares of each true class."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = len(class_names)
    titles = "rows", "share of the true class"
    for axes, values, title in zip(figure.subplots(1, 2), (counts, shares), titles, strict=True):
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for true, predicted in np.ndindex(size, size):
            text = f"{values[true, predicted]:.2f}" if values is shares else f"{values[true, predicted]}"
            color = "white" if shares[true, predicted] > 0.5 else "black"
            axes.text(predicted, true, text, ha="center", va="center", color=color)
        axes.set_xticks(range(size), class_names)
        axes.set_yticks(range(size), class_names)
        axes.set(xlabel="predicted", ylabel="true")
        axes.set_title(title, fontsize="medium")


def confusion(split: str, found: Predictions) -> Picture:
    """Counts, and shares of each true class."""
    caption = f"Confusion matrix ({split})"
    return draw(caption, lambda figure: paint_confusion(figure, found.counts, found.class_names), CONFUSION_INCHES)


def precision_recall(split: str, found: Predictions) -> Picture:
    """Precision over recall of the last class."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    positive, scores = found.labels == len(found.class_names) - 1, found.probabilities[:, -1]

    def paint(figure: Any) -> None:
        precision, recall, _ = precision_recall_curve(positive, scores)
        axes = figure.subplots()
        axes.step(
            recall,
            precision,
            where="post",
            color=_ONE,
            label=f"average precision {average_precision_score(positive, scores):.3f}",
        )
        axes.axhline(positive.mean(), color=_OTHER, linestyle="--", label=f"share of the class {positive.mean():.3f}")
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01))
        axes.legend(frameon=False, loc="lower left")

    return draw(f"Precision and recall of {found.class_names[-1]} ({split})", paint, (5.5, 3.6))


def reliability_curves(split: str, before: Reliability, after: Reliability) -> Picture:
    """Accuracy over confidence, as the model has it and after temperature scaling."""

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], linestyle=":", color="gray", label="a probability that means what it says")
        for found, color, name in ((before, _ONE, "as it is"), (after, _OTHER, "temperature scaled")):
            filled = found.rows > 0
            axes.plot(found.confidence[filled], found.accuracy[filled], color=color, marker="o", label=name)
        least = np.nanmin(before.confidence) - 0.03
        axes.set(xlabel="highest probability", ylabel="accuracy", xlim=(least, 1.01), ylim=(0, 1.02))
        axes.legend(frameon=False, loc="lower right")

    return draw(f"Reliability ({split})", paint, (5.5, 3.6))
