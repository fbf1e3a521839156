"""Regression: every row has a number, such as a rating. Legend: B rows of a batch, N rows of a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

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
    from lit_humor.metrics.regression import RegressionMetrics

_BASELINE = "TF-IDF of words (1-2) and characters (2-5, within words), ridge regression"


class Regression(Task):
    """Predicts the number of a row, ``data.target_column``, from ``values`` [B]."""

    kind = "regression"
    definitions: ClassVar[Mapping[str, str]] = {
        "rmse": "root of the mean squared difference between number and prediction, in units of the number",
        "mae": "mean absolute difference between number and prediction, in units of the number",
        "spearman": "Spearman's rank correlation of number and prediction; null where either is constant",
        "loss": "mean of the training objective per row",
        "slices": "rows and mae of rows of one language, genre, part, stage or question type",
    }
    scalars = ("rmse", "mae", "spearman", "loss")
    curves: ClassVar[Mapping[str, str]] = {"mae": "mae", "rmse": "rmse"}
    compared: ClassVar[Mapping[str, str]] = {"rmse": "min", "mae": "min", "spearman": "max"}

    constant_answer = "one number only"
    outputs = ("values",)
    objective = "mean_squared_error"

    def check(self, splits: Mapping[str, Examples], drawn: Drawn, settings: DataSettings, val_key: str) -> None:
        """Training and validation need rows, and every row a number."""
        from lit_humor.data.dividing.fitness import check_fit

        for name, examples in splits.items():
            problem = _problem(examples.targets)
            if problem:
                raise UserError(
                    "data.target_column",
                    found=f"{problem} in split '{name}'",
                    expected="a column of numbers that differ, which task=regression predicts",
                    fix="set data.target_column=<column>, or leave task=regression away",
                )
        check_fit(splits, drawn, settings, val_key)

    def metrics(self, slice_values: Mapping[str, Sequence[str]], *, synced: bool = True) -> RegressionMetrics:
        """Return errors and rank correlation; the mean absolute error also by slice."""
        from lit_humor.metrics.regression import RegressionMetrics

        return RegressionMetrics(slice_values, synced=synced)

    def measure_columns(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Compute all metrics from ``target`` and ``prediction``."""
        import numpy as np

        from lit_humor.metrics.errors import measure_errors

        return measure_errors(*(np.asarray(columns[name], dtype=np.float64) for name in ("target", PREDICTION)))

    def columns(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Any]:
        """Return ``target`` and ``prediction``, float32."""
        return {"target": batch["targets"].numpy(), "prediction": outputs["values"].numpy()}

    def tables(
        self, split: str, results: Mapping[str, Any], baseline: Mapping[str, Any] | None = None
    ) -> list[ResultTable]:
        """Return tables of metrics next to the baseline, and of the mean absolute error by slice."""
        return [
            scalar_table(split, results, self.scalars, baseline),
            *slice_tables(split, results, ("mae",)),
        ]

    @property
    def form(self) -> ExportForm:
        """One number."""
        return ExportForm(
            output="values",
            names=("value",),
            activation="none",
            problem_type="regression",
            metrics=("rmse", "mae", "spearman"),
            purpose="Gives a text a number, such as a rating.",
            meaning="A high number says that a text looks like texts that were rated high, not that you will find it "
            "funny.",
        )

    def numbers(self, outputs: Mapping[str, Any], calibration: Mapping[str, float]) -> np.ndarray:
        """Return the predicted numbers, [N, 1]."""
        return outputs["values"].reshape(-1, 1)

    def answers(
        self, outputs: Mapping[str, Any], calibration: Mapping[str, float], threshold: float | None = None
    ) -> dict[str, list[Any]]:
        """Return ``prediction``, a number."""
        return {PREDICTION: outputs["values"].reshape(-1).tolist()}

    def cells(self, answers: Mapping[str, Sequence[Any]], row: int | None) -> list[str]:
        """The number."""
        return [""] if row is None else [f"{answers[PREDICTION][row]:.4f}"]

    def explained(self, answers: Mapping[str, Sequence[Any]], row: int, calibration: Mapping[str, float]) -> Explained:
        """The number."""
        return Explained("the number", lambda outputs: outputs["logits"].squeeze(-1))

    def intervals(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, tuple[float, float]]:
        """Return intervals: RMSE and MAE by bootstrap over rows, the rank correlation by Fisher's transformation."""
        import numpy as np

        from lit_humor.metrics.intervals import bootstrap_of_means, spearman_interval

        errors = np.subtract(*(np.asarray(columns[name], dtype=np.float64) for name in (PREDICTION, "target")))
        values = np.stack([errors**2, np.abs(errors)], axis=1)
        ends = bootstrap_of_means(values, lambda means: {"rmse": np.sqrt(means[:, 0]), "mae": means[:, 1]})
        correlation = self.measure_columns(columns)["spearman"]
        of_ranks = None if correlation is None else spearman_interval(correlation, len(errors))
        return ends | ({"spearman": of_ranks} if of_ranks else {})

    def is_collapsed(self, results: Mapping[str, Any], objective: nn.Module) -> bool:
        """Return whether all rows get the same number, although their targets differ."""
        return results["spearman"] is None and results["rmse"] > 0 and results["rows"] > 1

    def baseline(self, train: Examples, evaluated: Mapping[str, Examples]) -> Baseline:
        """Fit and score TF-IDF with ridge regression."""
        from sklearn.linear_model import Ridge
        from sklearn.pipeline import make_pipeline

        from lit_humor.data.baseline import tfidf_features

        model = make_pipeline(tfidf_features(), Ridge()).fit(train.whole_texts(), train.targets)
        results = {}
        for split, examples in evaluated.items():
            columns = {"target": examples.targets, "prediction": model.predict(examples.whole_texts())}
            results[split] = self.measure_columns(columns)
        return Baseline(_BASELINE, results)


def _problem(targets: np.ndarray | None) -> str:
    """Return why the targets cannot be learned; empty if they can."""
    if targets is None:
        return "no numbers"
    if targets.ndim > 1:
        return "several numbers a row"
    return "the same number everywhere" if len(targets) > 1 and (targets == targets[0]).all() else ""
