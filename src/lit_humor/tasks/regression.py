"""Regression: every row has a number, such as a rating. Legend: B rows of a batch, N rows of a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from lit_humor.core.errors import UserError
from lit_humor.tasks.answers import PREDICTION
from lit_humor.tasks.classification import slice_tables
from lit_humor.tasks.task import Baseline, ResultTable, Task

if TYPE_CHECKING:
    from torch import Tensor

    from lit_humor.data.dividing.splits import Drawn
    from lit_humor.data.examples import Examples
    from lit_humor.data.settings import DataSettings
    from lit_humor.metrics.regression import RegressionMetrics

_BASELINE = "TF-IDF of words (1-2) and characters (2-5, within words), ridge regression"


class Regression(Task):
    """The number of a row: objectives give ``values`` [B] for ``targets`` [B], from ``data.target_column``."""

    kind = "regression"
    definitions: ClassVar[Mapping[str, str]] = {
        "rmse": "root of the mean squared difference between number and prediction, in units of the number",
        "mae": "mean absolute difference between number and prediction, in units of the number",
        "spearman": "Spearman's rank correlation of number and prediction; null where either is constant",
        "loss": "mean of the training objective per row",
        "slices": "rows and mae of rows of one language, genre or part",
    }
    scalars = ("rmse", "mae", "spearman", "loss")
    curves: ClassVar[Mapping[str, str]] = {"mae": "mae", "rmse": "rmse"}
    compared: ClassVar[Mapping[str, str]] = {"rmse": "min", "mae": "min", "spearman": "max"}

    outputs = ("values",)
    objective = "mean_squared_error"

    @property
    def network_arguments(self) -> dict[str, Any]:
        """The head gives one number."""
        return {"num_classes": 1}

    @property
    def objective_arguments(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def check(self, splits: Mapping[str, Examples], drawn: Drawn, settings: DataSettings, val_key: str) -> None:
        """Training and validation need rows, and every row a number."""
        from lit_humor.data.dividing.fitness import check_fit

        without = [name for name, examples in splits.items() if examples.targets is None]
        if without:
            raise UserError(
                "data.target_column",
                found=f"no numbers in split '{without[0]}'",
                expected="a column of numbers, which task=regression predicts",
                fix="set data.target_column=<column>, or leave task=regression away",
            )
        check_fit(splits, drawn, settings, val_key)

    def metrics(self, slice_values: Mapping[str, Sequence[str]], *, synced: bool = True) -> RegressionMetrics:
        """Errors, rank correlation, and the mean absolute error by slice."""
        from lit_humor.metrics.regression import RegressionMetrics

        return RegressionMetrics(slice_values, synced=synced)

    def measure_columns(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Read ``target`` and ``prediction``."""
        import torch

        targets, values = (torch.tensor(columns[name], dtype=torch.float32) for name in ("target", "prediction"))
        metrics = self.metrics({}, synced=False)
        batch = {"targets": targets, "slices": torch.zeros(len(targets), 0, dtype=torch.long)}
        metrics.update({"values": values}, batch, torch.ones(len(targets), dtype=torch.bool))
        return metrics.compute()

    def columns(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Any]:
        """``target`` and ``prediction``, float32."""
        return {"target": batch["targets"].numpy(), "prediction": outputs["values"].numpy()}

    def tables(
        self, split: str, results: Mapping[str, Any], baseline: Mapping[str, Any] | None = None
    ) -> list[ResultTable]:
        """Numbers beside the baseline, and the mean absolute error by slice."""
        names = [name for name in self.scalars if isinstance(results.get(name), float)]
        columns = ["metric", "model"] + (["TF-IDF baseline"] if baseline else [])
        rows = [[name, results[name], *([baseline.get(name, "")] if baseline else [])] for name in names]
        return [
            ResultTable(f"{split}: {results['rows']} rows", columns, rows),
            *slice_tables(split, results, ("mae",)),
        ]

    def answers(
        self, outputs: Mapping[str, Any], calibration: Mapping[str, float], threshold: float | None = None
    ) -> dict[str, list[Any]]:
        """``prediction``."""
        return {PREDICTION: outputs["values"].tolist()}

    def baseline(self, train: Examples, evaluated: Mapping[str, Examples]) -> Baseline:
        """TF-IDF and ridge regression."""
        from sklearn.linear_model import Ridge
        from sklearn.pipeline import make_pipeline

        from lit_humor.data.baseline import tfidf_features

        model = make_pipeline(tfidf_features(), Ridge()).fit(train.whole_texts(), train.targets)
        results = {}
        for split, examples in evaluated.items():
            columns = {"target": examples.targets, "prediction": model.predict(examples.whole_texts())}
            results[split] = self.measure_columns(columns)
        return Baseline(_BASELINE, results)
