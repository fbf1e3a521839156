"""Tables and panels about runs for the terminal, drawn by rich."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lit_humor.core.settings import command_line, setting
from lit_humor.runs import record
from lit_humor.runs.resources import gpu_use, process_use
from lit_humor.runs.watch import CRASHED, STALE, STARTING, Watched, look
from lit_humor.tasks.recorded import BEFORE_TASKS

_COLORS = {
    record.RUNNING: "green", record.DONE: "blue", record.INTERRUPTED: "yellow", record.FAILED: "red",
    STARTING: "cyan", STALE: "yellow", CRASHED: "red",
}  # fmt: skip
_ORDER = (record.RUNNING, record.FAILED, record.INTERRUPTED, record.WAITING, record.SKIPPED, record.DONE)
_ROWS = 30  # most rows shown for a set of runs
_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDEST = 40
_LONGEST_NAME = 32


def overview(runs: Sequence[Watched]) -> RenderableType:
    """A table with one row for each run."""
    grid = Table(
        title="Runs", title_justify="left", title_style="bold", header_style="bold", box=SIMPLE_HEAD, expand=True
    )
    longest = max((len(run.folder.name) for run in runs), default=0)
    grid.add_column("run", overflow="fold", min_width=min(longest, _LONGEST_NAME))
    monitor = _monitor(runs)
    for name in ("state", "epoch", "left", monitor, "best"):
        grid.add_column(name, justify="left" if name == "state" else "right")
    grid.add_column("by epoch", no_wrap=True, overflow="crop")
    for run in runs:
        status = run.status
        grid.add_row(
            run.folder.name,
            Text.assemble(_state(run), f" {_share(status):.0%}" if status and run.state != record.DONE else ""),
            f"{status.get('epoch', '')}/{status.get('max_epochs', '')}" if status else "",
            _duration(status.get("eta_seconds")) if run.is_alive else "",
            _score(run, monitor),
            _number(status.get("best")),
            sparkline(run.scores, 16),
        )
    return grid


def plan(folder: Path) -> RenderableType:
    """A table with one row for each run of a set; running ones first, then failed, waiting and finished ones."""
    queue = record.read_json(folder / record.QUEUE)
    jobs = sorted(queue["jobs"], key=lambda job: _ORDER.index(job["state"]))
    done = sum(job["state"] == record.DONE for job in jobs)
    title = f"{folder.name}: {done} of {len(jobs)} done, {queue['slots']} at a time"
    grid = Table(title=title, title_justify="left", title_style="bold", header_style="bold", expand=True)
    looks = [look(Path(job["folder"])) for job in jobs[:_ROWS]]
    monitor = _monitor([run for run in looks if run.series])
    for name in ("run", "state", "slot", "epoch", "left", monitor, "took"):
        grid.add_column(name, justify="left" if name in ("run", "state") else "right")
    for job, run in zip(jobs[:_ROWS], looks, strict=True):
        is_running = job["state"] == record.RUNNING
        grid.add_row(
            run.folder.name,
            _state(run) if is_running else Text(job["state"], style=_COLORS.get(job["state"], "")),
            str(job["slot"] + 1) if is_running else "",
            f"{run.status.get('epoch', '')}/{run.status.get('max_epochs', '')}" if run.status else "",
            _duration(run.status.get("eta_seconds")) if run.is_alive else "",
            _score(run, monitor),
            _duration(job["seconds"]) if job["seconds"] else "",
        )
    if len(jobs) > _ROWS:
        grid.add_row(f"and {len(jobs) - _ROWS} more")
    return grid


def detail(run: Watched) -> RenderableType:
    """Panels with all that is known of one run."""
    status = run.status
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold")
    facts.add_column()
    heartbeat = f"{_duration(run.silent_seconds)} since the last heartbeat" if run.state != record.DONE else ""
    facts.add_row("state", Text.assemble(_state(run), f"  {heartbeat}"))
    if status:
        done, total = int(status["step"]), max(int(status["total_steps"]), 1)
        facts.add_row("step", ProgressBar(total=total, completed=done, width=_WIDEST))
        left = f", {_duration(status['eta_seconds'])} left" if run.is_alive else ""
        facts.add_row("", f"{done:,} of {total:,}, epoch {status['epoch']} of {status['max_epochs']}{left}")
        patience = status.get("patience")
        since = status.get("checks_since_best")
        waiting = (
            f", {since} {'check' if since == 1 else 'checks'} ago, patience {patience}" if patience is not None else ""
        )
        facts.add_row("best", f"{_number(status.get('best')) or 'none yet'}{waiting}")
        facts.add_row("speed", f"{_number(status.get('rows_per_second'), 1)} samples/s")
        facts.add_row("learning rate", f"{status['learning_rate']:.2e}" if status.get("learning_rate") else "")
    for name in dict.fromkeys(("train/loss", "val/loss", run.tasks.monitor)):
        if values := run.series.get(name):
            facts.add_row(name, f"{sparkline(values, _WIDEST)}  {values[-1]:.4f}")
    if run.is_alive and status:
        facts.add_row("process", process_use(int(status["pid"]), str(status["host"])))
        facts.add_row("GPU", gpu_use())
    sizes = ", ".join(f"{name} {size / 2**20:,.0f} MiB" for name, size in run.checkpoints.items())
    facts.add_row("checkpoints", sizes or "none yet")
    if run.checkpoints and run.state in (record.INTERRUPTED, record.FAILED, CRASHED):
        facts.add_row("resume with", command_line("train", setting("resume", str(run.folder))))
    facts.add_row("curves", shlex.join(["tensorboard", "--logdir", str(run.folder)]))
    log = Text("\n".join(run.log), no_wrap=True, overflow="ellipsis")
    return Group(
        Panel(facts, title=run.folder.name, title_align="left"), Panel(log, title="log.txt", title_align="left")
    )


def sparkline(values: Sequence[float], width: int) -> str:
    """Draw the last ``width`` values as a line of block characters, scaled to their range."""
    shown = [value for value in values[-width:] if value == value]
    if not shown:
        return ""
    low, span = min(shown), (max(shown) - min(shown)) or 1.0
    return "".join(_BLOCKS[round((value - low) / span * (len(_BLOCKS) - 1))] for value in shown)


def _monitor(runs: Sequence[Watched]) -> str:
    """Return the score that all runs monitor; or ``score``, and then each cell names its own."""
    names = list(dict.fromkeys(run.tasks.monitor for run in runs))
    return names[0] if len(names) == 1 else "score" if names else BEFORE_TASKS.monitor


def _score(run: Watched, monitor: str) -> str:
    if not run.scores:
        return ""
    return f"{'' if run.tasks.monitor == monitor else run.tasks.monitor + ' '}{run.scores[-1]:.4f}"


def _share(status: Mapping[str, Any]) -> float:
    return float(status["step"] / max(status["total_steps"], 1))


def _state(run: Watched) -> Text:
    return Text(run.state, style=_COLORS.get(run.state, ""))


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
