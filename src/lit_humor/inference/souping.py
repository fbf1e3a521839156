"""Averages the weights of checkpoints where the validation score does not fall (a greedy soup)."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from omegaconf import DictConfig

from lit_humor.callbacks.predictions import PredictionWriter
from lit_humor.callbacks.progress import EpochProgress
from lit_humor.config.saved import SavedRun, open_run
from lit_humor.core.batch import VAL
from lit_humor.core.errors import UserError
from lit_humor.core.remedies import free_path
from lit_humor.core.settings import typed
from lit_humor.engine import factory, tables
from lit_humor.engine.checkpoints import SafeCheckpointIO, place_of, read_checkpoint
from lit_humor.engine.configuration import settled
from lit_humor.engine.ending import set_state
from lit_humor.engine.results import scored_splits
from lit_humor.engine.training import score
from lit_humor.engine.weights import load_weights
from lit_humor.inference.loading import TrainedRun, load_run
from lit_humor.runs import record, screen
from lit_humor.tasks.task import definitions_of

_SWEEP = "sweep.json"  # in the folder of a set of runs
_COPIED = (record.CONFIG, record.ENVIRONMENT, record.STATUS, record.DATA_REPORT, record.LABELS, record.TASKS)

State = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class _Ingredient:
    """A checkpoint with its validation score, the score of the soup with it, and whether it stays in it."""

    path: Path
    alone: float
    together: float = 0.0
    is_kept: bool = True


def make_soup(cfg: DictConfig) -> None:
    """Write the run folder ``cfg.output`` with averaged weights, which all commands read, and show what is in it.

    Checkpoints are tried in the order of their validation scores: each is added to the average if the score of the
    average on the validation rows is at least what it was without.

    Formula: the mean of the weights of the checkpoints that stay, each weighing the same.
    Source: Wortsman et al. 2022, Model soups, algorithm 1.
    Cost: two passes over the validation rows for each checkpoint; use costs what one model does.
    Alternatives: ``predict.py runs=[...]`` takes the mean of the answers, of any models, at the cost of all of them.

    Raises:
        UserError: There are fewer than two checkpoints, they are of other models or data, or the folder is there.
    """
    output, paths = _check_output(cfg), checkpoints_of(cfg)
    saved = open_run(str(paths[0].absolute().parents[1]))
    _check(paths)
    run, tasks = load_run(saved), record.read_tasks(saved.folder)
    kitchen = _Kitchen(run, saved, tasks.score, 1 if tasks.mode == "max" else -1)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".unfinished-") as temporary:
        folder = Path(temporary) / output.name
        for name in (name for name in _COPIED if (saved.folder / name).is_file()):
            folder.mkdir(exist_ok=True)
            shutil.copy(saved.folder / name, folder / name)
        shutil.copytree(saved.folder / record.BACKBONE, folder / record.BACKBONE)
        best = folder / record.CHECKPOINTS / record.BEST
        tried = kitchen.cook(paths, best)
        results = kitchen.score_all(folder)
        _write(folder, run, tried, results, tasks.monitor)
        folder.rename(output)
    rows = [(one.path, one.alone, one.together, "yes" if one.is_kept else "no") for one in tried]
    columns = ("checkpoint", f"val {tasks.score}", "soup with it", "kept")
    screen.show(screen.table(f"Soup of {sum(one.is_kept for one in tried)} checkpoints", columns, rows))
    for split, measured in results.items():
        screen.show(*tables.result_tables(run.learner.tasks, split, measured, None))
    screen.show(f"Run folder: {output}. Its val rows chose the checkpoints, so their numbers are slightly too good.")


def checkpoints_of(cfg: DictConfig) -> list[Path]:
    """Return the checkpoints of ``cfg.run``, or the best ones of ``cfg.runs``: runs, sets of runs, and checkpoints.

    Raises:
        UserError: There are fewer than two.
    """
    if not cfg.runs:
        files = sorted(
            (Path(cfg.run or ".") / record.CHECKPOINTS).glob("*.ckpt"), key=lambda path: path.name != record.BEST
        )
        steps = {place_of(path)[0]: path for path in reversed(files) if path.name != record.FINITE}  # one of each step
        found, fix = list(steps.values()), "leave soup out"
    else:
        found = [path for name in cfg.runs for path in _named(str(name), Path(cfg.paths.logs_dir))]
        found = list(dict.fromkeys(found))
        fix = f"leave runs out and set {typed('run', str(found[0].parents[1]))}" if found else "leave runs out"
    if len(found) < 2:
        where, expected = "runs" if cfg.runs else "run", "at least two with weights to average"
        raise UserError(where, found=f"{len(found)} checkpoints", expected=expected, fix=fix)
    return found


def _named(name: str, logs_dir: Path) -> list[Path]:
    """Return the checkpoint of a name, the best of a run, or the best ones of a set of runs."""
    if name.endswith(".ckpt"):
        return [Path(name)]
    for folder in (Path(name), logs_dir / name):
        if (folder / _SWEEP).is_file():
            runs = [folder.parent / run for run in record.read_json(folder / _SWEEP)["runs"]]
            return [path for run in runs if (path := _best_of(run)).is_file()]
    return [open_run(name).best]


def _best_of(folder: Path) -> Path:
    return folder / record.CHECKPOINTS / record.BEST


class _Kitchen:
    """Scores weights of one model.

    Args:
        run: The model and its data.
        saved: Its run.
        score: Name of the number that chooses checkpoints.
        sign: 1 if a high number is better, -1 if a low one is.
    """

    def __init__(self, run: TrainedRun, saved: SavedRun, score: str, sign: int) -> None:
        self.run, self.number, self.sign = run, score, sign
        self.load_table = lambda: factory.resolve_pretrained(settled(saved.config)).load_table()

    def cook(self, paths: Sequence[Path], best: Path) -> list[_Ingredient]:
        """Write the soup to ``best``; return the checkpoints in the order in which they were tried."""
        ranked = sorted(
            (_Ingredient(path, self.validate(path)) for path in paths), key=lambda one: -self.sign * one.alone
        )
        tried, soup = [replace(ranked[0], together=ranked[0].alone)], read_checkpoint(ranked[0].path)
        self._save(best, soup, soup["state_dict"])
        kept, reached = [soup["state_dict"]], ranked[0].alone
        candidate = best.with_name("candidate.ckpt")
        for one in ranked[1:]:
            more = [*kept, read_checkpoint(one.path)["state_dict"]]
            self._save(candidate, soup, mean_of(more))
            together = self.validate(candidate)
            is_kept = self.sign * (together - reached) >= 0
            tried.append(replace(one, together=together, is_kept=is_kept))
            if is_kept:
                kept, reached = more, together
                self._save(best, soup, mean_of(more))
        SafeCheckpointIO().remove_checkpoint(candidate)
        load_weights(self.run.learner, best, self.load_table)
        return tried

    def validate(self, path: Path) -> float:
        """Return the validation score of a checkpoint."""
        load_weights(self.run.learner, path, self.load_table)
        return float(score(self._trainer([]), self.run.learner, self.run.datamodule, VAL)[self.number])

    def score_all(self, folder: Path) -> dict[str, Any]:
        """Return the results of all splits with the current weights, and write predictions."""
        trainer = self._trainer([PredictionWriter(str(folder))])
        splits = scored_splits(self.run.datamodule)
        return {split: score(trainer, self.run.learner, self.run.datamodule, split) for split in splits}

    def _trainer(self, callbacks: Sequence[pl.Callback]) -> pl.Trainer:
        return pl.Trainer(
            devices=1,
            precision=self.run.precision,  # type: ignore[arg-type]
            callbacks=[EpochProgress(), *callbacks],
            logger=False,
            enable_model_summary=False,
        )

    def _save(self, path: Path, of: Mapping[str, Any], state: State) -> None:
        kept = {name: of[name] for name in ("epoch", "global_step", "pytorch-lightning_version") if name in of}
        path.parent.mkdir(parents=True, exist_ok=True)
        SafeCheckpointIO().save_checkpoint({**kept, "state_dict": dict(state)}, path)


def mean_of(states: Sequence[State]) -> dict[str, torch.Tensor]:
    """Return the mean of weights by name, computed in fp64; what is no fraction is that of the first."""
    return {
        name: torch.stack([state[name].double() for state in states]).mean(dim=0).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in states[0].items()
    }


def _check_output(cfg: DictConfig) -> Path:
    """Return the folder to write."""
    first = Path(str((cfg.runs or [cfg.run or "run"])[0]))
    if not cfg.output or Path(cfg.output).exists():
        found = "a folder there already" if cfg.output else "nothing"
        new = free_path(Path(cfg.output or Path(cfg.paths.logs_dir) / f"{first.name.removesuffix('.ckpt')}-soup"))
        raise UserError(
            "output", found=found, expected="a new folder for the soup", fix=f"set {typed('output', str(new))}"
        )
    return Path(cfg.output)


def _check(paths: Sequence[Path]) -> None:
    """Check that checkpoints have weights of the same names and sizes, from the same rows.

    Raises:
        UserError: They have not.
    """
    facts = {path: _facts(path) for path in paths}
    alike = [str(path) for path in paths if facts[path] == facts[paths[0]]]
    other = next((path for path in paths if str(path) not in alike), None)
    if other is not None:
        is_model = facts[other][0] != facts[paths[0]][0]
        found = f"{other}, {'of another model' if is_model else 'trained on other rows'} than {paths[0]}"
        fix = f"set {typed('runs', alike)}"
        if len(alike) == 1:
            fix = f"leave runs out and set {typed('run', str(paths[0].absolute().parents[1]))}"
        raise UserError("runs", found=found, expected="checkpoints of one model and one data set", fix=fix)


def _facts(path: Path) -> tuple[Any, Any]:
    """Return what checkpoints must have in common: names, shapes and whole numbers of weights; a hash of the rows."""
    state = read_checkpoint(path, mmap=True)["state_dict"]
    shapes = {
        name: tuple(value.shape) if value.is_floating_point() else value.tolist() for name, value in state.items()
    }
    report = path.absolute().parents[1] / record.DATA_REPORT
    return shapes, record.read_json(report).get("fingerprint") if report.is_file() else None


def _write(
    folder: Path, run: TrainedRun, tried: Sequence[_Ingredient], results: Mapping[str, Any], monitor: str
) -> None:
    """Write results and how the soup was made."""
    before = record.read_json(run.folder / record.RESULT) if (run.folder / record.RESULT).is_file() else {}
    reached = [one.together for one in tried if one.is_kept][-1]
    soup = [
        {"checkpoint": str(one.path.absolute()), "alone": one.alone, "together": one.together, "kept": one.is_kept}
        for one in tried
    ]
    content = {"baseline": None, **before, "results": results, "definitions": definitions_of(run.learner.tasks)}
    record.write_json(folder / record.RESULT, content | {"best": {"monitor": monitor, "score": reached}, "soup": soup})
    environment = record.read_json(folder / record.ENVIRONMENT) | {"command": [Path(sys.argv[0]).name, *sys.argv[1:]]}
    record.write_json(folder / record.ENVIRONMENT, environment)
    set_state(folder, record.DONE)
