import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from lit_humor.config.command import compose
from lit_humor.launch.queue import Job, LocalQueue, split_machine
from lit_humor.runs import record
from lit_humor.runs.watch import is_done
from lit_humor.sweeps.comparing import paired_difference
from lit_humor.sweeps.planned_runs import PlannedRun, expand
from lit_humor.sweeps.summary import interval, join_predictions, write_summary
from lit_humor.sweeps.sweeping import choices, make_jobs, signature

# A run as far as a queue knows one: it takes a moment, writes how it ended, and saves when asked to stop.
A_RUN = """
import json, os, pathlib, signal, sys, time
folder, seconds, state = pathlib.Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
def tell(state):
    told = {"state": state, "pid": os.getpid(), "host": os.uname().nodename}
    (folder / "new").write_text(json.dumps(told))
    (folder / "new").rename(folder / "status.json")
def stop(*_):
    tell("interrupted")
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
folder.mkdir(exist_ok=True)
tell("running")
(folder / "began").write_text(str(time.time()))
time.sleep(seconds)
tell(state)
(folder / "result.json").write_text("{}")
(folder / "ended").write_text(str(time.time()))
print("a last word")
sys.exit(0 if state == "done" else 1)
"""


def _job(folder: Path, seconds: float = 0.3, state: str = "done", cost: float = 1.0, after: Job | None = None) -> Job:
    parents = [after] if after else []
    return Job(folder, [sys.executable, "-c", A_RUN, str(folder), str(seconds), state], cost, parents)


def _queue(folder: Path, slots: int = 1) -> tuple[LocalQueue, list[tuple[str, str]]]:
    seen: list[tuple[str, str]] = []
    noticed = lambda job: seen.append((job.folder.name, job.state))  # noqa: E731
    return LocalQueue(split_machine(slots, []), folder, noticed), seen


def _time(job: Job, what: str) -> float:
    return float((job.folder / what).read_text())


def test_a_plan_is_every_variant_under_every_choice_for_every_repeat() -> None:
    runs = expand({"a": [], "b": ["x=1"]}, {"b": "a"}, {"": ["y=2"]}, "seed", 2)
    assert runs == [
        PlannedRun("a", 1, ("y=2", "seed=1")),
        PlannedRun("b", 1, ("y=2", "seed=1", "x=1"), ("a",)),
        PlannedRun("a", 2, ("y=2", "seed=2")),
        PlannedRun("b", 2, ("y=2", "seed=2", "x=1"), ("a",)),
    ]


def test_values_behind_commas_are_taken_in_turn_and_lists_are_not() -> None:
    found = choices(["experiment=v1,v3", "optim.learning_rate=1e-5,3e-5", "data.languages=[en,de]"])
    assert len(found) == 4
    assert found["experiment=v1, optim.learning_rate=3e-05"] == [
        "experiment=v1",
        "optim.learning_rate=3e-05",
        "data.languages=[en,de]",
    ]
    assert choices(["debug=tiny"]) == {"": ["debug=tiny"]}


def test_a_signature_is_of_what_a_training_comes_to() -> None:
    plain = signature(compose("train", []))
    elsewhere = ["trainer.num_workers=3", "trainer.num_nodes=2", "run_id=x", "resume=auto"]
    assert signature(compose("train", elsewhere)) == plain
    others = [signature(compose("train", [one])) for one in ("seed=1", "optim.layer_decay=1", "trainer.max_epochs=9")]
    assert len({plain, *others}) == 4


def test_a_run_has_one_name_wherever_it_is(tmp_path: Path) -> None:
    planned = expand({"": []}, {}, {"": ["experiment=v3", "debug=tiny"]}, "seed", 1)
    here, there = (make_jobs(planned, tmp_path / name, str(tmp_path / name))[0].folder for name in ("here", "there"))
    assert here.name == there.name
    assert here.name.startswith("v3-1-")


def test_equal_runs_of_a_plan_are_one_job(tmp_path: Path) -> None:
    variants = {
        "recipe": [],
        "no smoothing": ["objective.label_smoothing=0"],
        "same": ["objective.label_smoothing=0.1"],
    }
    jobs = make_jobs(expand(variants, {}, {"": []}, "seed", 1), tmp_path, str(tmp_path))
    assert jobs[0] is jobs[2]
    assert jobs[0] is not jobs[1]
    assert "resume=auto" in jobs[0].command


