import csv
import itertools
import json
import re
import signal
import statistics
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lit_humor.runs.watch import look
from tests.e2e.test_bad_input import assert_one_message
from tests.e2e.typed import start, typed, typed_here


def _arguments(folder: Path) -> tuple[str, ...]:
    return "debug=tiny", f"paths.logs_dir={folder / 'logs'}", f"paths.cache_dir={folder / 'cache'}", "name=set"


def test_a_second_call_runs_nothing_and_tells_the_same(tmp_path: Path) -> None:
    quick = ("trainer.max_epochs=1", "baseline=false", "report=false")
    arguments = ("plan=seeds", "n=2", "slots=2", *quick, *_arguments(tmp_path))
    first = typed("sweep", *arguments)
    assert first.returncode == 0, first.stdout + first.stderr
    tables = [(tmp_path / "logs" / "set" / f"summary.{ending}").read_text() for ending in ("md", "csv", "html")]
    told = json.loads((tmp_path / "logs" / "set" / "sweep.json").read_text())
    assert len(told["runs"]) == 2
    assert told["command"].startswith("sweep.py plan=seeds n=2 ")
    assert told["command"].endswith(" trainer.max_epochs=1 baseline=false report=false debug=tiny")
    for run in told["runs"]:
        f1 = json.loads((tmp_path / "logs" / run / "result.json").read_text())["results"]["test"]["f1"]
        assert f",{f1}," in tables[1]
    second = typed("sweep", *arguments)
    assert second.returncode == 0, second.stderr
    assert first.stdout.count(": running") == 2
    assert second.stdout.count(": running") == 0
    assert [(tmp_path / "logs" / "set" / f"summary.{ending}").read_text() for ending in ("md", "csv", "html")] == tables


