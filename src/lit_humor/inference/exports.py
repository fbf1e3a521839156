"""The command that hands a trained run to other programs, and checks that they say the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from lit_humor.config.saved import SavedRun, no_run, open_run
from lit_humor.config.validate import unknown_value
from lit_humor.core.batch import VAL
from lit_humor.core.errors import UserError
from lit_humor.core.remedies import free_path
from lit_humor.core.settings import command_line, setting, typed
from lit_humor.engine.quiet import quiet_libraries
from lit_humor.exporters import onnx
from lit_humor.exporters.card import model_card
from lit_humor.exporters.hub import check_repository, push_folder
from lit_humor.exporters.huggingface import as_transformers, pipeline_scores, save_folder
from lit_humor.inference.scoring import Scorer, load_scorer
from lit_humor.metrics.confusion import count_confusion, scores_of
from lit_humor.reporting.classification.predictions import Predictions, read_predictions
from lit_humor.runs import record, screen

TARGETS = ("huggingface", "onnx", "onnx_int8")
PARITY = "parity.json"
_LARGEST_DIFFERENCE = 1e-4


def export(cfg: DictConfig) -> None:
    """Export the best weights of ``cfg.run``; what does not agree with them is removed again."""
    quiet_libraries()
    if cfg.to not in TARGETS:
        raise unknown_value("to", str(cfg.to), TARGETS)
    if not cfg.run:
        raise no_run(cfg.paths.logs_dir)
    if cfg.push:
        check_repository(cfg.push)
    saved = open_run(cfg.run)
    run_dir = saved.folder
    target = Path(cfg.output or run_dir / "export" / cfg.to)
    if target.exists():
        raise UserError(
            f"output={target}",
            found="a folder there already",
            expected="a new one",
            fix=f"set {typed('output', str(free_path(target)))}, or move that folder away",
        )
    val = record.predictions_path(run_dir, VAL)
    for needed in (val, run_dir / record.RESULT):
        if not needed.is_file():
            fix = command_line("train", setting("resume", str(run_dir)))
            raise UserError(f"run={cfg.run}", found=f"no {needed.name} in it", expected="a run that is done", fix=fix)
    scorer = replace(load_scorer(saved), dtype=torch.float32)  # as other programs will compute
    rows = read_predictions(val)
    unfinished = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        checked = _MAKERS[cfg.to](scorer, rows, unfinished)
        record.write_text(unfinished / "README.md", _card(cfg.to, saved, scorer, checked))
        record.write_json(unfinished / PARITY, checked)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    for path in target.iterdir():
        path.chmod((target / "README.md").stat().st_mode)  # safetensors' files may be read by their owner alone
    told = [(name.replace("_", " "), _told(name, value)) for name, value in checked.items()]
    screen.show(screen.table("Checked on validation", ("what", "found"), told), f"Exported: {target}")
    if cfg.push:
        screen.show(f"On the hub: {push_folder(target, cfg.push, private=cfg.private)}")


def _told(name: str, value: Any) -> str:
    if name == "labels_agree":
        return f"{value:.2%}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _to_huggingface(scorer: Scorer, rows: Predictions, folder: Path) -> dict[str, Any]:
    model = as_transformers(scorer.learner.model, scorer.class_names, scorer.temperature)  # type: ignore[arg-type]
    save_folder(model, scorer.tokenizer, folder)
    texts, pairs = _texts(rows)
    found = pipeline_scores(folder, texts, pairs, scorer.max_length, scorer.class_names)
    return _parity(scorer.score(texts, pairs), found)


def _to_onnx(scorer: Scorer, rows: Predictions, folder: Path) -> dict[str, Any]:
    texts, pairs = _texts(rows)
    expected = scorer.score(texts, pairs)  # before the model is moved and its attention changed
    onnx.save_onnx(
        scorer.learner.model.cpu(),  # type: ignore[arg-type]
        scorer.tokenizer,
        scorer.class_names,
        temperature=scorer.temperature,
        max_length=scorer.max_length,
        with_token_types=scorer.with_token_types,
        folder=folder,
    )
    return _parity(expected, onnx.OnnxClassifier(folder).score(texts, pairs)) | {"opset": onnx.OPSET}


def _to_int8(scorer: Scorer, rows: Predictions, folder: Path) -> dict[str, Any]:
    """int8 is not the same function: its loss is measured, not bounded."""
    plain = folder.with_name(f"{folder.name}-fp32")
    try:
        parity = _to_onnx(scorer, rows, plain)
        onnx.quantize(plain, folder)
        texts, pairs = _texts(rows)
        classifiers = [onnx.OnnxClassifier(one) for one in (plain, folder)]
        scores = [classifier.score(texts, pairs) for classifier in classifiers]
        seconds = onnx.seconds_to_score(classifiers, texts, pairs)
        f1 = [
            float(scores_of(count_confusion(rows.labels, one.argmax(axis=1), len(scorer.class_names)))["f1"])
            for one in scores
        ]
        sizes = [onnx.folder_bytes(one) / 2**20 for one in (plain, folder)]
    finally:
        shutil.rmtree(plain, ignore_errors=True)
    changed = _compare(scores[0], scores[1])
    return {
        **{"rows": parity["rows"], "opset": parity["opset"], "fp32_mib": sizes[0], "int8_mib": sizes[1]},
        **{"times_faster_than_onnx_fp32": seconds[0] / seconds[1], "fp32_f1": f1[0], "int8_f1": f1[1]},
        **{"f1_difference": f1[1] - f1[0], **changed},
    }


_MAKERS: dict[str, Callable[[Scorer, Predictions, Path], dict[str, Any]]] = {
    "huggingface": _to_huggingface,
    "onnx": _to_onnx,
    "onnx_int8": _to_int8,
}


def _texts(rows: Predictions) -> tuple[list[str], list[str] | None]:
    return list(rows.columns["text"]), list(rows.columns["text_pair"]) if "text_pair" in rows.columns else None


def _compare(expected: np.ndarray, found: np.ndarray) -> dict[str, Any]:
    agree = float((expected.argmax(axis=1) == found.argmax(axis=1)).mean())
    return {"labels_agree": agree, "largest_difference": float(np.abs(expected - found).max())}


def _parity(expected: np.ndarray, found: np.ndarray) -> dict[str, Any]:
    """Compare an exact export with the checkpoint; refuse one that differs."""
    compared = {"rows": len(expected), **_compare(expected, found)}
    if compared["labels_agree"] < 1 or compared["largest_difference"] > _LARGEST_DIFFERENCE:
        raise UserError(
            "to",
            found=f"an export that differs from the checkpoint on validation ({compared})",
            expected=f"the same labels and probabilities within {_LARGEST_DIFFERENCE}",
            fix="report this with the run's config.yaml; nothing was kept",
        )
    return compared


def _card(to: str, saved: SavedRun, scorer: Scorer, parity: Mapping[str, Any]) -> str:
    run_dir = saved.folder
    backbone, environment = saved.config.model.pretrained, record.read_json(run_dir / record.ENVIRONMENT)
    return model_card(
        {
            "name": run_dir.name,
            "to": to,
            "class_names": scorer.class_names,
            "result": record.read_json(run_dir / record.RESULT),
            "environment": environment,
            "command": record.command_line(environment),
            "data_report": record.read_json(run_dir / record.DATA_REPORT),
            "backbone": backbone if isinstance(backbone, str) else backbone["_target_"].rpartition(".")[2],
            "max_length": scorer.max_length,
            "temperature": scorer.temperature,
            "calibrated": bool(saved.calibration),
            "parity": parity,
            "opset": onnx.OPSET,
            "inputs": onnx.input_names(scorer.with_token_types),
        }
    )
