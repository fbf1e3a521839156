"""The command that makes pages from run folders."""

from __future__ import annotations

import shlex
from pathlib import Path

from omegaconf import DictConfig

from lit_humor.config.saved import open_run
from lit_humor.core.errors import UserError
from lit_humor.core.settings import typed
from lit_humor.reporting.comparison import in_words, write_comparison
from lit_humor.reporting.run_page import PICTURES, write_report
from lit_humor.runs import screen
from lit_humor.runs.watch import find_runs


def report(cfg: DictConfig) -> None:
    """Write the page of ``cfg.run``, or the page that compares ``cfg.runs``, and show its path."""
    if cfg.run and cfg.output:
        fix = f"leave output away, then {shlex.join(['cp', f'{cfg.run}/report.html', cfg.output])}"
        raise UserError("output", found=str(cfg.output), expected="none for one run", fix=fix)
    if cfg.run and not cfg.runs:
        folder = open_run(cfg.run).folder
        screen.show(f"Report: {write_report(folder)}", f"Pictures: {folder / PICTURES}")
        return
    if cfg.run or len(cfg.runs or ()) != 2:
        raise UserError(
            "run, runs",
            found=f"run={cfg.run}, runs={list(cfg.runs or ())}",
            expected="one run, or two to compare",
            fix=_runs_to_name(cfg),
        )
    first, second = (open_run(run).folder for run in cfg.runs)
    page = Path(cfg.output or first / f"versus-{second.name}.html")
    differences = write_comparison(first, second, page)
    screen.show(
        in_words(first, second, differences),
        f"Comparison: {page}",
    )


def _runs_to_name(cfg: DictConfig) -> str:
    """Return the remedy, with the runs that were named or else the newest runs."""
    named = [*([cfg.run] if cfg.run else []), *(cfg.runs or ())]
    both = list(dict.fromkeys([*named, *map(str, find_runs(Path(cfg.paths.logs_dir)))]))[:2]
    if not both:
        return "python src/lit_humor/train.py makes a first one"
    away = "runs" if cfg.runs else "run"
    ways = [f"leave {away} away and set {typed('run', both[0])}"]
    if len(both) == 2:
        ways.append(f"leave run away and set {typed('runs', both)}")
    return ", or ".join(ways)
