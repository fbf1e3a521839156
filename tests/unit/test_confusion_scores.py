"""Scores of a confusion matrix, their intervals, probabilities and their calibration."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support
from torchmetrics.functional.classification import multiclass_calibration_error

from lit_humor.metrics.calibration import (
    apply_temperature,
    best_threshold,
    cross_fitted,
    fit_temperature,
    reliability,
)
from lit_humor.metrics.confusion import bootstrap_difference, bootstrap_intervals, count_confusion, scores_of
from lit_humor.metrics.label_errors import suspect_labels


def _draw(num_rows: int, num_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and predictions that are right in two of three rows."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(num_classes, size=num_rows)
    guesses = generator.integers(num_classes, size=num_rows)
    return labels, np.where(generator.random(num_rows) < 2 / 3, labels, guesses)


@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_scores_are_those_of_scikit_learn(num_classes: int) -> None:
    labels, predictions = _draw(200, num_classes)
    found = scores_of(count_confusion(labels, predictions, num_classes))
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, predictions))
    assert found["f1_macro"] == pytest.approx(f1_score(labels, predictions, average="macro"))
    average = "binary" if num_classes == 2 else "macro"
    assert found["f1"] == pytest.approx(f1_score(labels, predictions, average=average))
    expected = precision_recall_fscore_support(labels, predictions)
    for key, values in zip(("precision", "recall", "class_f1"), expected, strict=False):
        assert found[key] == pytest.approx(values)


def test_scores_of_one_predicted_class_are_zero_where_scikit_learn_has_zero() -> None:
    labels, predictions = np.array([0, 0, 1, 1]), np.zeros(4, dtype=int)
    found = scores_of(count_confusion(labels, predictions, 2))
    assert found["f1"] == 0
    assert found["precision"].tolist() == [0.5, 0.0]
    assert found["f1_macro"] == pytest.approx(f1_score(labels, predictions, average="macro"))


def test_intervals_cover_the_truth_at_their_rate() -> None:
    """600 simulated test sets of a model whose true accuracy and F1 are known."""
    cells = np.array([[0.45, 0.10], [0.12, 0.33]])
    truth = scores_of(cells * 1e6)
    generator = np.random.default_rng(1)
    covered = {"accuracy": 0, "f1": 0, "f1_macro": 0}
    for trial in range(600):
        ends = bootstrap_intervals(generator.multinomial(300, cells.ravel()).reshape(2, 2), seed=trial)
        for name in covered:
            covered[name] += bool(ends[name][0] <= truth[name] <= ends[name][1])
    for name, count in covered.items():
        assert 0.92 < count / 600 < 0.98, name


def test_drawing_cells_is_drawing_rows() -> None:
    labels, predictions = _draw(150, 2)
    ends = bootstrap_intervals(count_confusion(labels, predictions, 2))
    generator = np.random.default_rng(5)
    drawn = [generator.integers(150, size=150) for _ in range(2000)]
    values = [f1_score(labels[rows], predictions[rows]) for rows in drawn[:500]]
    assert ends["f1"] == pytest.approx(np.quantile(values, (0.025, 0.975)), abs=0.015)


def test_interval_of_a_difference_holds_zero_for_equals_only() -> None:
    labels, predictions = _draw(500, 2)
    worse = np.where(np.random.default_rng(3).random(500) < 0.2, 1 - predictions, predictions)
    for other, zero_inside in ((predictions, True), (worse, False)):
        counts = count_confusion(labels, predictions * 2 + other, 4)[:2].reshape(2, 2, 2)
        low, high = bootstrap_difference(counts)["accuracy"]
        assert bool(low <= 0 <= high) is zero_inside
        point = (other == labels).mean() - (predictions == labels).mean()
        assert low <= point <= high


def _probabilities(num_rows: int, num_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels drawn from them: calibrated by construction."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=1.5, size=(num_rows, num_classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([generator.choice(num_classes, p=row) for row in probabilities])
    return probabilities, labels


@pytest.mark.parametrize("num_classes", [2, 3])
def test_calibration_error_is_that_of_torchmetrics(num_classes: int) -> None:
    probabilities, labels = _probabilities(400, num_classes)
    probabilities = apply_temperature(probabilities, 0.4)
    expected = multiclass_calibration_error(
        torch.from_numpy(probabilities).float(), torch.from_numpy(labels), num_classes, n_bins=15
    )
    assert reliability(probabilities, labels).error == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_temperature_is_found_again(temperature: float, num_classes: int) -> None:
    probabilities, labels = _probabilities(4000, num_classes)
    bent = apply_temperature(probabilities, 1 / temperature)
    found = fit_temperature(bent, labels)
    assert found == pytest.approx(temperature, rel=0.1)
    mended = apply_temperature(bent, found)
    assert np.array_equal(mended.argmax(axis=1), probabilities.argmax(axis=1))
    if temperature != 1:
        assert reliability(mended, labels).error < reliability(bent, labels).error


@pytest.mark.parametrize("seed", range(5))
def test_threshold_gives_the_highest_f1(seed: int) -> None:
    generator = np.random.default_rng(seed)
    probabilities = generator.random(80).round(2)  # with ties
    labels = (generator.random(80) < probabilities).astype(int)
    found = f1_score(labels, probabilities >= best_threshold(probabilities, labels))
    assert found == pytest.approx(max(f1_score(labels, probabilities >= value) for value in probabilities))


def test_every_row_is_decided_by_a_threshold_of_other_rows() -> None:
    """Rows of noise: the threshold fitted on them looks better than yes to all, one of other rows does not."""
    generator = np.random.default_rng(0)
    fitted, crossed = [], []
    for _ in range(40):
        probabilities, labels = generator.random(40), np.arange(40) % 2
        fitted.append(f1_score(labels, probabilities >= best_threshold(probabilities, labels)))
        crossed.append(f1_score(labels, cross_fitted(probabilities, labels)))
    always_yes = 2 / 3
    assert np.mean(fitted) > always_yes + 0.01
    assert np.mean(crossed) < always_yes
    shifted = np.where(np.arange(40) % 2 == 1, 0.3, 0.1) + 0.01 * generator.random(40)
    assert np.array_equal(cross_fitted(shifted, np.arange(40) % 2), np.arange(40) % 2)


def test_flipped_labels_are_suspected_and_a_poor_model_suspects_none() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(2, size=400)
    sure = np.where(truth == 1, 0.95, 0.05) + generator.normal(scale=0.02, size=400)
    probabilities = np.clip(np.stack([1 - sure, sure], axis=1), 0.001, 0.999)
    labels = truth.copy()
    flipped = generator.choice(400, 20, replace=False)
    labels[flipped] = 1 - labels[flipped]
    found = set(suspect_labels(labels, probabilities))
    assert found <= set(flipped)
    assert len(found) >= 18
    assert suspect_labels(generator.integers(2, size=400), probabilities) is None
