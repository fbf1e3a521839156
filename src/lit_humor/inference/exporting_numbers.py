"""Exports a run that gives numbers or classes, and checks that the exported model gives the same.

Legend: N rows, K numbers of a row.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from omegaconf import DictConfig

from lit_humor.config.saved import SavedRun
from lit_humor.core.batch import SPLITS, VAL
from lit_humor.core.errors import UserError
from lit_humor.data.examples import Examples
from lit_humor.data.pictures.store import Pictures
from lit_humor.engine.configuration import settled
from lit_humor.engine.factory import build_datamodule, open_pretrained
from lit_humor.exporters import onnx
from lit_humor.exporters.card import model_card
from lit_humor.exporters.huggingface import as_transformers, pipeline_scores, save_folder
from lit_humor.exporters.vocabulary import trim_vocabulary
from lit_humor.inference.pictures import validation_pictures
from lit_humor.inference.scoring import Scorer, load_scorer
from lit_humor.runs import record
from lit_humor.tasks.answers import PREDICTION, ExportForm
from lit_humor.tasks.task import Task

_LARGEST_DIFFERENCE = 1e-4


@dataclass(frozen=True)
class _Exported:
    """A run to export, and the validation rows that the export is checked on.

    Attributes:
        scorer: The run, in fp32, as other programs compute.
        task: The task of the run.
        form: The export form of the task.
        columns: Columns of the rows, as ``predictions/val.parquet`` has them.
        expected: Numbers [N, K] of the rows by the checkpoint.
        rows: What is read of the rows.
    """

    scorer: Scorer
    task: Task
    form: ExportForm
    columns: Mapping[str, list[Any]]
    expected: np.ndarray
    rows: Examples

    @property
    def read(self) -> tuple[list[str], list[str] | None, Pictures | None]:
        """Texts, second texts and pictures of the rows."""
        return self.rows.texts, self.rows.text_pairs, self.rows.pictures

    @property
    def inputs(self) -> dict[str, torch.Tensor]:
        """Inputs of an ONNX graph; see ``graph_inputs``."""
        size = 0 if self.rows.pictures is None else self.rows.pictures.store.picture(0).shape[0]
        return onnx.graph_inputs(self.scorer.learner.model, self.scorer.with_token_types, size)

    @property
    def temperature(self) -> float:
        """The temperature that the logits are divided by."""
        return self.scorer.calibration.get("temperature", 1.0)

    def answers(self, numbers: np.ndarray) -> dict[str, list[Any]]:
        """Return columns of answers from the numbers [N, K] of an exported model."""
        return self.task.answers({self.form.output: numbers}, {})

    def measure(self, numbers: np.ndarray) -> tuple[str, float]:
        """Return the name and the value of the task's first metric over the rows."""
        name = next(iter(self.task.compared))
        return name, float(self.task.measure_columns({**self.columns, **self.answers(numbers)})[name])


def write_numbers(cfg: DictConfig, saved: SavedRun) -> Callable[[Path], dict[str, Any]]:
    """Return a function that writes the export of a run with numbers into a folder and returns what was checked.

    The function raises a UserError if the numbers differ. Of several tasks the first with numbers is exported.
    """
    scorer = replace(load_scorer(saved), dtype=torch.float32)
    task, form = next((task, task.form) for task in scorer.tasks.values() if task.form is not None)
    columns = pq.read_table(record.predictions_path(saved.folder, VAL)).to_pydict()
    rows = Examples.unlabelled(columns["text"], columns.get("text_pair"))
    rows = replace(rows, pictures=validation_pictures(saved, columns["text"]))
    expected = task.numbers(scorer.outputs_of(rows, answered=False), scorer.calibration)  # before the model is changed
    trimmed: dict[str, Any] = {}
    if cfg.vocabulary == "used":
        pieces = len(scorer.tokenizer)
        scorer = _with_used_vocabulary(scorer, saved)
        trimmed = {"pieces": len(scorer.tokenizer), "pieces_before": pieces}
    exported = _Exported(scorer, task, form, columns, expected, rows)

    def make(folder: Path) -> dict[str, Any]:
        checked = trimmed | _MAKERS[cfg.to](exported, folder)
        record.write_text(folder / "README.md", _card(cfg.to, saved, exported, checked))
        return checked

    return make


def _with_used_vocabulary(scorer: Scorer, saved: SavedRun) -> Scorer:
    """Return the run with the pieces of its data alone; the data is read again."""
    datamodule = build_datamodule(settled(saved.config), open_pretrained(saved.config, saved.backbone), plan=None)
    datamodule.load()
    splits = datamodule.splits.values()
    texts = (text for examples in splits for part in (examples.texts, examples.text_pairs or ()) for text in part)
    return replace(scorer, tokenizer=trim_vocabulary(scorer.learner.model, scorer.tokenizer, texts))  # type: ignore[arg-type]