def test_folds_score_every_row_once_and_their_mean_is_told(tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    lines = [f"why did hen {i} cross road {i % 7}?,{i % 2},joke {i // 3}" for i in range(60)]
    table.write_text("\n".join(("text,label,group", *lines)))
    arguments = ("plan=folds", "n=3", "slots=2", "trainer.max_epochs=1", "baseline=false", "report=false")
    done = typed(
        "sweep", *arguments, *_arguments(tmp_path), "data=csv", f"data.train_path={table}", "data.group_column=group"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = pq.read_table(tmp_path / "logs" / "set" / "predictions.parquet").to_pylist()
    runs = json.loads((tmp_path / "logs" / "set" / "sweep.json").read_text())["runs"]
    found = [json.loads((tmp_path / "logs" / run / "result.json").read_text())["results"]["test"] for run in runs]
    assert sorted(row["text"] for row in rows) == sorted(line.split(",")[0] for line in lines)
    folds_of: dict[str, set[str]] = {}
    for row in rows:
        folds_of.setdefault(row["group"], set()).add(row["repeat"])
    assert {group: len(folds) for group, folds in folds_of.items()} == {f"joke {i}": 1 for i in range(20)}
    assert f"{statistics.mean(one['f1'] for one in found):.3f} ±" in done.stdout


def test_a_sweep_that_is_killed_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    settings = ("plan=seeds", "n=2", "slots=1", "trainer.max_epochs=3", "baseline=false", "report=false")
    killed, undisturbed = ((*settings, *_arguments(tmp_path / name)) for name in ("killed", "undisturbed"))
    logs = tmp_path / "killed" / "logs"
    sweep = start("sweep", *killed)

    def finished() -> set[Path]:
        return {path.parent for path in logs.glob("*/result.json")}

    def saved() -> set[Path]:
        return {path.parents[1] for path in logs.glob("*/checkpoints/last.ckpt")}

    while not finished() or saved() == finished():  # one is done, and the next has a checkpoint
        assert sweep.poll() is None
        time.sleep(0.02)
    sweep.send_signal(signal.SIGKILL)
    sweep.ended()
    first, going = finished().copy(), saved() - finished()
    while any(look(folder).is_alive for folder in going):
        time.sleep(0.05)
    written = {folder: (folder / "checkpoints" / "best.ckpt").stat().st_mtime_ns for folder in first}
    again = typed("sweep", *killed)
    assert again.returncode == 0, again.stdout + again.stderr
    assert {folder: (folder / "checkpoints" / "best.ckpt").stat().st_mtime_ns for folder in first} == written
    (run,) = going
    assert len(json.loads((run / "environment.json").read_text())["resumed_by"]) == 1
    assert typed("sweep", *undisturbed).returncode == 0
    tables = [(tmp_path / name / "logs" / "set" / "summary.csv").read_text() for name in ("killed", "undisturbed")]
    assert tables[0] == tables[1]


def test_a_dry_run_shows_every_command_and_makes_nothing(tmp_path: Path) -> None:
    done = typed_here("sweep", "plan=ablation", "experiment=v3", "n=1", "dry_run=true", *_arguments(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("src/lit_humor/train.py experiment=v3 debug=tiny seed=1") == 6 + 9 + 1 + 4
    assert "objective.label_smoothing=0 " in done.stdout
    assert "add budget=6h" in done.stdout
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["n=0"], "n: found 0"),
        (["slots=0"], "slots: found 0"),
        (["seed=3"], "seed: found seed=3"),
        (["run_id=x"], "run_id: found run_id=x"),
        (["plan=nothing"], "plan"),
        (["data=csv", "data.train_path=missing.csv"], "missing.csv"),
        (["optim.learning_rat=1"], "optim.learning_rat"),
        (["plan=search", "+space={optim.lr: [1, 2]}"], "space.optim.lr: found no such setting"),
        (["plan=search", "+space={optim.layer_decay: {low: 2, high: 1}}"], "space.optim.layer_decay: found"),
        (["plan=search", "optim.layer_decay=1,0.9"], "plan=search: found several values, separated by commas"),
        (["name=../x"], "name=../x: found a name with other characters"),
    ],
)
def test_mistakes(tmp_path: Path, arguments: list[str], told: str) -> None:
    done = typed_here("sweep", *arguments, f"paths.logs_dir={tmp_path / 'logs'}")
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "logs").exists()


def test_stages_name_the_run_that_they_start_from(tmp_path: Path) -> None:
    done = typed_here("sweep", "plan=stages", "dry_run=true", *_arguments(tmp_path))
    assert done.returncode == 0, done.stderr
    first, second, third = (line for line in done.stdout.splitlines() if "train.py" in line)
    assert "init_from" not in first
    for parent, child in ((first, second), (second, third)):
        name = re.search(r"run_id=(\S+)", parent)
        assert name
        assert f"{tmp_path / 'logs' / name[1]}" in re.search(r"init_from=\S+", child)[0]  # type: ignore[index]


def _check_started_from(parent: Path, child: Path) -> None:
    initial = json.loads((child / "environment.json").read_text())["initial_weights"]
    assert initial["checkpoint"] == str(parent / "checkpoints" / "best.ckpt")
    assert initial["sha256"] == (parent / "checkpoints" / "best.ckpt.sha256").read_text().split()[0]
    assert (child / "config.yaml").stat().st_mtime > (parent / "result.json").stat().st_mtime


