"""Turns a plan into named runs, trains those that are not done, and summarises the results."""

from __future__ import annotations

import hashlib
import itertools
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.table import Table

from lit_humor.config.command import check_files, check_typed, choice, compose
from lit_humor.config.frozen import changed
from lit_humor.config.overrides import values_of
from lit_humor.core.errors import UserError
from lit_humor.core.place import ROOT_DIR
from lit_humor.core.remedies import free_path
from lit_humor.core.settings import check_name, quoted, setting, typed_command
from lit_humor.launch.queue import Job, Queue
from lit_humor.runs import record, screen
from lit_humor.runs.watch import is_done
from lit_humor.sweeps.budget import check_budget, say_what_it_took
from lit_humor.sweeps.planned_runs import PlannedRun, expand, label, parents_of
from lit_humor.sweeps.queues import open_queue, queue_class
from lit_humor.sweeps.searching import Search, check_range, describe_range, rows_of
from lit_humor.sweeps.tricks import ablation_of

_PLACES = ("paths", "run_id", "resume", "report")  # settings of where a run is; they do not change its result
_NOWHERE = ("paths.root_dir=.", "paths.cache_dir=.", "paths.logs_dir=.")
_TRAINER_PLACES = ("devices", "num_nodes", "accelerator", "strategy", "num_workers")
_PARENT = "{parent}"  # in settings of a variant: run folders of the variants that it waits for, between commas
_TAIL, _SHOWN = 15, 3  # lines of output shown for a failed run, and number of such runs


def sweep(cfg: DictConfig, typed: Sequence[str]) -> None:
    """Train every run of a plan that is not done, and write the summary.

    Args:
        cfg: Configuration of ``sweep.py``.
        typed: Settings of ``train.py``; commas separate values to try in turn.

    Raises:
        UserError: The plan or a setting is wrong, or runs failed; then all other runs are done.
    """
    _check(cfg, typed)
    if cfg.space:
        _search(cfg, typed)
        return
    plan = ablation_of(cfg)
    each = None if any(setting.partition("=")[0] == cfg.each for setting in typed) else cfg.each
    combinations = choices(typed)
    planned = expand(plan.variants, plan.after, combinations, each, cfg.n)
    bases = {label(name, choice): label(base, choice) for choice in combinations for name, base in plan.bases.items()}
    placed = make_jobs(planned, Path(cfg.paths.logs_dir), cfg.paths.cache_dir, each)
    jobs = list(dict.fromkeys(placed))
    name = cfg.name or f"sweep-{choice('plan')}-{_hash([job.folder.name for job in placed])}"
    folder = Path(cfg.paths.logs_dir) / name
    _check_is_no_run(folder)
    screen.show(_plan_table(planned, placed))
    if cfg.dry_run:
        screen.show(*(shlex.join(job.command) for job in jobs))
        _estimate(cfg, planned, placed)
        return
    _add_to_record(
        folder, {"command": f"{typed_command()} {shlex.join(typed)}", "runs": [job.folder.name for job in jobs]}
    )
    queue = open_queue(cfg, folder, _notice)
    if cfg.budget:
        check_budget(planned, placed, cfg.each, cfg.budget, queue)
    began = time.monotonic()
    queue.run(jobs)
    if any(job.seconds for job in jobs):
        _add_to_record(folder, {"took": say_what_it_took(jobs, queue.num_slots, time.monotonic() - began)})
    done = [(run, job.folder) for run, job in zip(planned, placed, strict=True) if job.state == record.DONE]
    if done:
        _summarize(cfg, done, folder, bases)
    _say_what_failed(queue, jobs)


def _summarize(
    cfg: DictConfig, done: Sequence[tuple[PlannedRun, Path]], folder: Path, bases: Mapping[str, str]
) -> None:
    """Write and show the tables of the runs that are done."""
    from lit_humor.sweeps import summary  # imports scipy and pyarrow (a second): not for a dry run

    tables = summary.write_summary(done, cfg.each, folder, f"Plan {choice('plan')}", cfg.matrix, cfg.metric, bases)
    if cfg.join_predictions:
        rows = summary.join_predictions(done, folder / "predictions.parquet")
        screen.show(f"Predictions of {rows} rows: {folder / 'predictions.parquet'}")
    for table in tables:
        screen.show(screen.table(table.caption, table.columns, table.rows), table.note)
    screen.show(f"Summary: {folder}")


