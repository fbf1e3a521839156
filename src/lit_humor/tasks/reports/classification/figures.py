"""The figures on a classifier's page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lit_humor.metrics.calibration import Reliability
from lit_humor.pages.figures import ONE, OTHER, draw
from lit_humor.pages.page import Picture
from lit_humor.tasks.reports.classification.predictions import Predictions

CONFUSION_INCHES = (7.5, 3.4)


def paint_confusion(figure: Any, counts: np.ndarray, class_names: Sequence[str]) -> None:
    """Draw a confusion matrix [C, C] as counts and as shares of each true class."""
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


def confusion(split: str, predictions: Predictions) -> Picture:
    """Draw the confusion matrix as counts and as shares of each true class."""
    caption = f"Confusion matrix ({split})"
    return draw(
        caption, lambda figure: paint_confusion(figure, predictions.counts, predictions.class_names), CONFUSION_INCHES
    )


def precision_recall(split: str, predictions: Predictions) -> Picture:
    """Draw precision over recall of the last class."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    positive, scores = predictions.labels == len(predictions.class_names) - 1, predictions.probabilities[:, -1]

    def paint(figure: Any) -> None:
        precision, recall, _ = precision_recall_curve(positive, scores)
        axes = figure.subplots()
        axes.step(
            recall,
            precision,
            where="post",
            color=ONE,
            label=f"average precision {average_precision_score(positive, scores):.3f}",
        )
        axes.axhline(positive.mean(), color=OTHER, linestyle="--", label=f"share of the class {positive.mean():.3f}")
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01))
        axes.legend(frameon=False, loc="lower left")

    return draw(f"Precision and recall of {predictions.class_names[-1]} ({split})", paint, (5.5, 3.6))


def reliability_curves(split: str, before: Reliability, after: Reliability) -> Picture:
    """Draw accuracy over confidence, before and after temperature scaling."""

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], linestyle=":", color="gray", label="a probability that means what it says")
        for predictions, color, name in ((before, ONE, "as it is"), (after, OTHER, "temperature scaled")):
            filled = predictions.rows > 0
            axes.plot(predictions.confidence[filled], predictions.accuracy[filled], color=color, marker="o", label=name)
        least = np.nanmin(before.confidence) - 0.03
        axes.set(xlabel="highest probability", ylabel="accuracy", xlim=(least, 1.01), ylim=(0, 1.02))
        axes.legend(frameon=False, loc="lower right")

    return draw(f"Reliability ({split})", paint, (5.5, 3.6))
