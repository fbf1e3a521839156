"""Ask runs to save and exit: python src/lit_humor/stop.py run=<folder> | --all [logs=<folder>] [--yes]."""

import shlex
import sys
import time
from pathlib import Path

from lit_humor.core.settings import command_line, setting
from lit_humor.runs import record
from lit_humor.runs.watch import Watched, find_run, find_runs, look

ROOT = Path(__file__).resolve().parents[2]
_POLL_SECONDS, _MESSAGE_SECONDS = 0.2, 10.0


def main() -> None:
    """Ask one run, or all that are alive, to stop, and wait until they have ended."""
    arguments = sys.argv[1:]
    if arguments in (["--help"], ["-h"]):
        print(__doc__)
        return
    settings = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    flags = {argument for argument in arguments if "=" not in argument}
    if settings.keys() - {"run", "logs"} or flags - {"--all", "--yes"} or ("run" in settings) == ("--all" in flags):
        typed = " ".join(arguments) or "nothing"
        sys.exit(f"Error: found {typed}, expected run=<folder> or --all. Fix: stop.py run=logs/<run id>")
    logs_dir = Path(settings.get("logs", ROOT / "logs"))
    runs = [look(folder) for folder in find_runs(logs_dir)] if "--all" in flags else [_find(settings["run"], logs_dir)]
    alive = [run for run in runs if run.is_alive]
    if not alive:
        print("No run is alive." if "--all" in flags else f"{runs[0].folder} is not alive: {runs[0].state}.")
        sys.exit(0 if "--all" in flags else 1)
    if "--all" in flags and "--yes" not in flags and not _is_confirmed(alive):
        print("Nothing was stopped.")
        sys.exit(1)
    for run in alive:
        record.ask_to_stop(run.folder)
    sys.exit(max([_wait(run) for run in alive]))


def _find(name: str, logs_dir: Path) -> Watched:
    folder = find_run(name, logs_dir)
    if folder is None:
        sys.exit(f"Error: run={name}: found no such run, expected a run folder. Fix: ls {shlex.quote(str(logs_dir))}")
    return look(folder)


def _is_confirmed(alive: list[Watched]) -> bool:
    for run in alive:
        print(f"{run.folder}  {run.state}  step {run.status.get('step')} of {run.status.get('total_steps')}")
    what = "it" if len(alive) == 1 else f"these {len(alive)} runs"
    try:
        return input(f"Stop {what}? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # no terminal to answer at
        print("\nNo answer; --yes stops them without a question.")
        return False


def _wait(run: Watched) -> int:
    """Wait until a run has ended; return 0 if it saved and can be resumed, or is done, otherwise 1."""
    print(f"{run.folder}: asked to save and exit ...", flush=True)
    last_message = time.monotonic()
    while (now := look(run.folder)).is_alive:
        if time.monotonic() - last_message > _MESSAGE_SECONDS:
            last_message = time.monotonic()
            print(f"  still running: {now.state}, last heartbeat {now.silent_seconds:.0f} s ago", flush=True)
        time.sleep(_POLL_SECONDS)
    (run.folder / record.STOP_REQUEST).unlink(missing_ok=True)
    if now.state == record.INTERRUPTED:
        print(f"  saved. To resume: {command_line('train', setting('resume', str(run.folder)))}")
    else:
        print(f"  {now.state}.")
    return 0 if now.state in (record.INTERRUPTED, record.DONE) else 1


if __name__ == "__main__":
    main()