def _estimate(cfg: DictConfig, planned: Sequence[PlannedRun], placed: Sequence[Job]) -> None:
    """Show how long a plan would take, without writing anything."""
    if not cfg.budget:
        screen.show("To see how long it would take, add budget=6h, which times the first steps of each kind of run.")
        return
    with tempfile.TemporaryDirectory() as folder:
        check_budget(planned, placed, cfg.each, cfg.budget, open_queue(cfg, Path(folder), _notice))


def _search(cfg: DictConfig, typed: Sequence[str]) -> None:
    """Train trial after trial, each with settings that the scores of earlier trials suggest, and write the results."""
    combinations = choices(typed)
    if len(combinations) > 1:
        expected = "ranges in the plan's space"
        raise UserError(
            "plan=search",
            found="several values, separated by commas",
            expected=expected,
            fix="give one value for each key",
        )
    space: Any = OmegaConf.to_container(cfg.space)
    logs_dir, jobs = Path(cfg.paths.logs_dir), list[Job]()
    folder = logs_dir / (cfg.name or f"sweep-search-{_hash([*typed, space])}")
    _check_is_no_run(folder)
    ranges = {key: check_range(key, values) for key, values in space.items()}
    default = compose("train", typed)
    for key in ranges:
        if OmegaConf.select(default, key) is None:
            expected, fix = "a key of train.py", "python src/lit_humor/train.py --cfg job lists them"
            raise UserError(f"space.{key}", found="no such setting", expected=expected, fix=fix)
    screen.show(f"Search: {cfg.n} trials", *(f"  {key}: {describe_range(values)}" for key, values in ranges.items()))
    if cfg.dry_run:
        return

    def make_job(settings: list[str]) -> Job:
        return make_jobs([PlannedRun("", 1, (*typed, *settings))], logs_dir, cfg.paths.cache_dir)[0]

    search = Search(folder, ranges, default, cfg.n, make_job)
    queue = open_queue(cfg, folder, _notice)
    queue.run(jobs, lambda: search.look_after(jobs, queue.num_slots))
    if rows := rows_of(search, logs_dir):
        from lit_humor.sweeps.summary import write_trials  # imports scipy and pyarrow

        table = write_trials(rows, search.has_recipe, folder, "Search", record.read_tasks(logs_dir / rows[0]["run"]))
        screen.show(screen.table(table.caption, table.columns, table.rows), table.note, f"Summary: {folder}")
    _say_what_failed(queue, jobs)


def _add_to_record(folder: Path, values: Mapping[str, Any]) -> None:
    """Add values to ``sweep.json`` of a set of runs; values of earlier calls stay."""
    path = folder / "sweep.json"
    record.write_json(path, (record.read_json(path) if path.is_file() else {}) | dict(values))


def _check_is_no_run(folder: Path) -> None:
    if (folder / record.CONFIG).exists():
        expected, fix = "a new name, or that of a set of runs", f"set name={free_path(folder).name}"
        raise UserError("name", found=f"the run folder {folder}", expected=expected, fix=fix)


def choices(typed: Sequence[str]) -> dict[str, list[str]]:
    """Return the settings of each combination of comma-separated values, by the values that distinguish it."""
    axes: list[list[tuple[str, str]]] = []
    for override in typed:
        lines = values_of(override)
        axes.append([(line, line) for line in lines] if len(lines) > 1 else [("", override)])
    combinations = {}
    for combination in itertools.product(*axes):
        name = ", ".join(label for label, _ in combination if label)
        combinations[name] = [line for _, line in combination]
    return combinations


def make_jobs(planned: Sequence[PlannedRun], logs_dir: Path, cache_dir: str, each: str | None = None) -> list[Job]:
    """Return the job of each planned run; equal runs share a job, whose name depends only on its settings.

    Args:
        planned: The runs.
        logs_dir: Where run folders are.
        cache_dir: Where runs keep what others may use.
        each: Key of ``train.py`` that is the number of the repeat; runs that differ in it alone are composed once.
    """
    composed: dict[tuple[str, ...], DictConfig] = {}
    jobs: dict[tuple[str, int], Job] = {}
    by_id: dict[str, Job] = {}
    for run in planned:
        parents = [jobs[parent, run.repeat] for parent in run.after]
        named, overrides = (
            [setting.replace(_PARENT, ",".join(quoted(place) for place in places)) for setting in run.overrides]
            for places in ([job.folder.name for job in parents], [str(job.folder) for job in parents])
        )
        command = [sys.executable, str(ROOT_DIR / "src" / "lit_humor" / f"{run.command}.py"), *overrides]
        if run.command == "train":
            alike = tuple(setting for setting in named if setting != f"{each}={run.repeat}")
            if alike not in composed:
                composed[alike] = compose("train", [*named, *_NOWHERE])  # the same for any place of the run folders
                check_files(composed[alike])
            cfg = changed(composed[alike], {each: run.repeat} if each else {})
            experiment = next((word.split("=")[1] for word in overrides if word.startswith("experiment=")), "default")
            run_id, cost = f"{experiment}-{run.repeat}-{signature(cfg)}", float(cfg.trainer.max_epochs)
            command += [f"run_id={run_id}", "resume=auto", setting("paths.logs_dir", str(logs_dir))]
            command += [setting("paths.cache_dir", cache_dir)]
        else:
            compose("eval", named)
            run_id, cost = f"evaluation-{run.repeat}-{_hash(named)}", 0.0
            command += [setting("output", str(logs_dir / run_id))]
        job = Job(logs_dir / run_id, command, cost, parents)
        jobs[run.variant, run.repeat] = by_id.setdefault(run_id, job)
    return list(jobs.values())


