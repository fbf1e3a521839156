"""Looks for good settings: Optuna proposes, the queue trains, and trials that fall behind are stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from lit_humor.core.batch import VAL
from lit_humor.core.errors import MissingExtraError, UserError
from lit_humor.launch.queue import Job
from lit_humor.runs import record
from lit_humor.runs.watch import look
from lit_humor.tasks.recorded import BEFORE_TASKS

_NUMBER = "number"
_DIRECTIONS: dict[str, Literal["minimize", "maximize"]] = {"max": "maximize", "min": "minimize"}
_RUN, _FAILED = "run", "failed"  # what is noted of a trial
_RECIPE = "recipe"  # what is noted of a study
_STARTUP_TRIALS = 4  # that no trial is stopped against, and that are drawn at random


class Search:
    """One study in a file: what was tried, what came of it, what to try next.

    Trials of a call that was killed are proposed again first; their runs go on from their checkpoints.

    Args:
        folder: Where ``study.log`` lies.
        space: By key of ``train.py`` what ``check_range`` made of its values.
        default: Of ``train.py``, as every trial starts from it; its ``monitor`` is what is to be high or low.
        count: How many trials in all, those of earlier calls included.
        make_job: Makes the job of a trial from its settings.

    Raises:
        MissingExtraError: Optuna is not installed.
    """

    def __init__(
        self,
        folder: Path,
        space: Mapping[str, Any],
        default: DictConfig,
        count: int,
        make_job: Callable[[list[str]], Job],
    ) -> None:
        try:
            import optuna
            from optuna.storages import JournalStorage
            from optuna.storages.journal import JournalFileBackend
        except ImportError:
            raise MissingExtraError("plan=search", package="optuna", extra="search") from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.space, self.count, self.make_job = space, count, make_job
        folder.mkdir(parents=True, exist_ok=True)
        self._states = optuna.trial.TrialState
        self.monitor = OmegaConf.select(default, "monitor") or BEFORE_TASKS.monitor
        mode = OmegaConf.select(default, "mode") or BEFORE_TASKS.mode
        self.study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(folder / "study.log"))),
            study_name="search",
            load_if_exists=True,
            direction=_DIRECTIONS[mode],
            sampler=optuna.samplers.TPESampler(n_startup_trials=_STARTUP_TRIALS, seed=0),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP_TRIALS, n_warmup_steps=1),
        )
        self._propose_first(default)
        self._open: list[tuple[Any, Job]] = []  # trials that have not ended; two of the same settings share a job

    def look_after(self, jobs: list[Job], num_slots: int) -> None:
        """Tell the study what has come of the jobs, stop what falls behind, and add jobs for slots that are free.

        Where nothing but failures came to an end nothing more is tried.
        """
        while True:
            self._open = [(trial, job) for trial, job in self._open if not self._has_ended(trial, job)]
            finished = self.finished()
            is_hopeless = bool(finished) and all(one.state == self._states.FAIL for one in finished)
            if is_hopeless or _num_going(jobs) >= num_slots or len(finished) + len(self._open) >= self.count:
                return
            trial = self.study.ask()
            settings = [f"{key}={self._suggest(trial, key)}" for key in self.space]
            made = self.make_job(settings)
            job = next((one for one in jobs if one.folder == made.folder), made)
            trial.set_user_attr(_RUN, job.folder.name)
            self._open.append((trial, job))
            if job is made:
                jobs.append(job)

    def finished(self) -> list[Any]:
        """Trials that came to an end, in order."""
        return [one for one in self.study.get_trials(deepcopy=False) if one.state.is_finished() and not _given_up(one)]

    @property
    def has_recipe(self) -> bool:
        """Whether the first trial has the settings as they are without a search."""
        return bool(self.study.user_attrs.get(_RECIPE))

    def _propose_first(self, default: DictConfig) -> None:
        """What a killed call left unfinished; in a new study the settings as they are, where they lie in the space."""
        for one in self.study.get_trials(deepcopy=False):
            if one.state == self._states.RUNNING:
                self.study.tell(one.number, state=self._states.FAIL)
                self.study.enqueue_trial(one.params)
        if not self.study.get_trials(deepcopy=False):
            values = {key: OmegaConf.select(default, key) for key in self.space}
            if all(_is_in(value, self.space[key]) for key, value in values.items()):
                self.study.enqueue_trial(values)
                self.study.set_user_attr(_RECIPE, True)

    def _suggest(self, trial: Any, key: str) -> Any:
        values = self.space[key]
        if isinstance(values, list):
            return trial.suggest_categorical(key, values)
        suggest = trial.suggest_int if values[_NUMBER] is int else trial.suggest_float
        return suggest(key, values["low"], values["high"], log=values["log"])

    def _has_ended(self, trial: Any, job: Job) -> bool:
        """Whether a job is over; the study knows then what came of it, and before that each epoch's score."""
        known = len(self.study.get_trials(deepcopy=False)[trial.number].intermediate_values)
        for epoch, value in list(enumerate(look(job.folder).series.get(self.monitor, [])))[known:]:
            trial.report(value, epoch)
            known += 1
        if job.state == record.RUNNING and known and not job.is_asked_to_stop and trial.should_prune():
            job.is_asked_to_stop = True
            record.ask_to_stop(job.folder)
        if job.state in (record.WAITING, record.RUNNING):
            return False
        if job.state == record.DONE:
            self.study.tell(trial, _final_score(job.folder))
        elif job.state == record.INTERRUPTED:
            self.study.tell(trial, state=self._states.PRUNED)
        else:
            trial.set_user_attr(_FAILED, True)
            self.study.tell(trial, state=self._states.FAIL)
        return True


