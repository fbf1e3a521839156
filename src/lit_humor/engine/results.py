"""Writes the results of a finished training: result.json, status.json, tables on the screen, the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lit_humor.config.saved import written_config
from lit_humor.core.batch import TEST, TRAIN, VAL
from lit_humor.core.errors import UserError
from lit_humor.core.settings import command_line, setting
from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.engine import tables
from lit_humor.engine.ending import set_state
from lit_humor.engine.loggers import log_final_scores
from lit_humor.engine.run import Run
from lit_humor.reporting.run_page import write_report
from lit_humor.runs import record, screen
from lit_humor.tasks.task import Baseline, Task, definitions_of, join_results


def scored_splits(datamodule: HumorDataModule) -> list[str]:
    """Return the splits that are scored after a training."""
    return [split for split in (VAL, TEST) if split in datamodule.splits]


def write_results(run: Run, results: Mapping[str, Any], best: Mapping[str, int], cost: Mapping[str, float]) -> None:
    """Write and show the results of a training.

    Args:
        run: The run.
        results: Metrics by split.
        best: Epoch and step of the best checkpoint; empty if there is none.
        cost: Seconds and peak memory of the training.
    """
    _write_result(run, results, None, best, cost)  # before the baseline, which may take long or fail
    baseline = _baseline(run.learner.tasks, run.datamodule) if run.config.baseline else None
    _write_result(run, results, baseline, best, cost)
    names = [name for task in run.learner.tasks.values() for name in task.curves]
    log_final_scores(run.trainer, written_config(run.config), results, names)
    set_state(run.folder, record.DONE)
    for split, measured in results.items():
        beside = baseline.results[split] if baseline else None
        screen.show(*tables.result_tables(run.learner.tasks, split, measured, beside))
    if run.config.report:
        _write_report(run.folder)
    _show_end(run, cost["fit_seconds"])


def _baseline(tasks: Mapping[str, Task], datamodule: HumorDataModule) -> Baseline | None:
    """Score simple models on every split; return None if no task has one, or if they cannot be fitted."""
    evaluated = {split: datamodule.splits[split] for split in scored_splits(datamodule)}
    try:
        fitted = [task.baseline(datamodule.splits[TRAIN], evaluated) for task in tasks.values()]
    except ValueError as error:
        screen.show(f"No TF-IDF baseline: {error}")
        return None
    baselines = [baseline for baseline in fitted if baseline is not None]
    results = {split: join_results(baseline.results[split] for baseline in baselines) for split in evaluated}
    return Baseline("; ".join(baseline.description for baseline in baselines), results) if baselines else None


def _write_result(
    run: Run,
    results: Mapping[str, Any],
    baseline: Baseline | None,
    best: Mapping[str, int],
    cost: Mapping[str, float],
) -> None:
    checkpoint = run.trainer.checkpoint_callback
    score = getattr(checkpoint, "best_model_score", None)
    record.write_json(
        run.folder / record.RESULT,
        {
            "results": results,
            "baseline": baseline._asdict() if baseline else None,
            "definitions": definitions_of(run.learner.tasks),
            "best": {
                "monitor": getattr(checkpoint, "monitor", None),
                "score": None if score is None else float(score),
                **best,
            },
            "probe": record.read_json(run.folder / record.ENVIRONMENT)["plan"]["probe"],
            "epochs": run.trainer.current_epoch,
            "steps": run.trainer.global_step,
            **cost,
        },
    )


def _write_report(folder: Path) -> None:
    """Write the page; an error is shown, but does not end the run."""
    try:
        screen.show(f"\nReport: {write_report(folder)}")
    except UserError as error:
        screen.show(f"\nNo report: {error}")


def _show_end(run: Run, fit_seconds: float) -> None:
    """Show warnings about numbers that are too good, and where the files are."""
    origins = [run.datamodule.splits[split].origin for split in scored_splits(run.datamodule)]
    screen.show(
        f"\nFit {fit_seconds:.0f} s.",
        "The checkpoint was chosen by its score on val, so the numbers of val are slightly too good.",
        *(
            f"{origin}: such rows are easier than those of a separate file; mention this with the numbers."
            for origin in origins
            if "split off" in origin
        ),
        f"Results, predictions and checkpoints: {run.folder}",
        f"Score it again: {command_line('eval', setting('run', str(run.folder)))}",
    )
