"""Metrics equal scikit-learn's, also over two processes with a row count that does not divide."""

import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from lit_humor.callbacks.predictions import PredictionWriter
from lit_humor.metrics.classification import ClassificationMetrics, measure
from lit_humor.runs import record
from lit_humor.tasks.classification import Classification
from tests.unit.building import TRAINER, make_datamodule, make_examples, make_learner

SLICES = {"language": ["en", "es"], "genre": ["story"]}


def _random(num_rows: int, num_classes: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(num_rows)
    probabilities = torch.softmax(torch.randn(num_rows, num_classes, generator=generator), -1)
    labels = torch.randint(num_classes, (num_rows,), generator=generator)
    slices = torch.stack([torch.randint(-1, 2, (num_rows,), generator=generator), torch.full((num_rows,), 0)], dim=1)
    return probabilities, labels, slices


def _update(metrics: ClassificationMetrics, *tensors: torch.Tensor) -> None:
    """Add rows: probabilities, labels, slices, and which of them count."""
    probabilities, labels, slices, *counts = tensors
    everything = torch.ones(len(labels), dtype=torch.bool)
    metrics.update({"probabilities": probabilities}, {"labels": labels, "slices": slices}, *(counts or [everything]))


def _expected(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    predictions = probabilities.argmax(1)
    binary = probabilities.shape[1] == 2
    scores = probabilities[:, 1] if binary else probabilities
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "accuracy": sk.accuracy_score(labels, predictions),
            "f1": sk.f1_score(labels, predictions, average="binary" if binary else "macro", zero_division=0),
            "f1_macro": sk.f1_score(labels, predictions, average="macro", zero_division=0),
            "f1_weighted": sk.f1_score(labels, predictions, average="weighted", zero_division=0),
            "mcc": sk.matthews_corrcoef(labels, predictions),
            "auroc": sk.roc_auc_score(labels, scores, multi_class="ovr", average="macro"),
            "calibration_error": _expected_calibration_error(labels, probabilities),
        }


def _expected_calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    top, hit = probabilities.max(1), probabilities.argmax(1) == labels
    bins = np.clip(np.ceil(top * 15).astype(int) - 1, 0, 14)
    gaps = [abs(hit[bins == b].mean() - top[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    return float(sum(gaps))


@pytest.mark.parametrize("num_classes", [2, 3])
def test_equal_scikit_learns(num_classes: int) -> None:
    names = ["serious", "pun", "irony"][:num_classes]
    metrics = ClassificationMetrics(names, SLICES)
    probabilities, labels, slices = _random(203, num_classes)
    everything = torch.ones(203, dtype=torch.bool)
    for start in range(0, 203, 32):
        part = slice(start, start + 32)
        _update(metrics, probabilities[part], labels[part], slices[part], everything[part])
    found = metrics.compute()
    for name, value in _expected(labels.numpy(), probabilities.numpy()).items():
        assert found[name] == pytest.approx(value, abs=1e-5), name
    predictions = probabilities.argmax(1)
    precision, recall, f1, rows = sk.precision_recall_fscore_support(labels, predictions, zero_division=0)
    for index, name in enumerate(names):
        expected = {"precision": precision[index], "recall": recall[index], "f1": f1[index], "rows": rows[index]}
        assert found["classes"][name] == pytest.approx(expected, abs=1e-6)
    assert found["confusion"] == sk.confusion_matrix(labels, predictions).tolist()
    for code, value in enumerate(SLICES["language"]):
        rows_of_value = slices[:, 0] == code
        expected = _expected(labels[rows_of_value].numpy(), probabilities[rows_of_value].numpy())
        assert found["slices"]["language"][value] == pytest.approx(
            {"rows": int(rows_of_value.sum()), "accuracy": expected["accuracy"], "f1": expected["f1"]}
        )


def test_one_predicted_class_has_no_correlation() -> None:
    metrics = ClassificationMetrics(["no", "yes"], {})
    probabilities = torch.tensor([[0.9, 0.1]]).repeat(10, 1)
    labels = torch.tensor([0] * 6 + [1] * 4)
    _update(metrics, probabilities, labels, torch.zeros(10, 0, dtype=torch.long))
    found = metrics.compute()
    assert found["mcc"] == 0
    assert found["f1"] == 0


def test_a_class_without_rows_has_no_auroc_and_does_not_drag_slices_down() -> None:
    metrics = ClassificationMetrics(["fact", "pun", "irony"], {"language": ["en"]})
    probabilities = torch.eye(3)[[0, 1, 1]]
    slices = torch.zeros(3, 1, dtype=torch.long)
    _update(metrics, probabilities, torch.tensor([0, 1, 1]), slices)
    found = metrics.compute()
    assert found["auroc"] is None
    assert found["slices"]["language"]["en"]["f1"] == found["f1_macro"] == 1


def test_padding_rows_do_not_count() -> None:
    metrics = ClassificationMetrics(["no", "yes"], {})
    probabilities, labels, slices = _random(9, 2)
    counts = torch.tensor([True] * 7 + [False] * 2)
    _update(metrics, probabilities, labels, slices[:, :0], counts)
    assert metrics.compute()["rows"] == 7


def test_every_scalar_is_defined() -> None:
    metrics = ClassificationMetrics(["no", "yes"], {})
    probabilities, labels, slices = _random(9, 2)
    _update(metrics, probabilities, labels, slices[:, :0])
    scalars = {name for name, value in metrics.compute().items() if isinstance(value, float)}
    assert len(scalars) == 7
    assert scalars <= Classification.definitions.keys()


MEASURED = {  # labels, classes
    "two classes": ([0, 1] * 20, 2),
    "three classes": ([0, 1, 2] * 20, 3),
    "a class without rows": ([0, 1, 1, 0], 3),
    "one row": ([1], 2),
    "many rows": ([0, 1, 1, 0, 0] * 1000, 2),
}


def _measure(name: str) -> dict[str, Any]:
    labels, num_classes = MEASURED[name]
    probabilities, _, _ = _random(len(labels), num_classes)
    return measure(["serious", "pun", "irony"][:num_classes], np.array(labels), probabilities.numpy())


def _measure_in_the_first(rank: int, folder: Path) -> None:
    store = torch.distributed.FileStore(str(folder / "store"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    if rank == 0:
        record.write_json(folder / "found.json", {name: _measure(name) for name in MEASURED})


def test_what_one_process_measures_asks_nothing_of_the_other(tmp_path: Path) -> None:
    """The other one has left by then; the numbers are those of the rows of this process."""
    torch.multiprocessing.start_processes(_measure_in_the_first, (tmp_path,), nprocs=2, start_method="fork")
    assert record.read_json(tmp_path / "found.json") == {name: _measure(name) for name in MEASURED}


class KeepResults(pl.Callback):
    def __init__(self, path: Path) -> None:
        self.path = path

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            record.write_json(self.path, pl_module.results["test"])  # type: ignore[index]


def _test(tiny_model: str, folder: Path, devices: int, num_rows: int) -> dict[str, Any]:
    languages = [("en", "es", None)[i % 3] for i in range(num_rows)]
    test = make_examples(num_rows, seed=3, humor_share=0.5, slices={"language": languages})
    datamodule = make_datamodule(
        tiny_model, folder, splits={"train": make_examples(20), "test": test}, eval_batch_size=4
    )
    datamodule.load()
    out = folder / f"on-{devices}"
    trainer = pl.Trainer(
        **TRAINER,
        devices=devices,
        strategy="ddp_fork" if devices > 1 else "auto",
        callbacks=[KeepResults(out / "results.json"), PredictionWriter(str(out))],
    )
    trainer.test(make_learner(datamodule), datamodule, verbose=False)
    import pyarrow.parquet as pq

    return record.read_json(out / "results.json") | {"predictions": pq.read_table(out / "predictions" / "test.parquet")}


@pytest.mark.parametrize(("num_rows", "processes"), [(21, 2), (17, 2), (5, 4), (3, 4), (2, 3)])
def test_several_processes_count_every_row_once(tiny_model: str, tmp_path: Path, num_rows: int, processes: int) -> None:
    """Also where some of them are dealt no row: they gather with the others all the same."""
    one, two = (_test(tiny_model, tmp_path, devices, num_rows) for devices in (1, processes))
    predictions, other = one.pop("predictions"), two.pop("predictions")
    assert one["rows"] == two["rows"] == num_rows
    assert one["confusion"] == two["confusion"]
    assert one["slices"] == two["slices"]
    for name in ("loss", "f1", "auroc", "calibration_error", "mcc"):
        assert two[name] == pytest.approx(one[name], abs=1e-6), name
    assert predictions["id"].to_pylist() == other["id"].to_pylist() == [str(i) for i in range(num_rows)]
    assert np.allclose(predictions["p_humor"], other["p_humor"], atol=1e-6)
    labels = (np.array(predictions["label"]) == "humor").astype(int)
    scores = np.stack([predictions["p_not humor"], predictions["p_humor"]], 1)
    for name, value in _expected(labels, scores).items():
        assert one[name] == pytest.approx(value, abs=1e-5), name