def _final_score(folder: Path) -> float:
    """The number that a run followed, of its best checkpoint."""
    result = record.read_json(folder / record.RESULT)
    score = record.read_tasks(folder).score_in(result["results"], VAL)
    return result["best"]["score"] if score is None else score


def _num_going(jobs: Sequence[Job]) -> int:
    return sum(job.state in (record.WAITING, record.RUNNING) for job in jobs)


def _given_up(trial: Any) -> bool:
    """Whether a trial was left by a killed call; it has a second one in its place."""
    return trial.state.name == "FAIL" and _FAILED not in trial.user_attrs


def check_range(key: str, values: Any) -> Any:
    """Values in brackets as a list, or ``{low, high, log}`` with the kind of its numbers, whole where both ends are.

    Raises:
        UserError: It is neither.
    """
    if isinstance(values, Sequence) and not isinstance(values, str) and len(values) > 1:
        return list(values)
    found = dict(values) if isinstance(values, Mapping) else {}
    low, high = found.get("low"), found.get("high")
    are_numbers = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in (low, high))
    if not are_numbers or found.keys() - {"low", "high", "log"} or not low < high:  # type: ignore[operator]
        raise UserError(
            f"space.{key}",
            found=str(values),
            expected="two or more values in brackets, or low and high of a range",
            fix=f"set '+space={{{key}:{_example_range(values)}}}'",
        )
    is_whole = isinstance(low, int) and isinstance(high, int)
    return {"low": low, "high": high, "log": bool(found.get("log", False)), _NUMBER: int if is_whole else float}


def _example_range(values: Any) -> str:
    """A range that is right, round the numbers that were given."""
    given = values.values() if isinstance(values, Mapping) else [values] if not isinstance(values, Sequence) else values
    numbers = sorted({one for one in given if isinstance(one, (int, float)) and not isinstance(one, bool) and one > 0})
    if not numbers:
        return (
            "["
            + ",".join([*(map(str, values) if isinstance(values, list) else [str(values)]), "<another value>"])
            + "]"
        )
    low, high = (numbers[0], numbers[-1]) if len(numbers) > 1 else (numbers[0], 10 * numbers[0])
    return f"{{low:{low:g},high:{high:g}}}"


def describe_range(values: Any) -> str:
    """A range as one would say it."""
    if isinstance(values, list):
        return " or ".join(map(str, values))
    return f"{values['low']:g} to {values['high']:g}{', by its logarithm' if values['log'] else ''}"


def _is_in(value: Any, values: Any) -> bool:
    if isinstance(values, list):
        return value in values
    return isinstance(value, (int, float)) and values["low"] <= value <= values["high"]


def rows_of(search: Search, logs_dir: Path) -> list[dict[str, Any]]:
    """A row of every trial that came to an end: number, state, settings, scores, run."""
    rows = []
    for trial in search.finished():
        run = trial.user_attrs[_RUN]
        result = logs_dir / run / record.RESULT
        results = record.read_json(result)["results"] if trial.state.name == "COMPLETE" else {}
        score = record.read_tasks(logs_dir / run).score
        scores = {f"{split} {score}": found.get(score) for split, found in results.items()}
        state = {"COMPLETE": record.DONE, "PRUNED": "pruned"}.get(trial.state.name, record.FAILED)
        rows.append({"trial": trial.number, "state": state, **trial.params, **scores, "run": run})
    return rows
