"""Watch runs live: python src/lit_humor/monitor.py [run=<folder of a run or a plan>] [logs=<folder>] [--once]."""

import shlex
import sys
import time
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live

from lit_humor.runs import record
from lit_humor.runs.board import detail, overview, plan
from lit_humor.runs.watch import active_sets, find_run, find_runs, find_set, look

ROOT = Path(__file__).resolve().parents[2]
_LINES, _SECONDS = 12, 1.0


def main() -> None:
    """Draw one frame with ``--once``, otherwise one every second until Ctrl-C. Only reads run folders."""
    settings = {"run": "", "logs": str(ROOT / "logs")}
    once = False
    for argument in sys.argv[1:]:
        key, _, value = argument.partition("=")
        if argument in ("--help", "-h"):
            print(__doc__)
            return
        if argument == "--once":
            once = True
        elif key in settings and value:
            settings[key] = value
        else:
            sys.exit(f"Error: found {argument}, expected run=<folder>, logs=<folder> or --once. Fix: monitor.py --help")
    logs_dir = Path(settings["logs"])
    folder = find_run(settings["run"], logs_dir) or find_set(settings["run"], logs_dir) if settings["run"] else None
    if settings["run"] and folder is None:
        fix = f"ls {shlex.quote(str(logs_dir))}"
        sys.exit(f"Error: run={settings['run']}: found no such run, expected a run folder. Fix: {fix}")
    console = Console(highlight=False)
    if once:
        console.print(_frame(folder, logs_dir))
        return
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(_frame(folder, logs_dir), refresh=True)
                time.sleep(_SECONDS)
    except KeyboardInterrupt:
        pass


def _frame(run: Path | None, logs_dir: Path) -> RenderableType:
    """Draw a run, or a set of runs, or all runs of a folder with details of the most recent one."""
    if run is not None and (run / record.QUEUE).is_file():
        return plan(run)
    if run is not None:
        return detail(look(run, _LINES))
    folders = find_runs(logs_dir)
    if not folders:
        return f"No runs in {logs_dir} yet."
    sets = [plan(folder) for folder in active_sets(logs_dir)]
    return Group(*sets, overview([look(folder) for folder in folders[:_LINES]]), detail(look(folders[0], _LINES)))


if __name__ == "__main__":
    main()
