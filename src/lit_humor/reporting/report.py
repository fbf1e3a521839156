"""The command that makes pages from run folders."""

from __future__ import annotations

import shlex
from pathlib import Path

from omegaconf import DictConfig

from lit_humor.config.saved import open_run
from lit_humor.core.errors import UserError
from lit_humor.core.settings import typed
from lit_humor.reporting.comparison import write_comparison
from lit_humor.reporting.run_page import PICTURES, write_report
from lit_humor.runs import screen
from lit_humor.runs.watch import find_runs
from lit_humor.tasks.reports.answers import is_answers


def report(cfg: DictConfig) -> None:
    """Write the page of ``cfg.run``, or the page that compares ``cfg.runs``, and show its path."""
    if cfg.run and cfg.output:
        fix = f"leave output away, then {shlex.join(['cp', f'{cfg.run}/report.html', cfg.output])}"
        raise UserError("output", found=str(cfg.output), expected="none for one run", fix=fix)
    if cfg.run and not cfg.runs:
        folder = open_run(cfg.run).folder
        screen.show(f"Report: {write_report(folder)}", f"Pictures: {folder / PICTURES}")
        return
    runs = [name for name in cfg.runs or () if not is_answers(name)]
    if cfg.run or len(cfg.runs or ()) != 2 or not runs:
        raise UserError(
            "run, runs",
            found=f"run={cfg.run}, runs={list(cfg.runs or ())}",
            expected="one run, or two to compare, or a run and a file of answers",
            fix=_runs_to_name(cfg),
        )
    first, second = (open_run(name).folder if name in runs else Path(name) for name in cfg.runs)
    folder, other = (first, second.name) if first.is_dir() else (second, first.name)
    page = Path(cfg.output or folder / f"versus-{other}.html")
    found = write_comparison(first, second, page, cfg.quoting)
    screen.show(*filter(None, (found.note, found.words, f"Comparison: {page}")))


def _runs_to_name(cfg: DictConfig) -> str:
    """Return the remedy, with the members that were named or else the newest runs."""
    named = [*([cfg.run] if cfg.run else []), *(cfg.runs or ())]
    files = [name for name in dict.fromkeys(named) if is_answers(name)][:1]
    runs = [name for name in named if not is_answers(name)]
    runs = list(dict.fromkeys([*runs, *map(str, find_runs(Path(cfg.paths.logs_dir)))]))
    if not runs:
        return "python src/lit_humor/train.py makes a first one"
    both = [runs[0], *files] if files else runs[:2]
    away = "runs" if cfg.runs else "run"
    ways = [f"leave {away} away and set {typed('run', runs[0])}"]
    if len(both) == 2:
        ways.append(f"leave run away and set {typed('runs', both)}")
    return ", or ".join(ways)
