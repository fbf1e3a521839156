"""A command opens a run once, and a training its best checkpoint once."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from lit_humor.config import saved
from lit_humor.engine import checkpoints
from lit_humor.runs import record
from tests.e2e.typed import result_of, typed_here

OPENED: Counter[str] = Counter()


def _counting(name: str, function: Callable[..., Any]) -> Any:
    def counted(path: Any, *arguments: Any, **named: Any) -> Any:
        OPENED[f"{name} {Path(getattr(path, 'name', path)).name}"] += 1
        return function(path, *arguments, **named)

    return counted


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained while openings are counted."""
    logs = tmp_path_factory.mktemp("logs")
    OPENED.clear()
    with (
        mock.patch.object(checkpoints, "_load", _counting("load", checkpoints._load)),
        mock.patch.object(checkpoints, "sum_of", _counting("hash", checkpoints.sum_of)),
    ):
        done = typed_here(
            "train", "debug=tiny", "trainer=cpu", "run_id=run", f"paths.logs_dir={logs}", "report=false",
            "baseline=false",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return logs / "run"


def test_the_best_checkpoint_is_opened_once_and_scores_all_splits(run: Path) -> None:
    assert OPENED == {"load best.ckpt": 1, "hash best.ckpt": 1}
    result = result_of(run)
    assert set(result["results"]) == {"val", "test"}
    best = checkpoints.read_checkpoint(run / "checkpoints" / "best.ckpt")
    assert (result["best"]["epoch"], result["best"]["step"]) == (best["epoch"], best["global_step"])
    assert result["results"]["val"]["f1"] == pytest.approx(result["best"]["score"], abs=1e-6)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [("eval", ("split=val",)), ("predict", ("text=a joke",)), ("report", ())],
)
def test_a_command_opens_its_run_once(run: Path, tmp_path: Path, command: str, arguments: tuple[str, ...]) -> None:
    OPENED.clear()
    with mock.patch.object(saved.OmegaConf, "load", _counting("read", saved.OmegaConf.load)):
        output = (f"output={tmp_path}",) if command == "eval" else ()
        done = typed_here(command, f"run={run}", *arguments, *output)
    assert done.returncode == 0, done.stderr
    assert OPENED["read config.yaml"] == 1


def test_eval_answers_with_the_names_of_labels_json(run: Path, tmp_path: Path) -> None:
    names = record.read_json(run / record.LABELS)["class_names"]
    assert tuple(names) == saved.open_run(str(run)).class_names == ("not humor", "humor")
    config = record.read_json(run / "backbone" / "config.json")
    assert config["id2label"] == {"0": "not humor", "1": "humor"}, "for exports"
    (run / record.LABELS).rename(tmp_path / "labels.json")
    try:
        done = typed_here("predict", f"run={run}", "text=a joke")
        assert done.returncode == 0, "an older run"
        record.write_json(run / record.LABELS, {"class_names": ["dull", "funny"]})
        done = typed_here("predict", f"run={run}", "text=a joke")
        assert done.stdout.split("\t")[0] in ("dull", "funny")
    finally:
        (tmp_path / "labels.json").rename(run / record.LABELS)