def test_children_wait_for_parents_and_the_longest_starts_first(tmp_path: Path) -> None:
    parent = _job(tmp_path / "parent")
    child = _job(tmp_path / "child", after=parent)
    long = _job(tmp_path / "long", cost=5)
    queue, seen = _queue(tmp_path)
    queue.run([parent, child, long])
    assert [name for name, state in seen if state == record.RUNNING] == ["long", "parent", "child"]
    assert _time(child, "began") > _time(parent, "ended")
    assert all(job.state == record.DONE for job in (parent, child, long))
    assert queue.output_of(long).read_text() == "a last word\n"


def test_slots_run_side_by_side_and_never_more(tmp_path: Path) -> None:
    jobs = [_job(tmp_path / str(number), seconds=0.6) for number in range(4)]
    queue, _ = _queue(tmp_path, slots=2)
    queue.run(jobs)
    events = sorted([(_time(job, "began"), 1) for job in jobs] + [(_time(job, "ended"), -1) for job in jobs])
    at_once = [sum(change for _, change in events[: index + 1]) for index in range(len(events))]
    assert max(at_once) == 2


def test_a_failure_skips_its_children_only(tmp_path: Path) -> None:
    bad = _job(tmp_path / "bad", state="failed")
    child, grandchild = _job(tmp_path / "child", after=bad), _job(tmp_path / "grandchild")
    grandchild.after = [child, bad]
    other = _job(tmp_path / "other")
    queue, _ = _queue(tmp_path)
    queue.run([bad, child, grandchild, other])
    told = record.read_json(tmp_path / record.QUEUE)["jobs"]
    assert [one["state"] for one in told] == [job.state for job in (bad, child, grandchild, other)]
    assert [job.state for job in (bad, child, grandchild, other)] == [
        record.FAILED,
        record.SKIPPED,
        record.SKIPPED,
        record.DONE,
    ]
    assert not child.folder.exists()


def test_what_is_done_is_not_started_again(tmp_path: Path) -> None:
    first = _job(tmp_path / "run")
    _queue(tmp_path)[0].run([first])
    began = _time(first, "began")
    queue, seen = _queue(tmp_path)
    queue.run([_job(tmp_path / "run")])
    assert seen == [("run", record.DONE)]
    assert _time(first, "began") == began


def test_ctrl_c_has_runs_save_and_leaves_none(tmp_path: Path) -> None:
    job = _job(tmp_path / "run", seconds=60)
    slots = split_machine(1, [])

    def interrupt(job: Job) -> None:
        if job.state == record.RUNNING:
            while not (job.folder / "began").is_file():
                time.sleep(0.05)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalQueue(slots, tmp_path, interrupt).run([job])
    assert job.state == record.INTERRUPTED
    assert record.read_json(job.folder / record.STATUS)["state"] == record.INTERRUPTED


def test_runs_save_when_the_queue_is_killed(tmp_path: Path) -> None:
    script = (
        f"from tests.unit.test_sweeping import _job, _queue; from pathlib import Path; "
        f"_queue(Path({str(tmp_path)!r}))[0].run([_job(Path({str(tmp_path / 'run')!r}), 60)])"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).resolve().parents[2])
    status = tmp_path / "run" / record.STATUS
    while not (tmp_path / "run" / "began").is_file():
        assert parent.poll() is None
        time.sleep(0.05)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    for _ in range(200):
        if json.loads(status.read_text())["state"] == record.INTERRUPTED:
            break
        time.sleep(0.05)
    assert json.loads(status.read_text())["state"] == record.INTERRUPTED
    assert not is_done(tmp_path / "run")


def test_slots_share_cores_and_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    slots = split_machine(2, ["5"])
    assert [list(slot.cores) for slot in slots] == [[0, 1], [2, 3]]
    assert [dict(slot.environment) for slot in slots] == [{"CUDA_VISIBLE_DEVICES": "5"}] * 2
    assert [list(slot.cores) for slot in split_machine(5, [])] == [[0], [1], [2], [3], [0]]