def test_five_experiments_and_a_failure_among_them(tmp_path: Path) -> None:
    arguments = (
        "plan=five",
        "slots=2",
        "trainer.max_epochs=1",
        "baseline=false",
        "report=false",
        *_arguments(tmp_path),
    )
    broken = "variants.exp3_stage1=['data.stages=3','data.difficulty=column']"  # of which the data have none
    failed = typed("sweep", *arguments, broken, timeout=400)
    assert failed.returncode == 1
    assert failed.stdout.count(": failed") == failed.stdout.count(": skipped") == 1
    assert "Error: plan=five: found failed runs: default-1-" in failed.stderr
    assert "skipped because of them: evaluation-1-" in failed.stderr
    assert "data.difficulty=column: found no difficulty" in failed.stdout  # its last lines
    done = typed("sweep", *arguments, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": running") == 2  # the stage that was broken, and what waited for it
    with (tmp_path / "logs" / "set" / "summary.csv").open() as file:
        run_of = {row["variant"]: tmp_path / "logs" / row["run"] for row in csv.DictReader(file)}
    assert len(run_of) == 10
    said = {name: pq.read_table(run / "predictions" / "test.parquet").to_pydict() for name, run in run_of.items()}
    _check_routed(said, run_of["exp3_routed"])
    _check_cascade(said)
    for stage in (1, 2):
        _check_started_from(run_of[f"exp4_stage{stage}"], run_of[f"exp4_stage{stage + 1}"])


def _check_routed(said: dict[str, dict[str, list[Any]]], folder: Path) -> None:
    routed = said["exp3_routed"]
    assert routed["id"] == [*itertools.chain(*(said[f"exp3_stage{stage}"]["id"] for stage in (1, 2, 3)))]
    assert sorted(routed["id"]) == sorted(said["exp1_random"]["id"])
    hits = [label == found for label, found in zip(routed["label"], routed["prediction"], strict=True)]
    result = json.loads((folder / "result.json").read_text())["results"]["test"]
    assert result["accuracy"] == pytest.approx(sum(hits) / len(hits))


def _check_cascade(said: dict[str, dict[str, list[Any]]]) -> None:
    for heard, text in zip(said["exp5_sequential"]["text"], said["exp1_random"]["text"], strict=True):
        assert heard in (f"humor: {text}", f"not humor: {text}")


@pytest.mark.parametrize("more", [(), ("dry_run=true",)])
def test_a_plan_that_does_not_fit_is_refused_before_it_starts(tmp_path: Path, more: tuple[str, ...]) -> None:
    arguments = ("plan=seeds", "n=40", "slots=2", "trainer.max_epochs=1", *_arguments(tmp_path), *more)
    done = typed("sweep", *arguments, "budget=2s")
    assert done.returncode == 1, done.stdout
    assert "Timing the first steps of 1 kinds of runs" in done.stdout
    assert re.search(r"budget: found \d+ s, expected at most 2s. Fix: ", done.stderr), done.stderr
    told = re.search(
        r"all runs take (\d+) s with slots=2 \(one after another (\d+) s, at least (\d+) s in any order\)", done.stdout
    )
    assert told, done.stdout
    whole, one_by_one, at_least = map(int, told.groups())
    assert at_least <= whole <= one_by_one
    assert whole > 2
    assert not list((tmp_path / "logs").glob("*/config.yaml"))
    assert (tmp_path / "logs").exists() is not bool(more)


def test_a_plan_that_fits_runs_and_tells_what_it_took(tmp_path: Path) -> None:
    arguments = ("plan=stages", "trainer.max_epochs=1", "baseline=false", "report=false", *_arguments(tmp_path))
    done = typed("sweep", *arguments, "budget=1h")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Timing the first steps of 3 kinds of runs" in done.stdout
    took = json.loads((tmp_path / "logs" / "set" / "sweep.json").read_text())["took"]
    assert took["at_least_seconds"] == pytest.approx(took["one_by_one_seconds"])  # each waits for the one before
    assert took["seconds"] > took["one_by_one_seconds"] > 0
    assert typed("sweep", *arguments, "budget=1h").stdout.count(": running") == 0


def test_a_budget_that_is_none_and_a_run_that_cannot_be_timed(tmp_path: Path) -> None:
    done = typed_here("sweep", "budget=soon", *_arguments(tmp_path))
    assert_one_message(done, "budget: found soon, expected a time such as 90min or 6h")
    done = typed("sweep", "n=1", "budget=1h", "data.languages=[xx]", *_arguments(tmp_path))
    assert_one_message(done, "budget: found ")
