"""launch=cloud against a cloud of one machine (sky.py), which answers as SkyPilot does."""

import csv
import json
import os
import sys
import time
from pathlib import Path

import pytest

from lit_humor.config.command import compose
from lit_humor.core.errors import UserError
from lit_humor.launch.queue import Job, Queue
from lit_humor.sweeps.queues import open_queue
from tests.cluster.test_slurm import steps_of
from tests.e2e.lending import lent_python  # noqa: F401  # a fixture
from tests.e2e.typed import ROOT, start
from tests.unit.test_sweeping import A_RUN

GOLDEN = Path(__file__).with_name("one_chain.yaml")


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its state; its commands are on the path."""
    state, commands = tmp_path / "cloud", tmp_path / "bin"
    (state / "bucket").mkdir(parents=True)
    commands.mkdir()
    for name in ("sky", "aws"):
        path = commands / name
        path.write_text(f'#!/bin/bash\nexec {sys.executable} {Path(__file__).with_name("sky.py")} {name} "$@"\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_CLOUD", str(state))
    return state


def _queue(logs: Path, *settings: str, watch: bool = True) -> Queue:
    here = (f"paths.logs_dir={logs}", "launch.bucket=s3://jokes", "launch.poll_seconds=0.2")
    cfg = compose("sweep", ["launch=cloud", f"launch.watch={str(watch).lower()}", *here, *settings])
    return open_queue(cfg, logs / "set", lambda job: None)


def _job(folder: Path, *after: Job, state: str = "done") -> Job:
    return Job(folder, [sys.executable, "-c", A_RUN, str(folder), "0.3", state], after=after)


def _tasks(cloud: Path) -> list[str]:
    return [json.loads(path.read_text())["name"] for path in sorted(cloud.glob("*.yaml"))]


def test_chains_are_jobs_and_children_of_two_wait(cloud: Path, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    first, second = _job(logs / "first"), _job(logs / "second")
    both = _job(logs / "both", first, second)
    last = _job(logs / "last", both)
    _queue(logs).run([first, second, both, last])
    assert [job.state for job in (first, second, both, last)] == ["done"] * 4
    assert _tasks(cloud) == ["first", "second", "both"]  # last goes on where both was
    began, ended = (float((job.folder / what).read_text()) for job, what in ((both, "began"), (first, "ended")))
    assert began > ended
    assert (cloud / "bucket" / "last" / "result.json").is_file()


def test_the_task_file_is_what_it_was(cloud: Path, tmp_path: Path) -> None:
    logs, data = tmp_path / "logs", tmp_path / "my data" / "train.csv"
    data.parent.mkdir()
    data.touch()
    train = [sys.executable, str(ROOT / "src" / "lit_humor" / "train.py"), f"data.train_path={data}"]
    parent = Job(logs / "parent", [*train, "run_id=parent", f"paths.logs_dir={logs}", "paths.cache_dir=/somewhere"])
    child = Job(logs / "child", [*train, f"init_from='{logs / 'parent'}'"], after=[parent])
    queue = _queue(logs, "launch.resources.infra=aws")
    task = queue.task_of([parent, child])  # type: ignore[attr-defined]
    found = json.dumps(task, indent=2).replace(str(tmp_path), "FOLDER").replace(str(ROOT), "CHECKOUT")
    found = found.replace(next(iter(task["file_mounts"])).split("/")[3], "HASH")
    assert found + "\n" == GOLDEN.read_text()


def test_what_fails_there_is_told_and_its_children_are_skipped(cloud: Path, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    bad, good = _job(logs / "bad", state="failed"), _job(logs / "good")
    child = _job(logs / "child", bad, good)
    _queue(logs).run([bad, good, child])
    assert [job.state for job in (bad, good, child)] == ["failed", "done", "skipped"]
    mended = [_job(logs / "bad"), _job(logs / "good")]
    _queue(logs).run(mended)
    assert [job.state for job in mended] == ["done", "done"]
    assert _tasks(cloud) == ["bad", "good", "bad"], "what is done is not rented for again"


def test_a_second_call_finds_what_is_there(cloud: Path, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    jobs = [_job(logs / "one")]
    _queue(logs, watch=False).run(jobs)
    assert jobs[0].state == "waiting"
    again = [_job(logs / "one")]
    _queue(logs).run(again)
    assert again[0].state == "done"
    assert len(_tasks(cloud)) == 1


def test_a_run_whose_machine_is_taken_away_goes_on_and_ends_the_same(
    cloud: Path,
    tmp_path: Path,
    lent_python: Path,  # noqa: F811
) -> None:
    settings = ("debug=tiny", "trainer.max_epochs=3", "trainer.checkpoint_every=2", "baseline=false", "report=false")
    there = ("launch=cloud", "launch.bucket=s3://jokes", "launch.poll_seconds=1")
    command = ("sweep", "plan=seeds", "n=1", "name=set")
    rows = []
    for number, is_taken in enumerate((False, True), start=1):
        logs = tmp_path / f"logs {number}"
        sweep = start(*command, *settings, *there, f"paths.logs_dir={logs}", FAKE_PYTHON=str(lent_python))
        while is_taken and not any(steps_of(path) > 3 for path in (cloud / "bucket").glob("*/status.json")):
            assert sweep.poll() is None
            time.sleep(0.02)
        if is_taken:
            (cloud / f"{number}.taken").touch()
        assert sweep.ended().returncode == 0
        assert json.loads((cloud / f"{number}.json").read_text())["recovery_count"] == is_taken
        run = next(logs.glob("*/config.yaml")).parent
        assert len(json.loads((run / "environment.json").read_text()).get("resumed_by", [])) == is_taken
        rows.append(next(csv.DictReader((logs / "set" / "summary.csv").open())))
        (cloud / "bucket").rename(cloud / f"bucket {number}")
        (cloud / "bucket").mkdir()
    assert rows[0] == rows[1]


def test_what_is_missing_is_named(cloud: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"launch\.bucket: found jokes, expected s3://<name> or gs://<name>"):
        _queue(tmp_path, "launch.bucket=jokes")
    (tmp_path / "bin" / "sky").write_text("#!/bin/bash\nexit 4\n")
    with pytest.raises(UserError, match="exit code 4 of sky jobs launch"):
        _queue(tmp_path).run([_job(tmp_path / "run")])
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(UserError, match="launch=cloud: found no gcloud on this machine"):
        _queue(tmp_path, "launch.bucket=gs://jokes")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="launch=cloud: found no sky on this machine"):
        _queue(tmp_path)