def test_intervals_and_tests_are_scipys() -> None:
    values = [0.90, 0.92, 0.91]
    assert interval(values) == pytest.approx(stats.t.interval(0.95, 2, loc=0.91, scale=stats.sem(values)))
    assert interval([0.9]) == (-math.inf, math.inf)
    base, other = {1: 0.8, 2: 0.9, 3: 0.7, 4: 0.1}, {1: 0.82, 2: 0.95, 3: 0.71}
    difference, p = paired_difference(other, base)
    assert difference == pytest.approx(0.08 / 3)
    assert p == pytest.approx(stats.ttest_rel([0.82, 0.95, 0.71], [0.8, 0.9, 0.7]).pvalue)


def test_predictions_of_all_runs_are_joined(tmp_path: Path) -> None:
    done = []
    for repeat, ids in ((1, ["a", "b"]), (2, ["c"])):
        folder = tmp_path / str(repeat)
        (folder / record.PREDICTIONS).mkdir(parents=True)
        pq.write_table(pa.table({"id": ids, "p_humor": [0.5] * len(ids)}), folder / record.PREDICTIONS / "test.parquet")
        done.append((PlannedRun("all", repeat, ()), folder))
    assert join_predictions(done, tmp_path / "all.parquet") == 3
    whole = pq.read_table(tmp_path / "all.parquet").to_pydict()
    assert whole["id"] == ["a", "b", "c"]
    assert whole["repeat"] == [1, 1, 2]


def test_the_summary_says_what_the_runs_say(tmp_path: Path) -> None:
    done = []
    for variant, repeat, f1 in (("a", 1, 0.8), ("a", 2, 0.9), ("b", 1, 0.9), ("b", 2, 0.94)):
        folder = tmp_path / f"{variant}{repeat}"
        scores = {"f1": f1, "accuracy": f1, "f1_macro": f1, "mcc": f1, "auroc": f1, "calibration_error": 1 - f1}
        record.write_json(folder / record.RESULT, {"results": {"val": {"f1": 0.0}, "test": scores}})
        done.append((PlannedRun(variant, repeat, ()), folder))
    (table,) = write_summary(done, "seed", tmp_path, "Plan")
    first, second = ([row[0], row[1], row[2], row[7]] for row in table.rows)
    assert first == ["a", "2", "0.850 ± 0.071", "0.150 ± 0.071"]
    assert second == ["b", "2", "0.920 ± 0.028 *", "0.080 ± 0.028 *"]
    assert table.rows[1][-1] == "+0.070 (p 0.258)"
    assert (tmp_path / "summary.csv").read_text().splitlines()[1].startswith("a1,a,1,test,0.8,")
    assert "| b | 2 | 0.920 ± 0.028 * |" in (tmp_path / "summary.md").read_text()
    assert "0.920 ± 0.028" in (tmp_path / "summary.html").read_text()


def test_a_matrix_says_what_each_model_does_with_each_language(tmp_path: Path) -> None:
    done = []
    for trained, repeat, scores in (("en", 1, (0.8, 0.4)), ("en", 2, (0.9, 0.5)), ("de", 1, (0.3, 0.7))):
        folder = tmp_path / f"{trained}{repeat}"
        slices = {"language": {name: {"f1": f1} for name, f1 in zip(("en", "de"), scores, strict=True)}}
        record.write_json(folder / record.RESULT, {"results": {"test": {"f1": 0.5, "slices": slices}}})
        done.append((PlannedRun(f"{trained} on all", repeat, (), (trained,), "eval"), folder))
    _, matrix = write_summary(done, "seed", tmp_path, "Plan", "language")
    assert matrix.columns == ["trained on", "en", "de"]
    assert matrix.rows == [["en", "0.850 ± 0.071", "0.450 ± 0.071"], ["de", "0.300", "0.700"]]
    assert "| de | 0.300 | 0.700 |" in (tmp_path / "summary.md").read_text()


def test_however_the_schedule_is_said_the_run_has_one_name() -> None:
    said = signature(compose("train", ["trainer.max_epochs=4", "trainer.schedule_epochs=4"]))
    assert signature(compose("train", ["trainer.max_epochs=4"])) == said
    assert signature(compose("train", ["trainer.max_epochs=5"])) != said
