"""The command that exports a trained run for other programs, and checks that they give the same answers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from lit_humor.config.saved import SavedRun, no_run, open_run
from lit_humor.config.validate import unknown_value
from lit_humor.core.batch import VAL
from lit_humor.core.errors import UserError
from lit_humor.core.remedies import free_path
from lit_humor.core.settings import command_line, setting, typed
from lit_humor.engine.factory import build_tasks
from lit_humor.engine.libraries import set_up_libraries
from lit_humor.exporters.hub import check_repository, push_folder
from lit_humor.inference.exporting_fused import is_fused, write_fused
from lit_humor.inference.exporting_numbers import write_numbers
from lit_humor.inference.exporting_texts import write_writer
from lit_humor.inference.exporting_vectors import check_embeds, write_embedder
from lit_humor.inference.exporting_vision import HUGGINGFACE, MERGED, reads_vision, write_vision
from lit_humor.inference.pictures import only_of_texts
from lit_humor.runs import record, screen
from lit_humor.tasks.answers import only_exported
from lit_humor.tasks.embedding import Embedding
from lit_humor.tasks.generation import Generation

SENTENCE_TRANSFORMERS = "sentence_transformers"
TARGETS = (HUGGINGFACE, "onnx", "onnx_int8", SENTENCE_TRANSFORMERS, MERGED)
VOCABULARIES = ("all", "used")
PARITY = "parity.json"


def export(cfg: DictConfig) -> None:
    """Export the best weights of ``cfg.run``; an export whose answers differ is removed again."""
    set_up_libraries()
    if cfg.to not in TARGETS:
        raise unknown_value("to", str(cfg.to), TARGETS)
    if cfg.vocabulary not in VOCABULARIES:
        raise unknown_value("vocabulary", cfg.vocabulary, VOCABULARIES)
    if not cfg.run:
        raise no_run(cfg.paths.logs_dir)
    if cfg.push:
        check_repository(cfg.push)
    saved = open_run(cfg.run)
    maker = _find_maker(cfg, saved)
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
    make = maker(saved)
    unfinished = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        checked = make(unfinished)
        record.write_json(unfinished / PARITY, checked)
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    for path in target.iterdir():
        path.chmod(path.stat().st_mode | (target / "README.md").stat().st_mode)  # safetensors lets only the owner read
    rows = [(name.replace("_", " "), _as_text(name, value)) for name, value in checked.items()]
    screen.show(screen.table("Checked on validation", ("what", "found"), rows), f"Exported: {target}")
    if cfg.push:
        screen.show(f"On the hub: {push_folder(target, cfg.push, private=cfg.private)}")


def _find_maker(cfg: DictConfig, saved: SavedRun) -> Callable[[SavedRun], Callable[[Path], dict[str, Any]]]:
    """Return what makes the export, or raise a UserError if no task of the run can be exported in that form."""
    if cfg.to == MERGED or reads_vision(saved):
        return lambda saved: write_vision(saved, cfg.to)
    two = is_fused(saved)
    if not two:
        only_of_texts(saved, f"run={cfg.run}")
    tasks = build_tasks(saved.config, saved.class_names).values()
    kinds = [task.kind for task in tasks]
    if cfg.to == SENTENCE_TRANSFORMERS:
        check_embeds(saved)
    is_writer = cfg.to == HUGGINGFACE and Generation.kind in kinds
    if cfg.vocabulary != "all" and (two or is_writer or cfg.to == SENTENCE_TRANSFORMERS):
        found = "a model of two encoders" if two else f"a run of {' and '.join(kinds)}"
        expected = "one of texts alone that gives numbers or classes"
        raise UserError(f"vocabulary={cfg.vocabulary}", found=found, expected=expected, fix="set vocabulary=all")
    if cfg.to == SENTENCE_TRANSFORMERS:
        return write_embedder
    if cfg.to == HUGGINGFACE and two:
        return write_fused
    if is_writer:
        return write_writer
    fix = command_line("predict", setting("run", str(saved.folder)), "text=...") + " uses it, or train one task alone"
    forms = {Generation.kind: HUGGINGFACE, Embedding.kind: SENTENCE_TRANSFORMERS}
    if other := next((to for kind, to in forms.items() if kind in kinds), None):
        fix = f"set to={other}"
    if not (two and any(task.form for task in tasks)):
        only_exported(tasks, f"run={cfg.run}", fix)
    return lambda saved: write_numbers(cfg, saved)


def _as_text(name: str, value: Any) -> str:
    if name == "labels_agree":
        return f"{value:.2%}"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
