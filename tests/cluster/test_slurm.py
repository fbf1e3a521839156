"""launch=slurm against a cluster of one machine (slurm.py), which answers as SLURM does."""

import csv
import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from submitit import LocalExecutor
from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob

from lit_humor.config.command import compose
from lit_humor.core.errors import UserError
from lit_humor.launch import slurm
from lit_humor.launch.queue import Job, Queue
from lit_humor.launch.slurm import Chain
from lit_humor.sweeps.queues import open_queue
from tests.e2e.lending import lent_python, take_python  # noqa: F401  # a fixture
from tests.e2e.typed import ROOT, start, typed
from tests.unit.test_sweeping import A_RUN

GOLDEN = Path(__file__).with_name("eight_runs.sh")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its state; its commands are on the path."""
    state, commands = tmp_path / "cluster", tmp_path / "bin"
    state.mkdir()
    commands.mkdir()
    for name in ("sbatch", "srun", "sacct", "scontrol", "scancel"):
        (commands / name).write_text(
            f'#!/bin/bash\nexec {sys.executable} {Path(__file__).with_name("slurm.py")} {name} "$@"\n'
        )
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(state))
    monkeypatch.setattr(SlurmJob, "watcher", SlurmInfoWatcher())  # it remembers jobs by their numbers
    return state


def _job(folder: Path, *after: Job, state: str = "done") -> Job:
    return Job(folder, [sys.executable, "-c", A_RUN, str(folder), "0.3", state], after=after)


def _queue(folder: Path, *settings: str, watch: bool = True) -> Queue:
    cfg = compose("sweep", ["launch=slurm", f"launch.watch={str(watch).lower()}", "launch.poll_seconds=0.3", *settings])
    return open_queue(cfg, folder / "set", lambda job: None)


def _scripts(cluster: Path) -> list[str]:
    return [path.read_text() for path in sorted(cluster.glob("*.batch"))]


def test_equal_chains_are_an_array_and_children_wait_for_their_parents(cluster: Path, tmp_path: Path) -> None:
    first, second = _job(tmp_path / "first"), _job(tmp_path / "second")
    both = _job(tmp_path / "both", first, second)
    last = _job(tmp_path / "last", both)
    jobs = [first, second, both, last]
    queue = _queue(tmp_path)
    queue.run(jobs)
    assert [job.state for job in jobs] == ["done"] * 4
    began = {job: float((job.folder / "began").read_text()) for job in jobs}
    ended = {job: float((job.folder / "ended").read_text()) for job in jobs}
    assert began[both] > max(ended[first], ended[second])
    assert began[last] > ended[both]
    array, chain = _scripts(cluster)
    assert "#SBATCH --array=0-1%2" in array
    assert "#SBATCH --dependency=afterok:1_0:1_1" in chain
    assert "a last word" in queue.output_of(last).read_text()


def test_the_script_is_what_it_was(cluster: Path, tmp_path: Path) -> None:
    settings = ("launch.partition=gpu", "launch.setup=[module load cuda]", "+launch.account=humor")
    _queue(tmp_path, *settings, watch=False).run([_job(tmp_path / f"run{number}") for number in range(8)])
    (script,) = _scripts(cluster)
    assert script.replace(str(tmp_path), "FOLDER").replace(sys.executable, "PYTHON") == GOLDEN.read_text()


def test_what_waits_for_a_failure_is_skipped_and_nothing_else(cluster: Path, tmp_path: Path) -> None:
    bad, good = _job(tmp_path / "bad", state="failed"), _job(tmp_path / "good")
    child = _job(tmp_path / "child", bad, good)
    grandchild = _job(tmp_path / "grandchild", child)
    jobs = [bad, good, child, grandchild]
    _queue(tmp_path).run(jobs)
    assert [job.state for job in jobs] == ["failed", "done", "skipped", "skipped"]
    assert not child.folder.exists()


def test_a_second_call_submits_only_what_slurm_does_not_have(cluster: Path, tmp_path: Path) -> None:
    def jobs() -> list[Job]:
        return [_job(tmp_path / "one"), _job(tmp_path / "two")]

    _queue(tmp_path, watch=False).run(jobs())
    again = jobs()
    _queue(tmp_path).run(again)
    assert [job.state for job in again] == ["done", "done"]
    assert len(_scripts(cluster)) == 1
    _queue(tmp_path).run([*jobs(), third := _job(tmp_path / "three")])
    assert third.state == "done"
    assert len(_scripts(cluster)) == 2


def test_a_run_that_meets_its_limit_goes_on_and_ends_the_same(
    cluster: Path,
    tmp_path: Path,
    lent_python: Path,  # noqa: F811
) -> None:
    arguments = ("plan=seeds", "n=1", "debug=tiny", "trainer.max_epochs=3", "baseline=false", "report=false")
    logs = {name: tmp_path / name for name in ("undisturbed", "limited")}
    places = {name: (f"paths.logs_dir={path}", f"paths.cache_dir={tmp_path / 'cache'}") for name, path in logs.items()}
    done = typed("sweep", *arguments, *places["undisturbed"], "name=set")
    assert done.returncode == 0, done.stderr
    there = ("launch=slurm", "launch.poll_seconds=1", *arguments, *places["limited"], "name=set")
    limited = start("sweep", *there, before=partial(take_python, str(lent_python)))
    while not any(steps_of(path) for path in logs["limited"].glob("*/status.json")):
        assert limited.poll() is None
        time.sleep(0.05)
    (cluster / "1.limit").touch()
    assert limited.ended().returncode == 0
    assert json.loads((cluster / "1.json").read_text())["starts"] == 2
    run = next(logs["limited"].glob("*/config.yaml")).parent
    assert len(json.loads((run / "environment.json").read_text())["resumed_by"]) == 1
    rows = [next(csv.DictReader((path / "set" / "summary.csv").open())) for path in logs.values()]
    assert rows[0] == rows[1]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="no /proc here")
def test_a_chain_is_what_submitit_takes_without_a_cluster_too(tmp_path: Path, lent_python: Path) -> None:  # noqa: F811
    """Its local executor: the same pickles, signals and requeues."""
    command = [
        str(lent_python),
        str(ROOT / "src" / "lit_humor" / "train.py"),
        "debug=tiny",
        "baseline=false",
        "callbacks.early_stopping=null",
        "callbacks.confusion=null",
    ]
    settings = ["report=false", "trainer.max_epochs=30", "run_id=run", "resume=auto", f"paths.logs_dir={tmp_path}"]
    executor = LocalExecutor(tmp_path / "jobs")
    executor.update_parameters(timeout_min=5)
    job = executor.submit(Chain([[*command, *settings, f"paths.cache_dir={tmp_path / 'cache'}"]], 60.0))
    while not ((status := tmp_path / "run" / "status.json").is_file() and steps_of(status)):
        assert not job.done(), job.stderr()
        time.sleep(0.05)
    controller = job._process.pid
    task = int(Path(f"/proc/{controller}/task/{controller}/children").read_text().split()[0])
    os.kill(task, signal.SIGUSR2)  # as the controller does before its limit
    assert job.result() is None, job.stderr()
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "done"
    assert len(json.loads((tmp_path / "run" / "environment.json").read_text())["resumed_by"]) == 1


def steps_of(status: Path) -> int:
    try:
        return int(json.loads(status.read_text()).get("step", 0))
    except ValueError:
        return 0


def test_what_sbatch_refuses_is_told(cluster: Path, tmp_path: Path) -> None:
    sbatch = cluster.with_name("bin") / "sbatch"
    sbatch.write_text("#!/bin/bash\necho 'sbatch: error: invalid partition specified: gpuu' >&2; exit 1\n")
    with pytest.raises(UserError, match=r"launch=slurm: found .*invalid partition specified: gpuu"):
        _queue(tmp_path, "launch.partition=gpuu").run([_job(tmp_path / "run")])


def test_a_job_that_sacct_does_not_know_is_waited_for_but_not_for_ever(
    cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = _queue(tmp_path, watch=False)
    queue.run([job := _job(tmp_path / "run")])
    sacct = cluster.with_name("bin") / "sacct"
    sacct.write_text("#!/bin/bash\necho 'JobID|State|NodeList'\n")
    queue._query()  # type: ignore[attr-defined]
    assert queue._is_alive("1")  # type: ignore[attr-defined]
    monkeypatch.setattr(slurm, "_PATIENCE_SECONDS", 0.0)
    assert not queue._is_alive("1")  # type: ignore[attr-defined]
    assert job.state == "waiting"


def test_a_training_on_two_nodes_knows_which_of_them_it_is_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = {
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_NODEID": "1",
        "SLURM_JOB_NODELIST": "gpu[7-8]",
        "SLURM_NTASKS": "2",
        "SLURM_JOB_ID": "7",
    }
    for name, value in (node | {"SUBMITIT_EXECUTOR": "slurm"}).items():
        monkeypatch.setenv(name, value)
    script = f"import json, os; json.dump(dict(os.environ), open({str(tmp_path / 'seen')!r}, 'w'))"
    Chain([[sys.executable, "-c", ""], [sys.executable, "-c", script]], 1.0)()
    seen = json.loads((tmp_path / "seen").read_text())
    wanted = {"NODE_RANK": "1", "MASTER_ADDR": "gpu7", "MASTER_PORT": str(20000 + 7 * 64 + 2)}
    assert {name: seen[name] for name in wanted} == wanted
    assert not [name for name in seen if name.startswith("SLURM_")], "train.py starts its processes itself"


def test_without_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        UserError, match=r"launch=slurm: found no sbatch srun sacct on this machine, expected a SLURM cluster"
    ):
        _queue(tmp_path)


@pytest.mark.parametrize(
    ("setting", "told"),
    [("launch.time=long", "launch.time: found long"), ("+launch.partitoin=gpu", "launch: found .*partitoin")],
)
def test_mistakes(cluster: Path, tmp_path: Path, setting: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        _queue(tmp_path, setting)
