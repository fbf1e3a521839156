"""Scores a saved checkpoint on the data of its run, or on other data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pyarrow as pa
import pyarrow.parquet as pq
from omegaconf import DictConfig, OmegaConf

from lit_humor.callbacks.predictions import PredictionWriter
from lit_humor.callbacks.progress import EpochProgress
from lit_humor.config.command import typed_overrides
from lit_humor.config.saved import SavedRun, no_run, open_run
from lit_humor.core.batch import TEST, TRAIN, VAL
from lit_humor.core.errors import UserError
from lit_humor.core.settings import command_line, setting, typed
from lit_humor.data.dividing.fitness import check_positions, notes_on_labels
from lit_humor.data.examples import Examples, Failure
from lit_humor.data.reading.columns import Columns, no_pairs
from lit_humor.data.settings import DataSettings
from lit_humor.engine import factory, tables
from lit_humor.engine.libraries import set_up_libraries
from lit_humor.engine.training import score
from lit_humor.inference.loading import TrainedRun, load_run
from lit_humor.inference.souping import make_soup
from lit_humor.runs import record, screen
from lit_humor.tasks.answers import PREDICTION, only_exported, only_scored_alone, own_columns
from lit_humor.tasks.task import Task, definitions_of, join_results

_NOT = "leave calibrate out"
_SHOWN = 20  # rows that could not be scored; all of them are in result.json


def evaluate(cfg: DictConfig) -> None:
    """Load a run, score one split on one device, write and show results and predictions.

    With ``passes`` above 1, each further pass reads every text with the answers so far; see ``Task.asked_again``.

    Raises:
        UserError: There is no such run, checkpoint or split.
    """
    set_up_libraries()
    if cfg.soup:
        make_soup(cfg)
        return
    if cfg.runs:
        _take_together(cfg)
        return
    if cfg.passes < 1:
        raise UserError("passes", found=str(cfg.passes), expected="at least 1", fix="set passes=1")
    saved = open_run(_run_folder(cfg))
    run = load_run(saved, cfg.ckpt, _other_data(cfg, saved))
    calibrated = only_exported(run.learner.tasks.values(), "calibrate", _NOT) if cfg.calibrate else None
    split = _choose_split(run, cfg.split)
    if cfg.data is not None:
        _check_labels(run.datamodule.splits[split], are_names_of_run=cfg.data.get("label_names") is None)
    origin = run.datamodule.splits[split].origin
    name = f"{'own' if cfg.data is None else _file_name(origin)}-{split}{f'-{cfg.passes}-passes' * (cfg.passes > 1)}"
    folder = Path(cfg.output or run.folder / "eval" / name)
    trainer = pl.Trainer(
        devices=1,  # several devices would give the same results, but evaluation is fast enough on one
        precision=run.precision,  # type: ignore[arg-type]
        callbacks=[EpochProgress(), PredictionWriter(str(folder))],
        logger=False,
        enable_model_summary=False,
    )
    results = score(trainer, run.learner, run.datamodule, split)
    texts, given = run.datamodule.splits[split].texts, list[list[str]]()
    for _ in range(cfg.passes - 1):
        _ask_again(run, split, texts, folder, given)
        results = score(trainer, run.learner, run.datamodule, split)
    record.write_json(folder / record.TASKS, record.read_tasks(run.folder).to_json())
    failures = run.datamodule.splits[split].failures
    _write(run.learner.tasks, folder, split, results, origin, cfg.ckpt or "best", failures)
    if calibrated is not None:
        _calibrate(calibrated, folder, split)


def _check_labels(examples: Examples, are_names_of_run: bool) -> None:
    """Show how labels of other data were read; check that numbers can be positions of the run's classes."""
    if are_names_of_run:
        check_positions(examples)
    if notes := notes_on_labels({"": examples}):
        screen.show(*notes)


def _write(
    tasks: Mapping[str, Task],
    folder: Path,
    split: str,
    results: dict[str, Any],
    origin: str,
    checkpoint: str,
    failures: Sequence[Failure] = (),
) -> None:
    """Write and show results, with the rows that could not be scored, which no number counts."""
    content: dict[str, Any] = {"results": {split: results}, "origin": origin}
    if failures:
        content["failures"] = [failure._asdict() for failure in failures]
        caption = f"{split}: {len(failures)} rows could not be scored; no number counts them"
        screen.show(screen.table(caption, Failure._fields, failures[:_SHOWN]))
    record.write_json(
        folder / record.RESULT, content | {"definitions": definitions_of(tasks), "checkpoint": checkpoint}
    )
    shown = tables.result_tables(tasks, f"{split} ({origin})", results, None)
    screen.show(*shown, f"Result and predictions: {folder}")


def _calibrate(task: Task, folder: Path, split: str) -> None:
    """Fit temperature and threshold on the rows that were scored, and keep them for predict.py."""
    calibration, shown = task.calibrate(pq.read_table(record.predictions_path(folder, split)).to_pydict())
    record.write_json(folder / record.CALIBRATION, calibration)
    fitted = ", ".join(f"{name} {value:.3f}" for name, value in calibration.items())
    used = f"predict.py calibration={folder} threshold=tuned"
    screen.show(*(screen.table(*one) for one in shown), f"Fitted: {fitted}. Use them: {used}")


