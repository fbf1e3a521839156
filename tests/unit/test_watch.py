"""Monitor and stop, on run folders written here by hand."""

import io
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lit_humor import stop
from lit_humor.runs import record
from lit_humor.runs.board import detail, overview, sparkline
from lit_humor.runs.watch import CRASHED, STALE, STARTING, find_runs, look

SOURCE = Path(__file__).resolve().parents[2] / "src" / "lit_humor"
STATUS = {
    "state": record.RUNNING, "pid": os.getpid(), "host": socket.gethostname(), "step": 30, "total_steps": 120,
    "epoch": 1, "max_epochs": 4, "best": 0.8123, "checks_since_best": 2, "patience": 5, "eta_seconds": 95.0,
    "rows_per_second": 12.3, "learning_rate": 2e-5,
}  # fmt: skip


def make_run(folder: Path, **changes: Any) -> Path:
    for name in (record.CONFIG, record.ENVIRONMENT):
        record.write_text(folder / name, "{}")
    record.write_json(folder / record.STATUS, {**STATUS, "heartbeat": time.time(), **changes})
    lines = ["epoch,step,train/loss,val/f1", "0,10,0.7,0.75", "1,20,0.5,0.8123", "2,30,,0.99"]
    record.write_text(folder / record.METRICS, "\n".join(lines) + "\n")
    record.write_text(folder / "log.txt", "".join(f"line {n}\n" for n in range(40)))
    (folder / record.CHECKPOINTS).mkdir()
    (folder / record.CHECKPOINTS / record.BEST).write_bytes(b"0" * 2**20)
    return folder


def _dead_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def _monitor(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "100", "PYTHONPATH": str(SOURCE.parent)}
    command = [sys.executable, str(SOURCE / "monitor.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def _stop(*arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(SOURCE.parent)}
    command = [sys.executable, str(SOURCE / "stop.py"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, input=answer, check=False, timeout=60
    )


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, record.RUNNING),
        ({"heartbeat": 0}, STALE),
        ({"pid": None}, CRASHED),
        ({"host": "elsewhere", "pid": None}, record.RUNNING),
        ({"host": "elsewhere", "pid": None, "heartbeat": 0}, STALE),
        ({"state": record.DONE, "pid": None, "heartbeat": 0}, record.DONE),
        ({"state": record.INTERRUPTED}, record.INTERRUPTED),
    ],
)
def test_states(tmp_path: Path, changes: dict[str, Any], state: str) -> None:
    changes = changes | ({"pid": _dead_pid()} if "pid" in changes else {})
    assert look(make_run(tmp_path / "run", **changes)).state == state


