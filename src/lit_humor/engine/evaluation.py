"""Score a saved checkpoint on the data of its run, or on any other."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import lightning.pytorch as pl
from omegaconf import DictConfig

from lit_humor.callbacks.predictions import PredictionWriter
from lit_humor.callbacks.progress import EpochProgress
from lit_humor.core.batch import TEST, VAL
from lit_humor.core.errors import UserError
from lit_humor.data.datamodule import DataSettings
from lit_humor.data.examples import Columns
from lit_humor.engine import screen
from lit_humor.engine.cli import typed_overrides
from lit_humor.engine.factory import TrainedRun, load_run
from lit_humor.engine.rundir import open_run_dir
from lit_humor.engine.training import quiet_libraries, score
from lit_humor.metrics.classification import DEFINITIONS
from lit_humor.runs import record


def evaluate(cfg: DictConfig) -> None:
    """Load a run, score one split on one device, write result and predictions, show them."""
    quiet_libraries()
    run = load_run(_run_folder(cfg), cfg.ckpt, _other_data(cfg))
    split = _choose_split(run, cfg.split)
    origin = run.datamodule.splits[split].origin
    folder = Path(cfg.output or run.folder / "eval" / f"{'own' if cfg.data is None else _file_name(origin)}-{split}")
    trainer = pl.Trainer(
        devices=1,  # several would count the rows right as well, but nothing here takes long enough to need them
        precision=run.precision,  # type: ignore[arg-type]
        callbacks=[EpochProgress(), PredictionWriter(str(folder))],
        logger=False,
        enable_model_summary=False,
    )
    results = score(trainer, run.learner, run.datamodule, split, checkpoint=None)
    record.write_json(
        folder / record.RESULT,
        {
            "results": {split: results},
            "origin": origin,
            "definitions": DEFINITIONS,
            "checkpoint": cfg.ckpt or "best",
        },
    )
    screen.show(*screen.result_tables(f"{split} ({origin})", results, None), f"Result and predictions: {folder}")


def _other_data(cfg: DictConfig) -> DictConfig | None:
    """The data named on the command line, with columns and batches as in the run unless they are set beside it."""
    if cfg.data is None:
        return None
    _, trained = open_run_dir(_run_folder(cfg))
    typed = {override.lstrip("+").partition("=")[0] for override in typed_overrides()}
    data = cfg.data.copy()
    for name in (field.name for field in (*fields(DataSettings), *fields(Columns))):
        if f"data.{name}" not in typed and name in data and name in trained.data:
            data[name] = trained.data[name]
    return data


def _file_name(origin: str) -> str:
    """What a file or data set is called, as part of a folder's name."""
    return re.sub(r"[^\w.-]+", "-", Path(origin).stem if Path(origin).suffix else origin)


def _run_folder(cfg: DictConfig) -> str:
    """The run named, or the one that the checkpoint lies in."""
    if cfg.run:
        return cfg.run
    if cfg.ckpt and "://" not in cfg.ckpt:
        return str(Path(cfg.ckpt).absolute().parents[1])
    raise UserError(
        "run", found="no run", expected="run=<folder> or ckpt=<run folder>/checkpoints/<file>", fix="ls logs"
    )


def _choose_split(run: TrainedRun, wanted: str | None) -> str:
    there = list(run.datamodule.splits)
    split = wanted or next((name for name in (TEST, VAL) if name in there), there[0])
    if split not in there:
        raise UserError("split", found=str(wanted), expected=f"one of {there}", fix=f"set split={there[-1]}")
    return split
