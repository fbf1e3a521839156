"""launch=ssh against a folder that plays another machine."""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest

from lit_humor.config.command import compose
from lit_humor.core.errors import UserError
from lit_humor.launch.queue import Job
from lit_humor.launch.remote import describe_jobs, read_jobs
from lit_humor.sweeps.queues import open_queue
from tests.e2e.lending import lent_python  # noqa: F401  # a fixture
from tests.e2e.typed import typed

ARGUMENTS = ("model=tiny", "debug=tiny", "trainer.max_epochs=1", "baseline=false", "report=false", "name=set")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lent_python: Path) -> Path:  # noqa: F811
    """Its home folder; a command ``ssh`` on the path runs everything there, train.py in copies of a warm process."""
    if shutil.which("rsync") is None:
        pytest.skip("no rsync on this machine")
    home, commands = tmp_path / "home", tmp_path / "bin"
    home.mkdir()
    commands.mkdir()
    python = f'#!/bin/sh\\nexec {lent_python} "$@"\\n'
    scripts = {
        "ssh": f'[ $1 == -l ] && shift 2\necho "$1" >> {home}.hosts\nshift\ncd {home}\nexec bash -c "$*"\n',
        "setup": f"mkdir -p .venv/bin; printf '{python}' > .venv/bin/python; chmod +x .venv/bin/python\n",
    }
    for name, lines in scripts.items():
        (commands / name).write_text(f"#!/bin/bash\n{lines}")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    return home


def _write_data(folder: Path) -> Path:
    path = folder / "train.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([f"{'a joke' if row % 2 else 'a report'} about {row} things", row % 2] for row in range(80))
    return path


def test_runs_train_there_and_lie_here(machine: Path, tmp_path: Path) -> None:
    data = ("data=csv", f"data.train_path={_write_data(tmp_path)}")
    places = (f"paths.logs_dir={tmp_path / 'logs'}", f"paths.cache_dir={tmp_path / 'cache'}")
    there = ("launch=ssh", "launch.host=me@gpu", "launch.setup=setup", "slots=2")
    done = typed("sweep", "plan=seeds", "n=2", *data, *ARGUMENTS, *places, *there)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set((tmp_path / "home.hosts").read_text().split()) == {"me@gpu", "gpu"}  # rsync gives the name apart
    runs = json.loads((tmp_path / "logs" / "set" / "sweep.json").read_text())["runs"]
    for run in runs:
        assert (tmp_path / "logs" / run / "checkpoints" / "best.ckpt").is_file()
        assert f"{machine}/lit_humor/data-sent/" in (tmp_path / "logs" / run / "config.yaml").read_text()
    assert (tmp_path / "logs" / "set" / "summary.md").is_file()
    assert "Run folder" in (tmp_path / "logs" / "set" / "output" / f"{runs[0]}.txt").read_text()
    assert not (tmp_path / "cache").exists()
    (tmp_path / "home.hosts").unlink()
    again = typed("sweep", "plan=seeds", "n=2", *data, *ARGUMENTS, *places, *there)
    assert again.returncode == 0, again.stderr
    assert not (tmp_path / "home.hosts").exists(), "what is done is not sent again"


def test_a_folder_with_other_things_is_left_alone(machine: Path, tmp_path: Path) -> None:
    (machine / "thesis.txt").write_text("mine")
    there = ("launch=ssh", "launch.host=gpu", "launch.setup=setup", "launch.place=.")
    done = typed("sweep", "n=1", *ARGUMENTS, f"paths.logs_dir={tmp_path / 'logs'}", *there)
    assert done.returncode == 1
    assert "launch.place=.: found a remote folder with other files" in done.stderr
    assert [path.name for path in machine.iterdir()] == ["thesis.txt"]


def test_what_went_further_there_is_not_set_back(machine: Path, tmp_path: Path) -> None:
    """As after a connection that broke before anything was fetched."""
    arguments = ("n=1", *ARGUMENTS, f"paths.logs_dir={tmp_path / 'logs'}")
    there = ("launch=ssh", "launch.host=gpu", "launch.setup=setup")
    assert typed("sweep", *arguments, *there).returncode == 0
    (run,) = json.loads((tmp_path / "logs" / "set" / "sweep.json").read_text())["runs"]
    status = tmp_path / "logs" / run / "status.json"
    status.write_text(status.read_text().replace('"done"', '"interrupted"'))
    os.utime(status, (1, 1))
    again = typed("sweep", *arguments, *there)
    assert again.returncode == 0, again.stderr
    assert "Done already" not in (tmp_path / "logs" / "set" / "output" / f"{run}.txt").read_text()
    assert json.loads(status.read_text())["state"] == "done"


def test_a_queue_that_dies_there_is_told(machine: Path, tmp_path: Path) -> None:
    there = ("launch=ssh", "launch.host=gpu", "launch.setup=mkdir -p .venv/bin")
    done = typed("sweep", "n=1", *ARGUMENTS, f"paths.logs_dir={tmp_path / 'logs'}", *there)
    assert done.returncode == 1
    assert "launch.host=gpu: found exit code 127 of the remote queue" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failure_there_is_told_here(machine: Path, tmp_path: Path) -> None:
    there = ("launch=ssh", "launch.host=gpu", "launch.setup=setup")
    done = typed("sweep", "n=1", "data.languages=[xx]", *ARGUMENTS, f"paths.logs_dir={tmp_path / 'logs'}", *there)
    assert done.returncode == 1
    assert "data.languages" in done.stdout
    assert "failed runs: default-1-" in done.stderr
    done = typed("sweep", "n=1", *ARGUMENTS, f"paths.logs_dir={tmp_path / 'logs'}", *there[:2], "launch.setup=exit 1")
    assert done.returncode == 1
    assert "launch.host=gpu: found exit code 1 of " in done.stderr


@pytest.mark.parametrize("host", ["null", "-oProxyCommand"])
def test_hosts_that_are_none(machine: Path, tmp_path: Path, host: str) -> None:
    cfg = compose("sweep", ["launch=ssh", f"launch.host={host}"])
    with pytest.raises(UserError, match=r"launch\.host: found"):
        open_queue(cfg, tmp_path, lambda job: None)


def test_jobs_are_described_whole(tmp_path: Path) -> None:
    first = Job(tmp_path / "first", ["train", "a=1"], cost=2.0)
    jobs = [first, Job(tmp_path / "second", ["eval"], after=[first])]
    again = read_jobs(json.loads(json.dumps(describe_jobs(jobs))))
    assert [(job.folder, job.command, job.cost) for job in again] == [
        (job.folder, job.command, job.cost) for job in jobs
    ]
    assert again[1].after == [again[0]]
