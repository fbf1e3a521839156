import json
from pathlib import Path

import pytest

from tests.e2e.typed import typed, typed_here


def _arguments(folder: Path) -> tuple[str, ...]:
    return "debug=tiny", f"paths.logs_dir={folder / 'logs'}", f"paths.cache_dir={folder / 'cache'}", "name=set"


def test_a_second_call_runs_nothing_and_tells_the_same(tmp_path: Path) -> None:
    arguments = ("plan=seeds", "n=2", "slots=2", "trainer.max_epochs=1", "baseline=false", *_arguments(tmp_path))
    first = typed("sweep", *arguments)
    assert first.returncode == 0, first.stdout + first.stderr
    tables = [(tmp_path / "logs" / "set" / f"summary.{ending}").read_text() for ending in ("md", "csv", "html")]
    told = json.loads((tmp_path / "logs" / "set" / "sweep.json").read_text())
    assert len(told["runs"]) == 2
    for run in told["runs"]:
        f1 = json.loads((tmp_path / "logs" / run / "result.json").read_text())["results"]["test"]["f1"]
        assert f",{f1}," in tables[1]
    second = typed("sweep", *arguments)
    assert second.returncode == 0, second.stderr
    assert first.stdout.count(": running") == 2
    assert second.stdout.count(": running") == 0
    assert [(tmp_path / "logs" / "set" / f"summary.{ending}").read_text() for ending in ("md", "csv", "html")] == tables


def test_a_dry_run_shows_every_command_and_makes_nothing(tmp_path: Path) -> None:
    done = typed_here("sweep", "plan=ablation", "experiment=v3", "n=1", "dry_run=true", *_arguments(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("src/lit_humor/train.py experiment=v3 debug=tiny seed=1") == 6
    assert "objective.label_smoothing=0 " in done.stdout
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
        (["name=../x"], "name=../x: found a name with other characters"),
    ],
)
def test_mistakes(tmp_path: Path, arguments: list[str], told: str) -> None:
    done = typed_here("sweep", *arguments, f"paths.logs_dir={tmp_path / 'logs'}")
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "logs").exists()