def _ask_again(run: TrainedRun, split: str, texts: Sequence[str], folder: Path, given: list[list[str]]) -> None:
    """Add the answers of the last pass to those of the passes before, and put all of them into the texts."""
    columns = pq.read_table(record.predictions_path(folder, split)).to_pydict()
    if PREDICTION not in columns:
        found, expected = f"no answers that were written in split '{split}'", "a split whose rows are answered"
        raise UserError("passes", found=found, expected=expected, fix=f"set passes=1, or set split={TEST}")
    given.append(columns[PREDICTION])
    task = next(task for task in run.learner.tasks.values() if task.answers_texts)
    asked = [task.asked_again(text, answers) for text, *answers in zip(texts, *given, strict=True)]
    run.datamodule.replace_texts(split, asked)


def _take_together(cfg: DictConfig) -> None:
    """Score the predictions of several models, each for other rows, together, as if of one model."""
    runs = [open_run(name) for name in cfg.runs]
    folders = [run.folder for run in runs]
    of_runs = [factory.build_tasks(run.config, run.class_names) for run in runs]
    for tasks in of_runs:
        only_scored_alone(tasks.values(), "runs", f"leave runs out and set {typed('run', str(folders[0]))}")
    split = cfg.split or (TEST if record.predictions_path(folders[0], TEST).is_file() else VAL)
    missing = [folder for folder in folders if not record.predictions_path(folder, split).is_file()]
    if missing or not cfg.output:
        others = [
            name for name in (TRAIN, VAL, TEST) if all(record.predictions_path(f, name).is_file() for f in folders)
        ]
        fix = f"set {typed('output', f'{folders[0]}-together')}"
        if missing:
            fix = command_line("train", setting("resume", str(missing[0])))
        raise UserError(
            "runs" if missing else "output",
            found=f"no predictions of split '{split}' in {missing[0]}" if missing else "nothing",
            expected="runs that are done" if missing else "a folder for what all say together",
            fix=f"set split={others[-1]}" if missing and others else fix,
        )
    parts = [pq.read_table(record.predictions_path(folder, split)) for folder in folders]
    table = pa.concat_tables(parts, promote_options="default")
    ids = table["id"].to_pylist()
    if len(set(ids)) < len(ids):
        expected, both = "every row answered by one model", ",".join(map(str, folders[:2]))
        fix = (
            f"python src/lit_humor/report.py 'runs=[{both}]' compares them; for models that each answer a part, train "
        )
        fix += f"each with data.stages={len(folders)} data.stage=<1 to {len(folders)}> data.route=true"
        raise UserError("runs", found="rows that several of them answered", expected=expected, fix=fix)
    folder = Path(cfg.output)
    with record.replacing(record.predictions_path(folder, split)) as unfinished:
        pq.write_table(table, unfinished)
    columns = table.to_pydict()
    results = join_results(task.measure_columns(own_columns(name, columns)) for name, task in of_runs[0].items())
    record.write_json(folder / record.TASKS, record.read_tasks(folders[0]).to_json())
    _write(of_runs[0], folder, split, results, " + ".join(path.name for path in folders), "best")
    if cfg.calibrate:
        _calibrate(only_exported(of_runs[0].values(), "calibrate", _NOT), folder, split)


def _other_data(cfg: DictConfig, saved: SavedRun) -> DictConfig | None:
    """Return the data node of the command line; settings of columns and batches that are not typed are the run's."""
    if cfg.data is None:
        return None
    trained = saved.config
    typed = {override.lstrip("+").partition("=")[0] for override in typed_overrides()}
    data = cfg.data.copy()
    pair = OmegaConf.select(trained, "data.text_pair_column")
    if "data.text_pair_column" in typed and data.text_pair_column and not pair:
        raise no_pairs("data.text_pair_column", data.text_pair_column)
    for name in ("quoting", *(field.name for field in (*fields(DataSettings), *fields(Columns)))):
        if f"data.{name}" not in typed and name in data and name in trained.data:
            data[name] = trained.data[name]
    if "data.split_similarity" not in typed and "split_similarity" not in trained.data:
        data.split_similarity = DataSettings.split_similarity  # an older run: split rows as before this setting
    return data


def _file_name(origin: str) -> str:
    """Return the name of a file or data set as part of a folder's name."""
    return re.sub(r"[^\w.-]+", "-", Path(origin).stem if Path(origin).suffix else origin)


def _run_folder(cfg: DictConfig) -> str:
    """Return the run that is named, or that of the checkpoint."""
    if cfg.run:
        return cfg.run
    if cfg.ckpt and "://" not in cfg.ckpt:
        return str(Path(cfg.ckpt).absolute().parents[1])
    raise no_run(cfg.paths.logs_dir)


def _choose_split(run: TrainedRun, wanted: str | None) -> str:
    there = list(run.datamodule.splits)
    split = wanted or next((name for name in (TEST, VAL) if name in there), there[0])
    if split not in there:
        raise UserError("split", found=str(wanted), expected=f"one of {there}", fix=f"set split={there[-1]}")
    return split
