"""Computes what trained runs say of the rows of a training, once, before its first epoch; a student learns it.

Legend: N rows of a split, C classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.utilities.seed import isolate_rng

from lit_humor.config.saved import SavedRun, find_teachers, open_run
from lit_humor.core.batch import TRAIN, VAL
from lit_humor.core.errors import UserError
from lit_humor.core.files import replacing
from lit_humor.core.settings import typed
from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.data.examples import Examples
from lit_humor.data.preparing.soft_labels import PreparedSoftLabels
from lit_humor.engine.checkpoints import sum_of
from lit_humor.engine.factory import build_tasks
from lit_humor.inference.scoring import Scorer, load_scorer
from lit_humor.runs import record, screen

_FORMAT = 1  # increase when the content of the files changes
_PART_ROWS = 4096  # of a file; after an interruption, an unfinished part is computed again
_KEY = "objective.teachers"


def soft_labels(teachers: Sequence[str] | None) -> pl.Callback:
    """Return the callback that gives rows soft labels; None, for all losses but distillation: one that does nothing."""
    return pl.Callback() if teachers is None else SoftLabels(teachers)


class SoftLabels(pl.Callback):
    """Puts the mean of the teachers' numbers beside each row of training and validation.

    They are kept in ``soft_labels/`` of the cache, a file for each run and each 4,096 rows, named by hashes of its
    weights and configuration and of the rows; a later training with the same ones reads them. The scores at the end of
    a training are computed without them.

    Cost: one pass of each teacher over the rows; 4 C bytes of memory and of disk a row.

    Args:
        teachers: Run folders.

    Raises:
        UserError: There is no teacher, or no such run.
    """

    def __init__(self, teachers: Sequence[str]) -> None:
        self.teachers = find_teachers(teachers)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Compute the soft labels that are not there yet; the first process does, the others wait for it.

        Raises:
            UserError: A run was not trained to tell the classes of the data.
        """
        if stage != "fit":
            return
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(datamodule, HumorDataModule)
        runs = [open_run(folder) for folder in self.teachers]
        _check(runs, datamodule.class_names)
        for is_turn in (trainer.is_global_zero, not trainer.is_global_zero):
            if is_turn:
                self._add(datamodule, runs)
            trainer.strategy.barrier()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Have the scores at the end computed with the labels alone."""
        prepared = trainer.datamodule.prepared  # type: ignore[attr-defined]
        prepared |= {name: one.prepared for name, one in prepared.items() if isinstance(one, PreparedSoftLabels)}

    def _add(self, datamodule: HumorDataModule, runs: Sequence[SavedRun]) -> None:
        splits = {name: datamodule.splits[name] for name in (TRAIN, VAL) if name in datamodule.splits}
        sums = {name: np.zeros((len(rows), len(rows.class_names))) for name, rows in splits.items()}
        for run in runs:  # one in memory at a time
            teacher = _Teacher(run, Path(datamodule.settings.cache_dir) / "soft_labels")
            for name, rows in splits.items():
                sums[name] += teacher.label(rows)
        datamodule.prepared |= {
            name: PreparedSoftLabels(datamodule.prepared[name], (total / len(runs)).astype(np.float32))
            for name, total in sums.items()
        }


class _Teacher:
    """A run that labels rows; it is loaded when a part is not in the cache."""

    def __init__(self, run: SavedRun, cache_dir: Path) -> None:
        facts = (_FORMAT, sum_of(run.best), (run.folder / record.CONFIG).read_text(encoding="utf-8"))
        self.run, self.folder = run, cache_dir / hashlib.sha256(repr(facts).encode()).hexdigest()[:32]
        self._scorer: Scorer | None = None

    def label(self, rows: Examples) -> np.ndarray:
        """Return [N, C] float32, in the order of the rows' classes."""
        parts = [
            rows.take(range(start, min(start + _PART_ROWS, len(rows)))) for start in range(0, len(rows), _PART_ROWS)
        ]
        order = [self.run.class_names.index(name) for name in rows.class_names]
        return np.concatenate([self._part(part) for part in parts])[:, order]

    def _part(self, rows: Examples) -> np.ndarray:
        path = self.folder / f"{_digest(rows)}.npy"
        if not path.is_file():
            values = self._compute(rows)
            with replacing(path) as unfinished, unfinished.open("wb") as file:
                np.save(file, values)
        return np.load(path)

    def _compute(self, rows: Examples) -> np.ndarray:
        with isolate_rng():  # building a model sets the random numbers of the process
            if self._scorer is None:
                screen.show(f"{self.run.folder.name} labels the rows, once")
                self._scorer = load_scorer(self.run)
            (task,) = self._scorer.tasks.values()
            return task.numbers(self._scorer.outputs_of(rows, answered=False), {}).astype(np.float32)


def _digest(rows: Examples) -> str:
    """Return a hash of what a teacher may read of rows."""
    digest = hashlib.sha256(repr((rows.texts, rows.text_pairs)).encode("utf-8", "surrogatepass"))
    if rows.pictures is not None:
        digest.update(np.ascontiguousarray(rows.pictures.keys).data)
    return digest.hexdigest()[:32]


def _check(runs: Sequence[SavedRun], class_names: Sequence[str]) -> None:
    """Check that runs tell the classes of the data.

    Raises:
        UserError: One was trained for another task, or for other classes.
    """
    kinds = {str(run.folder): [task.form for task in build_tasks(run.config, run.class_names).values()] for run in runs}
    tell = [run for run in runs if [form and form.activation for form in kinds[str(run.folder)]] == ["softmax"]]
    fit = [run for run in tell if sorted(run.class_names) == sorted(class_names)]
    rest = [str(run.folder) for run in fit]
    fix = f"set {typed(_KEY, rest)}" if rest else f"leave {_KEY} away, and set objective=cross_entropy"
    for run in runs:
        where = f"{_KEY}={run.folder}"
        if run not in tell:
            found = f"a run of {' and '.join(record.read_tasks(run.folder).kinds)}"
            raise UserError(where, found=found, expected="one that tells classes apart", fix=fix)
        if run not in fit:
            found, expected = f"classes {list(run.class_names)}", f"{list(class_names)}, those of the data"
            raise UserError(where, found=found, expected=expected, fix=fix)
