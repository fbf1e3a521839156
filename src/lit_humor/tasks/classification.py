"""Classification: every row belongs to one of C classes. Legend: B rows of a batch, N rows of a split, C classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from lit_humor.core.batch import PROBABILITY
from lit_humor.core.errors import UserError
from lit_humor.tasks.answers import PREDICTION, Explained, ExportForm
from lit_humor.tasks.tables import slice_tables
from lit_humor.tasks.task import Baseline, ResultTable, Task

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from lit_humor.data.dividing.splits import Drawn
    from lit_humor.data.examples import Examples
    from lit_humor.data.settings import DataSettings
    from lit_humor.metrics.classification import ClassificationMetrics

_FEWEST = 5  # rows of a class that a threshold is fitted on
_NEAR = 0.97  # share of the loss of the best constant answer, from which a model counts as collapsed


class Classification(Task):
    """Predicts the class of a row, that of the highest probability, from ``probabilities`` [B, C]."""

    kind = "classification"
    definitions: ClassVar[Mapping[str, str]] = {
        "f1": "F1 of the last class (humor) with two classes, macro F1 with more; chosen by the highest probability",
        "accuracy": "share of rows whose most probable class is their label",
        "f1_macro": "mean of the classes' F1, each class counting the same",
        "f1_weighted": "mean of the classes' F1, weighted by their rows",
        "mcc": "Matthews correlation coefficient (Gorodkin's R_K with more than two classes)",
        "auroc": "area under the ROC curve, macro mean over one-versus-rest; exact; null where a class has no rows",
        "calibration_error": "expected calibration error of the highest probability, 15 bins of equal width",
        "loss": "mean of the training objective per row, with its weights and smoothing",
        "precision/recall/f1 per class": "of that class against the rest; 0 where it was never predicted",
        "slices": "rows, accuracy and f1 (as above) of rows of one language, genre, part, stage or question type",
    }
    scalars = tuple(name for name in definitions if " " not in name and name != "slices")
    curves: ClassVar[Mapping[str, str]] = {"accuracy": "acc", "f1": "f1"}
    compared: ClassVar[Mapping[str, str]] = {
        **{"f1": "max", "accuracy": "max", "f1_macro": "max", "mcc": "max", "auroc": "max"},
        "calibration_error": "min",
    }
    constant_answer = "one class only"
    outputs = ("probabilities",)
    objective = "cross_entropy"

    def check(self, splits: Mapping[str, Examples], drawn: Drawn, settings: DataSettings, val_key: str) -> None:
        """Training and validation need rows of every class; see ``data.dividing.fitness``."""
        from lit_humor.data.dividing.fitness import check_fit

        for examples in splits.values():
            if not examples.class_names:
                key, task, found = "data.target_column", "regression", "numbers to predict"
                if examples.target_names:
                    key, task = "data.target_columns", "multilabel"
                fix = f"set task={task}, or leave {key} out"
                if examples.answers is not None and examples.targets is None:
                    key, found = "data", "rows with an answer and without a class"
                    fix = "set data.label_column=<column of labels>" if examples.file else "leave data out"
                raise UserError(key, found=found, expected="labels, which task=classification predicts", fix=fix)
        check_fit(splits, drawn, settings, val_key)

    def metrics(self, slice_values: Mapping[str, Sequence[str]], *, synced: bool = True) -> ClassificationMetrics:
        """Return F1, accuracy, correlation, AUROC, calibration, confusion matrix; F1 and accuracy also by slice."""
        from lit_humor.metrics.classification import ClassificationMetrics

        return ClassificationMetrics(self.class_names, slice_values, synced=synced)

    def measure(self, labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
        """Compute all metrics of a split without slices, only in this process.

        Args:
            labels: [N] int64.
            probabilities: [N, C].
        """
        from lit_humor.metrics.classification import measure

        return measure(self.class_names, labels, probabilities)

    def measure_columns(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Compute all metrics from ``label`` and ``p_<class>``."""
        return self.measure(*self._arrays(columns))

    def columns(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Any]:
        """Return ``label``, ``prediction``, and ``p_<class>`` for each class."""
        probabilities, names = outputs["probabilities"], self.class_names
        return {
            "label": [names[index] for index in batch["labels"].tolist()],
            PREDICTION: [names[index] for index in probabilities.argmax(dim=1).tolist()],
            **{f"{PROBABILITY}{name}": probabilities[:, index].numpy() for index, name in enumerate(names)},
        }

    def tables(
        self, split: str, results: Mapping[str, Any], baseline: Mapping[str, Any] | None = None
    ) -> list[ResultTable]:
        """Return tables of metrics next to the baseline, classes, confusion matrix and slices."""
        scalars = [name for name, value in results.items() if isinstance(value, float) and name in self.definitions]
        columns = ["metric", "model"] + (["TF-IDF baseline"] if baseline else [])
        names = list(results["classes"])
        shown_as = {"f1": f"f1 of {names[-1]}"}
        rows = [
            [shown_as.get(name, name), results[name], *([baseline.get(name, "")] if baseline else [])]
            for name in scalars
        ]
        classes = [(n, c["precision"], c["recall"], c["f1"], c["rows"]) for n, c in results["classes"].items()]
        matrix = [(name, *counts) for name, counts in zip(names, results["confusion"], strict=True)]
        return [
            ResultTable(f"{split}: {results['rows']} rows", columns, rows),
            ResultTable(f"{split}: classes", ("class", "precision", "recall", "f1", "rows"), classes),
            ResultTable(f"{split}: confusion matrix", ("true \\ predicted", *names), matrix),
            *slice_tables(split, results, ("accuracy", "f1")),
        ]

    def baseline(self, train: Examples, evaluated: Mapping[str, Examples]) -> Baseline:
        """Fit and score TF-IDF with logistic regression."""
        from lit_humor.data.baseline import DESCRIPTION, fit_tfidf

        model = fit_tfidf(train)
        scored = {split: model.predict_proba(examples.whole_texts()) for split, examples in evaluated.items()}
        return Baseline(DESCRIPTION, {split: self.measure(evaluated[split].labels, p) for split, p in scored.items()})

    @property
    def form(self) -> ExportForm:
        """A probability for each class."""
        *others, last = self.class_names
        return ExportForm(
            output="probabilities",
            names=self.class_names,
            activation="softmax",
            problem_type="single_label_classification",
            metrics=("f1", "accuracy", "f1_macro", "auroc"),  # metrics that a temperature does not change
            purpose=f"Tells {last} from {' / '.join(others)}.",
            meaning="A high probability says that a text looks like the jokes of the training data, not that it is "
            "funny, kind or true.",
        )

    def numbers(self, outputs: Mapping[str, Any], calibration: Mapping[str, float]) -> np.ndarray:
        """Return the probabilities [N, C], calibrated by the temperature."""
        from lit_humor.metrics.calibration import apply_temperature

        return apply_temperature(outputs["probabilities"], calibration.get("temperature", 1.0))

    def answers(
        self, outputs: Mapping[str, Any], calibration: Mapping[str, float], threshold: float | None = None
    ) -> dict[str, list[Any]]:
        """Return ``prediction``, the most probable class or by a threshold on the last of two, and ``p_<class>``."""
        numbers, names = self.numbers(outputs, calibration), self.class_names
        codes = numbers.argmax(axis=1) if threshold is None else (numbers[:, 1] >= threshold).astype(int)
        columns = {f"{PROBABILITY}{name}": numbers[:, index].tolist() for index, name in enumerate(names)}
        return {PREDICTION: [names[code] for code in codes.tolist()], **columns}

    def cells(self, answers: Mapping[str, Sequence[Any]], row: int | None) -> list[str]:
        """Return the predicted class and its probability."""
        if row is None:
            return ["", ""]
        name = answers[PREDICTION][row]
        return [name, f"{answers[PROBABILITY + name][row]:.4f}"]

    def served(self, answers: Mapping[str, Sequence[Any]], row: int) -> dict[str, Any]:
        """Return ``label``, its ``probability``, and ``probabilities`` by class."""
        probabilities = {name: answers[PROBABILITY + name][row] for name in self.class_names}
        label = answers[PREDICTION][row]
        return {"label": label, "probability": probabilities[label], "probabilities": probabilities}

    def explained(self, answers: Mapping[str, Sequence[Any]], row: int, calibration: Mapping[str, float]) -> Explained:
        """Return the calibrated probability of the predicted class."""
        name, temperature = answers[PREDICTION][row], calibration.get("temperature", 1.0)
        code = self.class_names.index(name)
        return Explained(name, lambda outputs: (outputs["logits"] / temperature).softmax(dim=-1)[:, code])

    def read_threshold(self, wanted: Any, calibration: Mapping[str, float]) -> float:
        """Return a threshold for the last of two classes: a number between 0 and 1, or for ``tuned`` the fitted one."""
        tuned = calibration.get("threshold")
        if wanted == "tuned" and tuned is not None:
            return tuned
        if len(self.class_names) == 2 and isinstance(wanted, int | float) and 0 < wanted < 1:
            return float(wanted)
        raise UserError(
            "threshold",
            found=str(wanted),
            expected="a number between 0 and 1, or tuned where the run has calibration.json; and two classes",
            fix="leave it out, or run report.py first",
        )

    def calibrate(self, columns: Mapping[str, Sequence[Any]]) -> tuple[dict[str, float], list[ResultTable]]:
        """Fit temperature and threshold; the table has scores by a threshold that the other rows gave to each row."""
        import numpy as np

        from lit_humor.metrics.calibration import apply_temperature, calibrate, cross_fitted

        labels, probabilities = self._arrays(columns)
        rows_of = dict(
            zip(self.class_names, np.bincount(labels, minlength=len(self.class_names)).tolist(), strict=True)
        )
        if few := [name for name, rows in rows_of.items() if rows < _FEWEST]:
            raise UserError(
                "calibrate",
                found=", ".join(f"{rows} rows of '{name}'" for name, rows in rows_of.items()),
                expected=f"at least {_FEWEST} of each class",
                fix=f"add rows of '{few[0]}' to the file, or leave calibrate away",
            )
        calibration = calibrate(probabilities, labels)
        if "threshold" not in calibration:
            return calibration, []
        scaled = apply_temperature(probabilities, calibration["temperature"])[:, 1]
        shown = {"0.5": scaled >= 0.5, "tuned, each row by the others": cross_fitted(scaled, labels)}
        tables = [[name, *_scores(labels, predicted)] for name, predicted in shown.items()]
        return calibration, [ResultTable(f"Threshold of {self.class_names[1]}", ("", "f1", "accuracy"), tables)]

    def intervals(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, tuple[float, float]]:
        """Return intervals of F1, accuracy and macro F1 by bootstrap over rows."""
        import numpy as np

        from lit_humor.metrics.confusion import bootstrap_intervals, count_confusion

        code = {name: index for index, name in enumerate(self.class_names)}
        labels, predictions = (np.asarray([code[name] for name in columns[key]]) for key in ("label", PREDICTION))
        ends = bootstrap_intervals(count_confusion(labels, predictions, len(code)))
        return {name: (values[0].item(), values[1].item()) for name, values in ends.items() if values.shape == (2,)}

    def _arrays(self, columns: Mapping[str, Sequence[Any]]) -> tuple[np.ndarray, np.ndarray]:
        """Return labels [N] and probabilities [N, C] of saved predictions."""
        import numpy as np

        code = {name: index for index, name in enumerate(self.class_names)}
        labels = np.asarray([code[name] for name in columns["label"]], dtype=np.int64)
        return labels, np.asarray([columns[PROBABILITY + name] for name in self.class_names]).T

    def is_collapsed(self, results: Mapping[str, Any], objective: nn.Module) -> bool:
        """Return whether all rows get one class, with about the loss of the best constant answer."""
        weights: Any = getattr(objective, "class_weights", None)
        return is_collapsed(results, None if weights is None else weights.tolist())


def _scores(labels: np.ndarray, predicted: np.ndarray) -> list[float]:
    """Return F1 of the last of two classes and accuracy."""
    from lit_humor.metrics.confusion import count_confusion, scores_of

    scores = scores_of(count_confusion(labels, predicted.astype(labels.dtype), 2))
    return [float(scores["f1"]), float(scores["accuracy"])]


def is_collapsed(results: Mapping[str, Any], class_weights: list[float] | None = None) -> bool:
    """Return whether all rows get one class, with a loss of at least 97 % of that of the best constant answer.

    Args:
        results: ``confusion`` [C, C], a row for each true class, and ``loss``.
        class_weights: [C] weights of the loss.
    """
    import numpy as np

    confusion = np.asarray(results["confusion"], dtype=float)
    shares = confusion.sum(axis=1) * np.asarray(class_weights or np.ones(len(confusion)))
    total = shares.sum() / confusion.sum()  # mean weight of a row
    shares = shares[shares > 0] / shares.sum()
    constant = -total * float((shares * np.log(shares)).sum())
    return bool((confusion.sum(axis=0) > 0).sum() == 1 and results["loss"] >= _NEAR * constant)
