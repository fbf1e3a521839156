"""Searches for good settings: Optuna proposes them, the queue trains, and trials with low scores are stopped early."""

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
_RUN, _FAILED = "run", "failed"  # attributes of a trial
_RECIPE = "recipe"  # attribute of a study
_STARTUP_TRIALS = 4  # first trials, which are drawn at random; no trial is stopped before they ended


class Search:
    """A study of Optuna in a file: the trials so far, their scores, and the next settings to try.

    Trials of a call that was killed are proposed again first; their runs resume from their checkpoints.

    Args:
        folder: Folder of ``study.log``.
        space: Range of each key of ``train.py``, as returned by ``check_range``.
        default: Configuration of ``train.py`` without the settings of a trial; its ``monitor`` is the score.
        count: Number of trials in all, including those of earlier calls.
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
        self._open: list[tuple[Any, Job]] = []  # trials that have not ended; trials with equal settings share a job

    def look_after(self, jobs: list[Job], num_slots: int) -> None:
        """Report the scores of the jobs to the study, stop trials with low scores, and add jobs for free slots.

        If all trials that ended have failed, no more are added.
        """
        while True:
            self._open = [(trial, job) for trial, job in self._open if not self._has_ended(trial, job)]
            finished = self.finished()
            is_hopeless = bool(finished) and all(trial.state == self._states.FAIL for trial in finished)
            if is_hopeless or _num_active(jobs) >= num_slots or len(finished) + len(self._open) >= self.count:
                return
            trial = self.study.ask()
            settings = [f"{key}={self._suggest(trial, key)}" for key in self.space]
            made = self.make_job(settings)
            job = next((earlier for earlier in jobs if earlier.folder == made.folder), made)
            trial.set_user_attr(_RUN, job.folder.name)
            self._open.append((trial, job))
            if job is made:
                jobs.append(job)

    def finished(self) -> list[Any]:
        """Return the trials that ended, in order."""
        trials = self.study.get_trials(deepcopy=False)
        return [trial for trial in trials if trial.state.is_finished() and not _is_replaced(trial)]

    @property
    def has_recipe(self) -> bool:
        """Whether the first trial has the default settings."""
        return bool(self.study.user_attrs.get(_RECIPE))

    def _propose_first(self, default: DictConfig) -> None:
        """Propose again what a killed call left unfinished; in a new study the default settings, if in the space."""
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state == self._states.RUNNING:
                self.study.tell(trial.number, state=self._states.FAIL)
                self.study.enqueue_trial(trial.params)
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
        """Whether a job has ended; also reports its score after each epoch, and its final state, to the study."""
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
    """Return the validation score of a run's best checkpoint."""
    result = record.read_json(folder / record.RESULT)
    score = record.read_tasks(folder).score_in(result["results"], VAL)
    return result["best"]["score"] if score is None else score


def _num_active(jobs: Sequence[Job]) -> int:
    return sum(job.state in (record.WAITING, record.RUNNING) for job in jobs)


def _is_replaced(trial: Any) -> bool:
    """Whether a killed call left a trial unfinished; another trial with its settings replaces it."""
    return trial.state.name == "FAIL" and _FAILED not in trial.user_attrs


def check_range(key: str, values: Any) -> Any:
    """Return a list of values, or a range ``{low, high, log, number}``; its numbers are integers if both ends are.

    Raises:
        UserError: The values are neither a list of two or more, nor a range.
    """
    if isinstance(values, Sequence) and not isinstance(values, str) and len(values) > 1:
        return list(values)
    ends = dict(values) if isinstance(values, Mapping) else {}
    low, high = ends.get("low"), ends.get("high")
    are_numbers = all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in (low, high))
    if not are_numbers or ends.keys() - {"low", "high", "log"} or not low < high:  # type: ignore[operator]
        raise UserError(
            f"space.{key}",
            found=str(values),
            expected="two or more values in brackets, or low and high of a range",
            fix=f"set '+space={{{key}:{_example_range(values)}}}'",
        )
    is_whole = isinstance(low, int) and isinstance(high, int)
    return {"low": low, "high": high, "log": bool(ends.get("log", False)), _NUMBER: int if is_whole else float}


def _example_range(values: Any) -> str:
    """Return a correct range or list with the numbers that were given, for a message."""
    given = values.values() if isinstance(values, Mapping) else [values] if not isinstance(values, Sequence) else values
    plain = [item for item in given if isinstance(item, (int, float)) and not isinstance(item, bool)]
    numbers = sorted({item for item in plain if item > 0})
    if not numbers:
        return (
            "["
            + ",".join([*(map(str, values) if isinstance(values, list) else [str(values)]), "<another value>"])
            + "]"
        )
    low, high = (numbers[0], numbers[-1]) if len(numbers) > 1 else (numbers[0], 10 * numbers[0])
    return f"{{low:{low:g},high:{high:g}}}"


def describe_range(values: Any) -> str:
    """Describe a range in words."""
    if isinstance(values, list):
        return " or ".join(map(str, values))
    return f"{values['low']:g} to {values['high']:g}{', on a log scale' if values['log'] else ''}"


def _is_in(value: Any, values: Any) -> bool:
    if isinstance(values, list):
        return value in values
    return isinstance(value, (int, float)) and values["low"] <= value <= values["high"]


def rows_of(search: Search, logs_dir: Path) -> list[dict[str, Any]]:
    """Return a row for each trial that ended: number, state, settings, scores, run."""
    rows = []
    for trial in search.finished():
        run = trial.user_attrs[_RUN]
        result = logs_dir / run / record.RESULT
        results = record.read_json(result)["results"] if trial.state.name == "COMPLETE" else {}
        score = record.read_tasks(logs_dir / run).score
        scores = {f"{split} {score}": numbers.get(score) for split, numbers in results.items()}
        state = {"COMPLETE": record.DONE, "PRUNED": "pruned"}.get(trial.state.name, record.FAILED)
        rows.append({"trial": trial.number, "state": state, **trial.params, **scores, "run": run})
    return rows
