import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from lit_humor.core.errors import UserError
from lit_humor.launch.queue import Job, LocalQueue, split_machine
from lit_humor.runs import record
from lit_humor.sweeps.searching import Search, check_range, rows_of
from lit_humor.sweeps.summary import write_trials

# A run whose val/f1 is what its smoothing says; below 0.05 it goes on for epochs until it is asked to stop.
A_RUN = """
import json, os, pathlib, sys, time
folder, score = pathlib.Path(sys.argv[1]), float(sys.argv[2])
folder.mkdir(exist_ok=True)
def tell(state):
    (folder / "status.json").write_text(json.dumps({"state": state, "pid": os.getpid(), "host": os.uname().nodename}))
tell("running")
for epoch in range(1, 200 if score < 0.05 else 4):
    lines = ["epoch,train/loss,val/f1", *(f"{one},0.5,{score}" for one in range(epoch))]
    (folder / "metrics.csv").write_text("\\n".join(lines) + "\\n")
    time.sleep(0.3)
    if (folder / "stop-request").exists():
        tell("interrupted")
        sys.exit(130)
(folder / "result.json").write_text(json.dumps({"results": {"val": {"f1": score}, "test": {"f1": score - 0.1}}}))
tell("done")
"""
KEY = "objective.label_smoothing"


def _search(folder: Path, count: int, values: Any = (0.1, 0.7, 0.9)) -> tuple[Search, list[Job]]:
    def make_job(settings: list[str]) -> Job:
        value = settings[0].partition("=")[2]
        run = folder / f"run-{value}"
        return Job(run, [sys.executable, "-c", A_RUN, str(run), value])

    default = OmegaConf.create({"objective": {"label_smoothing": 0.1}})  # the recipe
    return Search(folder / "set", {KEY: list(values)}, default, count, make_job), []


def _run(search: Search, jobs: list[Job], folder: Path, slots: int = 1) -> list[dict[str, Any]]:
    queue = LocalQueue(split_machine(slots, []), folder, lambda job: None)
    queue.run(jobs, lambda: search.look_after(jobs, slots))
    return rows_of(search, folder)


def test_the_first_trial_is_the_recipe_and_a_larger_number_goes_on(tmp_path: Path) -> None:
    search, jobs = _search(tmp_path, 2, values=(0.7, 0.9))
    rows = _run(search, jobs, tmp_path)
    assert [row["trial"] for row in rows] == [0, 1]
    assert all(row["state"] == "done" and row["val f1"] == row[KEY] for row in rows)
    search, jobs = _search(tmp_path, 5, values=(0.7, 0.9))
    rows = _run(search, jobs, tmp_path)
    assert [row["trial"] for row in rows] == [0, 1, 2, 3, 4]
    assert {job.folder.name for job in jobs} <= {"run-0.7", "run-0.9"}  # equal settings share a run


def test_settings_as_they_are_come_first(tmp_path: Path) -> None:
    search, jobs = _search(tmp_path, 1, values=(0.9, 0.8, 0.1))  # 0.1 is the recipe's
    search.look_after(jobs, 1)
    assert [job.folder.name for job in jobs] == ["run-0.1"]


def test_what_a_killed_call_left_is_proposed_again(tmp_path: Path) -> None:
    search, jobs = _search(tmp_path, 1, values=(0.7, 0.9))
    search.look_after(jobs, 1)  # and no more is heard of that call
    again, new_jobs = _search(tmp_path, 1, values=(0.7, 0.9))
    rows = _run(again, new_jobs, tmp_path)
    assert [job.folder for job in new_jobs] == [job.folder for job in jobs]
    assert [row["state"] for row in rows] == ["done"]


def test_a_trial_that_falls_behind_is_stopped(tmp_path: Path) -> None:
    search, jobs = _search(tmp_path, 5, values=(0.1, 0.7, 0.8, 0.9, 0.02))
    for value in (0.7, 0.8, 0.9, 0.02):
        search.study.enqueue_trial({KEY: value})
    rows = _run(search, jobs, tmp_path)
    assert [row["state"] for row in rows] == ["done"] * 4 + ["pruned"]
    assert record.read_json(jobs[-1].folder / record.STATUS)["state"] == record.INTERRUPTED
    table = write_trials(rows, search.has_recipe, tmp_path, "Search")
    assert [row[table.columns.index("trial")] for row in table.rows] == ["3", "2", "1", "0", "4"]
    assert table.note.endswith(
        "the best, trial 3, differs by +0.8000 on the validation rows, which chose it, and by +0.8000 on test."
    )
    assert (tmp_path / "summary.csv").read_text().splitlines()[-1].startswith("4,pruned,0.02,")


def test_where_all_fail_the_search_ends(tmp_path: Path) -> None:
    search, jobs = _search(tmp_path, 9, values=("oops", "uh"))
    rows = _run(search, jobs, tmp_path, slots=2)
    assert 1 <= len(rows) <= 2  # and nothing more is tried
    assert {row["state"] for row in rows} == {"failed"}
    assert (
        write_trials(rows, search.has_recipe, tmp_path, "Search").note == "No trial that could be compared has ended."
    )


@pytest.mark.parametrize("values", [3, "abc", [1], {"low": 1}, {"low": 2, "high": 1}, {"low": 1, "high": 2, "step": 1}])
def test_ranges_that_are_none(values: Any) -> None:
    with pytest.raises(UserError, match=r"space\.x: found"):
        check_range("x", values)


def test_ranges() -> None:
    assert check_range("x", [1, 2]) == [1, 2]
    assert check_range("x", {"low": 1, "high": 5}) == {"low": 1, "high": 5, "log": False, "number": int}
    assert check_range("x", {"low": 1.0, "high": 5, "log": True})["number"] is float