def _to_huggingface(exported: _Exported, folder: Path) -> dict[str, Any]:
    scorer = exported.scorer
    model = as_transformers(scorer.learner.model, exported.form, exported.temperature)  # type: ignore[arg-type]
    save_folder(model, scorer.tokenizer, folder)
    numbers = pipeline_scores(folder, *exported.read[:2], scorer.max_length, exported.form)
    return _parity(exported, numbers)


def _to_onnx(exported: _Exported, folder: Path) -> dict[str, Any]:
    scorer = exported.scorer
    onnx.save_onnx(
        scorer.learner.model.cpu(),
        scorer.tokenizer,
        exported.form,
        temperature=exported.temperature,
        max_length=scorer.max_length,
        inputs=exported.inputs,
        folder=folder,
    )
    return _parity(exported, onnx.OnnxModel(folder).score(*exported.read)) | {"opset": onnx.OPSET}


def _to_int8(exported: _Exported, folder: Path) -> dict[str, Any]:
    """Export in int8; its answers differ, so the difference is reported, and no limit is checked."""
    plain = folder.with_name(f"{folder.name}-fp32")
    try:
        parity = _to_onnx(exported, plain)
        onnx.quantize(plain, folder)
        models = [onnx.OnnxModel(path) for path in (plain, folder)]
        numbers = [model.score(*exported.read) for model in models]
        seconds = onnx.seconds_to_score(models, *exported.read)
        (name, fp32), (_, int8) = (exported.measure(scores) for scores in numbers)
        sizes = [onnx.folder_bytes(path) / 2**20 for path in (plain, folder)]
    finally:
        shutil.rmtree(plain, ignore_errors=True)
    return {
        **{"rows": parity["rows"], "opset": parity["opset"], "fp32_mib": sizes[0], "int8_mib": sizes[1]},
        **{"times_faster_than_onnx_fp32": seconds[0] / seconds[1], f"fp32_{name}": fp32, f"int8_{name}": int8},
        **{f"{name}_difference": int8 - fp32, **_compare(exported, *numbers)},
    }


_MAKERS: dict[str, Callable[[_Exported, Path], dict[str, Any]]] = {
    "huggingface": _to_huggingface,
    "onnx": _to_onnx,
    "onnx_int8": _to_int8,
}


def _compare(exported: _Exported, expected: np.ndarray, numbers: np.ndarray) -> dict[str, Any]:
    """Return the share of rows with the same label, if rows have labels, and the largest difference of numbers."""
    pairs = list(zip(*(exported.answers(scores)[PREDICTION] for scores in (expected, numbers)), strict=True))
    is_number = isinstance(pairs[0][0], float)
    agree = {} if is_number else {"labels_agree": sum(label == other for label, other in pairs) / len(pairs)}
    return {**agree, "largest_difference": float(np.abs(expected - numbers).max())}


def _parity(exported: _Exported, numbers: np.ndarray) -> dict[str, Any]:
    """Compare the numbers [N, K] of an fp32 export with those of the checkpoint; raise a UserError if they differ."""
    expected = exported.expected
    compared = {"rows": len(expected), **_compare(exported, expected, numbers)}
    bound = _LARGEST_DIFFERENCE * max(1.0, float(np.abs(expected).max()))
    if compared.get("labels_agree", 1) < 1 or compared["largest_difference"] > bound:
        raise UserError(
            "to",
            found=f"an export that differs from the checkpoint on validation ({compared})",
            expected=f"the same labels and numbers within {bound:g}",
            fix="report this with the run's config.yaml; nothing was kept",
        )
    return compared


def _intervals(run_dir: Path, task: Task) -> dict[str, Mapping[str, Sequence[float]]]:
    """Return 95 % intervals of the metrics of each split."""
    paths = {split: record.predictions_path(run_dir, split) for split in SPLITS}
    return {split: task.intervals(pq.read_table(path).to_pydict()) for split, path in paths.items() if path.is_file()}


def _card(to: str, saved: SavedRun, exported: _Exported, parity: Mapping[str, Any]) -> str:
    run_dir = saved.folder
    backbone, environment = saved.config.model.pretrained, record.read_json(run_dir / record.ENVIRONMENT)
    return model_card(
        {
            "name": run_dir.name,
            "to": to,
            "form": exported.form,
            "monitor": record.read_tasks(run_dir).monitor,
            "intervals": _intervals(run_dir, exported.task),
            "result": record.read_json(run_dir / record.RESULT),
            "environment": environment,
            "command": record.command_line(environment),
            "data_report": record.read_json(run_dir / record.DATA_REPORT),
            "backbone": _named(backbone),
            "max_length": exported.scorer.max_length,
            "calibration": saved.calibration,
            "parity": parity,
            "opset": onnx.OPSET,
            "inputs": exported.inputs,
        }
    )


def _named(pretrained: Any) -> str:
    """Return the name of a pretrained model, or of the function that makes it and of what it makes it from."""
    if isinstance(pretrained, str):
        return pretrained
    source = f" of {_named(pretrained['pretrained'])}" if "pretrained" in pretrained else ""
    return f"{pretrained['_target_'].rpartition('.')[2]}{source}"
