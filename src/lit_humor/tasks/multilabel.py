"""Multi-label tasks: a row has some of K labels. Legend: B rows of a batch, N rows of a split, K labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from lit_humor.core.batch import PROBABILITY
from lit_humor.core.errors import UserError
from lit_humor.tasks.answers import PREDICTION, Explained, ExportForm
from lit_humor.tasks.tables import scalar_table, slice_tables
from lit_humor.tasks.task import Baseline, ResultTable, Task

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from lit_humor.data.dividing.splits import Drawn
    from lit_humor.data.examples import Examples
    from lit_humor.data.settings import DataSettings
    from lit_humor.metrics.multilabel import MultiLabelMetrics

_BASELINE = "TF-IDF of words (1-2) and characters (2-5, within words), a logistic regression for each label"
_TRUE = "is_"  # prefix of the columns of true labels, 0 or 1
_NONE = "none"


class MultiLabel(Task):
    """Predicts the labels of a row, ``targets`` [B, K] of 0 and 1, from ``label_probabilities`` [B, K]."""

    kind = "multilabel"
    definitions: ClassVar[Mapping[str, str]] = {
        "f1_macro": "mean of the labels' F1, each label counting the same; a label is given from probability .5 on",
        "f1_micro": "F1 of all labels of all rows together",
        "exact_match": "share of rows all of whose labels are right",
        "auroc": "area under the ROC curve, mean over the labels that some rows have and some have not; else null",
        "loss": "mean of the training objective per row",
        "precision/recall/f1 per label": "of that label; 0 where it was never given",
        "slices": "the same of rows of one language, genre, part, stage or question type",
    }
    scalars = ("f1_macro", "f1_micro", "exact_match", "auroc", "loss")
    curves: ClassVar[Mapping[str, str]] = {"exact_match": "exact", "f1_macro": "f1"}
    compared: ClassVar[Mapping[str, str]] = {
        **{"f1_macro": "max", "f1_micro": "max", "exact_match": "max", "auroc": "max"},
    }
    constant_answer = "the same labels only"
    outputs = ("label_probabilities",)
    objective = "binary_cross_entropy"

    def check(self, splits: Mapping[str, Examples], drawn: Drawn, settings: DataSettings, val_key: str) -> None:
        """Training and validation need rows, and every row a 0 or 1 for each label."""
        from lit_humor.data.dividing.fitness import check_fit

        for name, examples in splits.items():
            problem = _problem(examples)
            if problem:
                raise UserError(
                    "data.target_columns",
                    found=f"{problem} in split '{name}'",
                    expected="columns of 0 and 1, which task=multilabel predicts",
                    fix="set 'data.target_columns=[<columns of 0 and 1>]', or leave task=multilabel away",
                )
        check_fit(splits, drawn, settings, val_key)

    def metrics(self, slice_values: Mapping[str, Sequence[str]], *, synced: bool = True) -> MultiLabelMetrics:
        """Return F1 by label and over all, exact matches and AUROC; all but AUROC also by slice."""
        from lit_humor.metrics.multilabel import MultiLabelMetrics

        return MultiLabelMetrics(self.class_names, slice_values, synced=synced)

    def measure_columns(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Compute all metrics from ``is_<label>`` and ``p_<label>``."""
        from sklearn.metrics import roc_auc_score

        from lit_humor.metrics.label_counts import THRESHOLD, label_counts, measure_labels

        targets, probabilities = (self._matrix(columns, prefix) for prefix in (_TRUE, PROBABILITY))
        counts = label_counts(targets, probabilities >= THRESHOLD).sum(axis=0)
        both = [index for index in range(targets.shape[1]) if 0 < targets[:, index].sum() < len(targets)]
        areas = [float(roc_auc_score(targets[:, index], probabilities[:, index])) for index in both]
        numbers = measure_labels(self.class_names, _with_rows(counts, len(targets)))
        return {**numbers, "auroc": sum(areas) / len(areas) if areas else None, "slices": {}}

    def columns(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Any]:
        """Return ``label`` and ``prediction``, joined names; ``is_<label>`` and ``p_<label>`` for each label."""
        probabilities, targets = outputs["label_probabilities"].numpy(), batch["targets"].numpy()
        return {
            "label": self._joined(targets),
            PREDICTION: self._joined(probabilities),
            **{f"{_TRUE}{name}": targets[:, index].astype("int8") for index, name in enumerate(self.class_names)},
            **{f"{PROBABILITY}{name}": probabilities[:, index] for index, name in enumerate(self.class_names)},
        }

    def tables(
        self, split: str, results: Mapping[str, Any], baseline: Mapping[str, Any] | None = None
    ) -> list[ResultTable]:
        """Return tables of metrics next to the baseline, of labels and of slices."""
        labels = [(n, c["precision"], c["recall"], c["f1"], c["rows"]) for n, c in results["labels"].items()]
        return [
            scalar_table(split, results, self.scalars, baseline),
            ResultTable(f"{split}: labels", ("label", "precision", "recall", "f1", "rows"), labels),
            *slice_tables(split, results, ("f1_macro", "exact_match")),
        ]

    @property
    def form(self) -> ExportForm:
        """A probability for each label."""
        return ExportForm(
            output="label_probabilities",
            names=self.class_names,
            activation="sigmoid",
            problem_type="multi_label_classification",
            metrics=("f1_macro", "f1_micro", "exact_match", "auroc"),
            purpose=f"Gives a text those of these labels that fit: {', '.join(self.class_names)}.",
            meaning="A high probability says that a text looks like texts that were given the label.",
        )

    def numbers(self, outputs: Mapping[str, Any], calibration: Mapping[str, float]) -> np.ndarray:
        """Return the probability of each label, [N, K]; no temperature is fitted."""
        return outputs["label_probabilities"]

    def answers(
        self, outputs: Mapping[str, Any], calibration: Mapping[str, float], threshold: float | None = None
    ) -> dict[str, list[Any]]:
        """Return ``prediction``, the names of the predicted labels, and ``p_<label>``."""
        numbers = self.numbers(outputs, calibration)
        columns = {f"{PROBABILITY}{name}": numbers[:, index].tolist() for index, name in enumerate(self.class_names)}
        return {PREDICTION: self._joined(numbers, threshold), **columns}

    def cells(self, answers: Mapping[str, Sequence[Any]], row: int | None) -> list[str]:
        """Return the predicted labels, and the probability of every label."""
        if row is None:
            return ["", ""]
        shown = (f"{name} {answers[PROBABILITY + name][row]:.4f}" for name in self.class_names)
        return [answers[PREDICTION][row], ", ".join(shown)]

    def served(self, answers: Mapping[str, Sequence[Any]], row: int) -> dict[str, Any]:
        """Return ``label``, the joined names, and ``probabilities`` by label."""
        probabilities = {name: answers[PROBABILITY + name][row] for name in self.class_names}
        return {"label": answers[PREDICTION][row], "probabilities": probabilities}

    def explained(self, answers: Mapping[str, Sequence[Any]], row: int, calibration: Mapping[str, float]) -> Explained:
        """Return the probability of the most probable label."""
        code = max(range(len(self.class_names)), key=lambda index: answers[PROBABILITY + self.class_names[index]][row])
        return Explained(self.class_names[code], lambda outputs: outputs["logits"][:, code].sigmoid())

    def read_threshold(self, wanted: Any, calibration: Mapping[str, float]) -> float:
        """Return a number between 0 and 1: labels of at least this probability are predicted."""
        if isinstance(wanted, int | float) and 0 < wanted < 1:
            return float(wanted)
        raise UserError("threshold", found=str(wanted), expected="a number between 0 and 1", fix="set threshold=0.5")

    def intervals(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, tuple[float, float]]:
        """Return intervals of macro F1, micro F1 and exact matches by bootstrap over rows."""
        from lit_humor.metrics.label_counts import THRESHOLD, label_intervals

        return label_intervals(self._matrix(columns, _TRUE), self._matrix(columns, PROBABILITY) >= THRESHOLD)

    def baseline(self, train: Examples, evaluated: Mapping[str, Examples]) -> Baseline:
        """Fit and score TF-IDF with a logistic regression for each label."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier
        from sklearn.pipeline import make_pipeline

        from lit_humor.data.baseline import tfidf_features

        assert train.targets is not None
        regression = LogisticRegression(C=10, max_iter=1000, class_weight="balanced")
        model = make_pipeline(tfidf_features(), OneVsRestClassifier(regression))
        model.fit(train.whole_texts(), train.targets.astype(int))
        results = {}
        for split, examples in evaluated.items():
            assert examples.targets is not None
            probabilities = model.predict_proba(examples.whole_texts())
            columns: dict[str, Any] = {
                f"{_TRUE}{name}": examples.targets[:, index] for index, name in enumerate(self.class_names)
            }
            columns |= {f"{PROBABILITY}{name}": probabilities[:, index] for index, name in enumerate(self.class_names)}
            results[split] = self.measure_columns(columns)
        return Baseline(_BASELINE, results)

    def is_collapsed(self, results: Mapping[str, Any], objective: nn.Module) -> bool:
        """Return whether no label is predicted for any row, although rows have labels."""
        labels = results["labels"].values()
        return any(label["rows"] for label in labels) and not any(
            label["recall"] or label["precision"] for label in labels
        )

    def _matrix(self, columns: Mapping[str, Sequence[Any]], prefix: str) -> np.ndarray:
        """Return the columns of a prefix, [N, K]."""
        import numpy as np

        return np.stack([np.asarray(columns[prefix + name], dtype=np.float64) for name in self.class_names], axis=1)

    def _joined(self, values: Any, threshold: float | None = None) -> list[str]:
        """Return, for each row of values [N, K], the joined names of labels that reach the threshold."""
        from lit_humor.metrics.label_counts import THRESHOLD

        given = values >= (THRESHOLD if threshold is None else threshold)
        return [
            ", ".join(name for name, is_given in zip(self.class_names, row, strict=True) if is_given) or _NONE
            for row in given.tolist()
        ]


def _with_rows(counts: np.ndarray, num_rows: int) -> np.ndarray:
    import numpy as np

    return np.append(counts, num_rows)


def _problem(examples: Examples) -> str:
    """Return why the targets cannot be learned; empty if they can."""
    import numpy as np

    if examples.targets is None or examples.targets.ndim < 2:
        return "no columns of labels"
    if examples.targets.shape[1] < 2:
        return "one column only, which is a label of task=classification,"
    odd = np.argwhere((examples.targets != 0) & (examples.targets != 1))
    if len(odd):
        row, column = odd[0].tolist()
        value = examples.targets[row, column]
        return f"{value:g} in column '{examples.target_names[column]}' ({examples.places[row]})"
    return ""