def signature(cfg: DictConfig) -> str:
    """Return a hash of all settings that influence the result of a training."""
    content: Any = OmegaConf.to_container(cfg, resolve=True)
    for key in _PLACES:
        content.pop(key, None)
    trainer = content["trainer"]
    for key in _TRAINER_PLACES:
        trainer.pop(key, None)
    trainer["schedule_epochs"] = trainer["schedule_epochs"] or trainer["max_epochs"]  # both mean the same
    return _hash(content)


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:8]


def _check(cfg: DictConfig, typed: Sequence[str]) -> None:
    check_typed("train", typed)
    for override in typed:
        key = override.partition("=")[0]
        if key in ("run_id", "resume") or (key == cfg.each and cfg.n > 1):
            instead = (
                f"leave {key} out" if key != cfg.each else f"leave {key} out, or add plan=grid, which tries its values"
            )
            raise UserError(key, found=override, expected="no value: each run of a plan gets its own", fix=instead)
    if cfg.space and not queue_class(cfg).can_search:
        raise UserError(
            f"launch={choice('launch')}",
            found="a search",
            expected="a plan whose runs are known at the start",
            fix="set launch=local",
        )
    if cfg.space and cfg.budget:
        expected, fix = "a plan whose runs are known at the start", "leave budget out, or set a smaller n"
        raise UserError("budget", found="a search", expected=expected, fix=fix)
    for key in ("n", "slots"):
        if cfg[key] < 1:
            raise UserError(key, found=str(cfg[key]), expected="at least 1", fix=f"set {key}=1")
    if cfg.name:
        check_name("name", cfg.name)
    names = [str(name) for name in cfg.variants]
    for child in cfg.after:
        parents = parents_of(child, cfg.after)
        if child not in names or not set(parents) <= set(names[: names.index(child)]):
            raise UserError(
                f"after.{child}",
                found=", ".join(parents),
                expected="earlier variants of the plan",
                fix="correct the plan",
            )


def _plan_table(planned: Sequence[PlannedRun], jobs: Sequence[Job]) -> Table:
    rows = []
    for run, job in zip(planned, jobs, strict=True):
        waits = ", ".join(parent.folder.name for parent in job.after)
        rows.append(
            [job.folder.name, run.variant, f"{job.cost:g}", waits, "done" if is_done(job.folder) else "not done"]
        )
    return screen.table(f"Plan: {len(jobs)} runs", ("run", "variant", "epochs", "after", "state"), rows)


def _notice(job: Job) -> None:
    took = f", {job.seconds:.0f} s" if job.seconds else ""
    screen.show(f"{time.strftime('%H:%M:%S')} {job.folder.name}: {job.state}{took}")


def _say_what_failed(queue: Queue, jobs: Sequence[Job]) -> None:
    bad = [job for job in jobs if job.state == record.FAILED]
    if not bad:
        return
    for job in bad[:_SHOWN]:
        output = queue.output_of(job)
        tail = output.read_text(errors="replace").splitlines()[-_TAIL:] if output.is_file() else ["no output"]
        screen.show(f"\n{job.folder.name} failed:", *(f"  {line}" for line in tail))
    if len(bad) > _SHOWN:
        screen.show(f"\nand {len(bad) - _SHOWN} more: {queue.output_dir}")
    skipped = [job.folder.name for job in jobs if job.state == record.SKIPPED]
    skipped_text = f"; skipped because of them: {', '.join(skipped)}" if skipped else ""
    raise UserError(
        f"plan={choice('plan')}",
        found=f"failed runs: {', '.join(job.folder.name for job in bad)}{skipped_text}",
        expected="all runs done",
        fix="remove the cause and type the same command again; finished runs stay",
    )