def test_a_run_that_has_said_nothing_is_starting(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (folder / record.STATUS).unlink()
    assert look(folder).state == STARTING
    (folder / record.STATUS).write_text('{"state": "runn')
    assert look(folder).state == STARTING
    (folder / record.STATUS).unlink()
    long_ago = time.time() - 3600
    os.utime(folder / record.CONFIG, (long_ago, long_ago))
    assert look(folder).state == STALE
    assert not look(folder).is_alive, "stop.py would wait for it forever"


def test_scores_are_those_of_the_epochs(tmp_path: Path) -> None:
    run = look(make_run(tmp_path / "run"), num_log_lines=3)
    assert run.series["val/f1"] == [0.75, 0.8123], "not the score after training"
    assert run.log == ["line 37", "line 38", "line 39"]
    assert run.checkpoints == {"best.ckpt": 2**20}


@pytest.mark.parametrize("file_times", ["as written", "all the same", "the other way round"])
def test_runs_are_found_the_freshest_first(tmp_path: Path, file_times: str) -> None:
    """By what they say themselves: a folder that was copied, moved or touched has other file times."""
    now = time.time()
    for age, name in enumerate(("new", "old", "older")):
        folder = make_run(tmp_path / name, heartbeat=now - age * 100)
        seconds = {"as written": now - age * 100, "all the same": now, "the other way round": now + age * 100}
        for path in folder.rglob("*"):
            os.utime(path, (seconds[file_times],) * 2)
    (tmp_path / "no-run").mkdir()
    assert [folder.name for folder in find_runs(tmp_path)] == ["new", "old", "older"]


def test_sparkline() -> None:
    assert sparkline([0.0, 0.4, 1.0], 8) == "▁▄█"
    assert sparkline([9.0, 0.0, 1.0], 2) == "▁█"
    assert sparkline([1.0] * 20, 8) == "▁" * 8
    assert sparkline([], 8) == sparkline([float("nan")], 8) == ""


def test_the_board_tells_what_the_folder_says(tmp_path: Path) -> None:
    run = look(make_run(tmp_path / "run"), num_log_lines=2)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(overview([run]), detail(run))
    told = console.export_text()
    parts = "running", "25%", "1 min 35 s", "0.8123", "patience 5", "12.3 samples/s", "2.00e-05", "best.ckpt 1 MiB"
    for part in (*parts, "line 39", "cores"):
        assert part in told, part


def test_stop_takes_silence_for_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert not stop._is_confirmed([look(make_run(tmp_path / "run"))])
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert stop._is_confirmed([look(tmp_path / "run")])


def test_a_board_of_80_columns_tells_runs_apart_and_how_to_go_on(tmp_path: Path) -> None:
    names = ("default-20261122-141729-6c76fd", "default-20261122-141730-aaaaaa")
    runs = [look(make_run(tmp_path / name, state=record.INTERRUPTED)) for name in names]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(overview(runs), detail(runs[0]))
    told = console.export_text()
    assert all(name in told for name in names)
    assert "resume with" in told


def _set(folder: Path, pid: int) -> Path:
    states = {"first": record.RUNNING, "second": record.DONE, "third": record.SKIPPED}
    jobs = [
        {"folder": str(folder.parent / name), "state": state, "slot": 0, "seconds": 75.0 * (state == record.DONE)}
        for name, state in states.items()
    ]
    record.write_json(folder / record.QUEUE, {"pid": pid, "host": socket.gethostname(), "slots": 2, "jobs": jobs})
    return folder


def test_a_set_of_runs_is_shown_while_it_goes(tmp_path: Path) -> None:
    make_run(tmp_path / "first")
    going = _set(tmp_path / "set", os.getpid())
    for told in (_monitor(f"logs={tmp_path}", "--once").stdout, _monitor(f"run={going}", "--once").stdout):
        assert "set: 1 of 3 done, 2 at a time" in told
        lines = [line for line in told.splitlines() if any(name in line for name in ("first", "second", "third"))]
        assert [name in line for name, line in zip(("first", "third", "second"), lines, strict=False)] == [True] * 3
        assert "0.8123" in lines[0]
        assert "1 min 15 s" in lines[2]
    _set(tmp_path / "set", _dead_pid())
    assert "of 3 done" not in _monitor(f"logs={tmp_path}", "--once").stdout
    assert "of 3 done" in _monitor(f"logs={tmp_path}", "run=set", "--once").stdout


def test_one_frame_shows_the_dead_and_needs_no_torch(tmp_path: Path) -> None:
    make_run(tmp_path / "dead", pid=_dead_pid())
    told = _monitor(f"logs={tmp_path}", "--once").stdout
    assert "crashed" in told
    assert "0.8123" in told
    program = "import sys, lit_humor.monitor, lit_humor.stop; print({'torch', 'hydra', 'lightning'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("arguments", [["--fast"], ["run=nope"], ["foo=1"]])
def test_mistakes_at_the_monitor(arguments: list[str], tmp_path: Path) -> None:
    done = _monitor(f"logs={tmp_path}", *arguments, "--once")
    assert done.returncode == 1
    assert "expected" in done.stderr
    assert "Traceback" not in done.stderr


def test_monitor_of_no_runs(tmp_path: Path) -> None:
    assert "No runs" in _monitor(f"logs={tmp_path}", "--once").stdout


def test_stop_leaves_dead_runs_alone_and_asks_before_all(tmp_path: Path) -> None:
    dead = make_run(tmp_path / "dead", pid=_dead_pid())
    done = _stop(f"run={dead}")
    assert done.returncode == 1
    assert "not alive: crashed" in done.stdout
    assert _stop("--all", f"logs={tmp_path}").stdout.strip() == "No run is alive."
    alive = make_run(tmp_path / "alive")
    done = _stop("--all", f"logs={tmp_path}", answer="n\n")
    assert "Stop it?" in done.stdout
    assert done.returncode == 1
    assert not (alive / record.STOP_REQUEST).exists()
    for wrong in ([], ["run=nope"], ["--all", "run=x"], ["--everything"]):
        assert "expected" in _stop(*wrong, f"logs={tmp_path}").stderr


def test_stop_waits_until_the_run_has_saved(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    obedient = subprocess.Popen([sys.executable, "-c", _OBEDIENT, str(folder)])
    while json.loads((folder / record.STATUS).read_text())["pid"] != obedient.pid:
        time.sleep(0.05)
    done = _stop("run=run", f"logs={tmp_path}")
    assert done.returncode == 0, done.stdout
    assert f"train.py resume={folder}" in done.stdout
    assert not (folder / record.STOP_REQUEST).exists()
    assert obedient.wait() == 0


_OBEDIENT = """
import json, os, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
status = json.loads((folder / "status.json").read_text()) | {"pid": os.getpid(), "heartbeat": time.time()}
(folder / "status.json").write_text(json.dumps(status))
while not (folder / "stop-request").exists():
    time.sleep(0.05)
time.sleep(0.5)
(folder / "status.json").write_text(json.dumps(status | {"state": "interrupted"}))
"""
