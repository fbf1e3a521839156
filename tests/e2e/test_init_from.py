"""A training that starts from the weights of another run, as typed."""

import json
import re
from pathlib import Path

import pytest

from tests.e2e.typed import Typed, result_of, typed

QUICK = ("baseline=false", "report=false", "logger.tensorboard=null", "trainer.max_epochs=1")


def _train(logs: Path, name: str, *more: str) -> Typed:
    return typed("train", f"paths.logs_dir={logs}", f"run_id={name}", *QUICK, *more)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("logs")
    done = _train(logs, "run", "model=tiny", "data=tiny")
    assert done.returncode == 0, done.stderr
    return logs / "run"


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("serious", "pun", "irony"), "; its classes are others, so model.head.out_proj starts anew"),
        (("flat", "funny"), "; its classes are others, so model.head.out_proj starts anew"),
        (("not humor", "humor"), ""),
    ],
)
def test_other_classes_get_a_last_layer_of_their_own(
    run: Path, tmp_path: Path, names: tuple[str, ...], told: str
) -> None:
    rows = [f"line {i} of the file,{names[i % len(names)]}" for i in range(90)]
    (tmp_path / "mine.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    own = ("data=csv", f"data.train_path={tmp_path / 'mine.csv'}", f"data.label_names=[{','.join(names)}]")
    done = _train(tmp_path, "child", "model=tiny", *own, f"init_from={run}")
    assert done.returncode == 0, done.stderr
    best = run / "checkpoints" / "best.ckpt"
    assert f"Starting from the weights of {best}{told}\n" in done.stdout
    assert list(result_of(tmp_path / "child")["results"]["test"]["classes"]) == list(names)
    initial = json.loads((tmp_path / "child" / "environment.json").read_text())["initial_weights"]
    assert initial["checkpoint"] == str(best)
    assert ("anew" in initial) == bool(told)


def test_another_model_is_refused_and_the_fix_works(run: Path, tmp_path: Path) -> None:
    refused = _train(tmp_path, "child", "data=tiny", f"init_from={run}")
    assert refused.returncode == 1
    assert f"init_from={run}: found weights of another model (model." in refused.stderr
    assert re.search(r" has the shape \[600, 16\] there and \[\d+, 384\] here; ", refused.stderr), refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "child").exists()
    fix = re.search(r"Fix: set (\S+)\.$", refused.stderr, re.MULTILINE)
    assert fix is not None, refused.stderr
    done = _train(tmp_path, "child", "data=tiny", f"init_from={run}", fix[1])
    assert done.returncode == 0, done.stderr
