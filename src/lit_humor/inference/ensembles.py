"""Several runs that answer together: the mean of their numbers. Legend: N rows, K numbers of a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from lit_humor.config.saved import SavedRun, open_run
from lit_humor.core.errors import UserError
from lit_humor.core.settings import typed
from lit_humor.data.examples import Examples
from lit_humor.engine.factory import build_tasks
from lit_humor.inference.scoring import Scorer, load_scorer
from lit_humor.tasks.answers import only_exported


@dataclass(frozen=True)
class Ensemble(Scorer):
    """Scores texts with several runs of the same task: the mean of their numbers, each with its calibration.

    Source: Lakshminarayanan et al. 2017, Simple and scalable predictive uncertainty estimation using deep ensembles.
    Cost: time and memory of all members.
    Alternatives: a soup (``eval.py soup=true``) and a student (``objective=distillation``) cost what one model does.

    Attributes:
        members: The runs; the first one stands for all in other respects.
    """

    members: tuple[Scorer, ...] = ()

    def outputs_of(
        self, examples: Examples, on_batch: Callable[[int], None] | None = None, *, answered: bool = True
    ) -> dict[str, np.ndarray]:
        """Return the mean [N, K] of the members' numbers, under the name that it has in the outputs of one."""
        (task,) = self.tasks.values()
        assert task.form is not None, "load_together has checked it"
        numbers = [
            task.numbers(
                member.outputs_of(examples, None if index else on_batch, answered=answered), member.calibration
            )
            for index, member in enumerate(self.members)
        ]
        return {task.form.output: np.mean(numbers, axis=0)}


def load_together(cfg: DictConfig, saved: SavedRun) -> Scorer:
    """Load the run of ``predict.py``, or those of ``runs=``.

    Args:
        cfg: Configuration of ``predict.py``.
        saved: The run, the first of several.

    Raises:
        UserError: Runs have other tasks or classes than the first.
    """
    if not cfg.runs:
        return load_scorer(saved, cfg.ckpt)
    runs = [saved, *(open_run(name) for name in cfg.runs[1:])]
    only_exported(build_tasks(saved.config, saved.class_names).values(), "runs", _alone(saved))
    facts = [_answers(run) for run in runs]
    for run, own in zip(runs, facts, strict=True):
        if own != facts[0]:
            alike = [str(one.folder) for one, other in zip(runs, facts, strict=True) if other == facts[0]]
            found, expected = f"{run.folder}, a run of {own}", f"runs of {facts[0]}, as the first"
            raise UserError("runs", found=found, expected=expected, fix=f"set {typed('runs', alike)}")
    first, *others = [load_scorer(run) for run in runs]
    return Ensemble(**(vars(first) | {"calibration": {}}), members=(first, *others))


def weights_of(cfg: DictConfig, saved: SavedRun) -> list[Path]:
    """Return the checkpoints that ``load_together`` loads."""
    return [Path(cfg.ckpt or saved.best), *(open_run(name).best for name in (cfg.runs or [])[1:])]


def _answers(run: SavedRun) -> str:
    """Return what a run answers, in words."""
    kinds = " and ".join(task.kind for task in build_tasks(run.config, run.class_names).values())
    return f"{kinds}, {list(run.class_names)}" if run.class_names else kinds


def _alone(run: SavedRun) -> str:
    return f"leave runs out and set {typed('run', str(run.folder))}"
