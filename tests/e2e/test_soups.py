"""Several models as one: averaged weights, and averaged answers, as typed."""

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lit_humor.inference import souping
from lit_humor.inference.ensembles import Ensemble
from lit_humor.inference.scoring import load_scorer
from lit_humor.runs import record
from tests.e2e.typed import typed, typed_here

QUICK = ("debug=tiny", "trainer=cpu", "baseline=false", "report=false", "logger.tensorboard=null")
TEXTS = ("why did the hen cross the road?", "the meeting is at ten", "two cats walk into a bar")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of the same data, the second from the weights of the first."""
    folder = tmp_path_factory.mktemp("logs")
    for name, more in {"one": (), "two": (f"init_from={folder}/one", "seed=7", "data.split_seed=42")}.items():
        places = (f"paths.logs_dir={folder}", f"paths.cache_dir={folder}/cache", f"run_id={name}")
        done = typed("train", *QUICK, "trainer.checkpoint_every=1", "trainer.max_epochs=2", *places, *more)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _state(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def test_a_soup_is_a_run_that_other_commands_read(logs: Path, tmp_path: Path) -> None:
    (logs / "sweep-s").mkdir()
    record.write_json(logs / "sweep-s" / "sweep.json", {"runs": ["one", "two"]})
    made = typed_here("eval", "runs=[sweep-s]", "soup=true", f"paths.logs_dir={logs}", f"output={tmp_path / 'soup'}")
    assert made.returncode == 0, made.stdout + made.stderr
    result = json.loads((tmp_path / "soup" / "result.json").read_text())
    kept = [Path(one["checkpoint"]) for one in result["soup"] if one["kept"]]
    assert len(result["soup"]) == 2
    alone = [one["alone"] for one in result["soup"]]
    assert alone == sorted(alone, reverse=True)
    soup, parts = _state(tmp_path / "soup" / "checkpoints" / "best.ckpt"), [_state(path) for path in kept]
    for name, value in soup.items():
        torch.testing.assert_close(value, sum(part[name] for part in parts) / len(parts))
    assert result["results"]["val"]["f1"] == pytest.approx(result["best"]["score"], abs=1e-6)
    assert result["best"]["score"] >= max(alone)
    predicted = typed_here("predict", f"run={tmp_path / 'soup'}", f"text={TEXTS[0]}")
    assert predicted.returncode == 0, predicted.stderr
    assert typed_here("report", f"run={tmp_path / 'soup'}").returncode == 0
    scored = typed_here("eval", f"run={tmp_path / 'soup'}", "split=val")
    assert scored.returncode == 0, scored.stderr
    again = json.loads((tmp_path / "soup" / "eval" / "own-val" / "result.json").read_text())["results"]["val"]
    assert again["f1"] == pytest.approx(result["results"]["val"]["f1"], abs=1e-6)


def test_the_checkpoints_of_one_run(logs: Path, tmp_path: Path) -> None:
    paths = list((logs / "one" / "checkpoints").glob("*.ckpt"))
    made = typed_here("eval", f"run={logs / 'one'}", "soup=true", f"output={tmp_path / 'soup'}")
    assert made.returncode == 0, made.stdout + made.stderr
    tried = json.loads((tmp_path / "soup" / "result.json").read_text())["soup"]
    steps = {torch.load(path, weights_only=True)["global_step"] for path in paths}
    assert 2 <= len(tried) == len(steps), "one of each step"


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([0.5, 0.7, 0.6, 0.7, 0.8], [1, 2, 0]),
        ([0.5, 0.7, 0.6, 0.69, 0.7], [1, 0]),
        ([0.5, 0.7, 0.6, 0.8, 0.75], [1, 2]),
    ],
)
def test_what_lowers_the_score_stays_out(
    scores: list[float], kept: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three checkpoints alone, then the best with the second, then with the third."""
    paths = [tmp_path / f"{number}.ckpt" for number in range(3)]
    for number, path in enumerate(paths):
        torch.save({"state_dict": {"w": torch.tensor([2.0**number, 1.0]), "n": torch.tensor(4)}}, path)
    given = iter(scores)
    kitchen: Any = object.__new__(souping._Kitchen)
    kitchen.sign, kitchen.load_table, kitchen.run = 1, None, SimpleNamespace(learner=None)
    monkeypatch.setattr(souping._Kitchen, "validate", lambda self, path: next(given))
    monkeypatch.setattr(souping, "load_weights", lambda *args: None)
    tried = kitchen.cook(paths, tmp_path / "best" / "best.ckpt")
    order = [1, 2, 0]  # by their scores alone
    assert [one.path for one in tried] == [paths[number] for number in order]
    assert [order[index] for index, one in enumerate(tried) if one.is_kept] == kept
    states = [2.0**number for number in kept]
    soup = _state(tmp_path / "best" / "best.ckpt")
    assert soup["w"].tolist() == pytest.approx([sum(states) / len(states), 1.0])
    assert soup["n"].item() == 4
    assert list((tmp_path / "best").glob("candidate*")) == []


def test_runs_answer_together(logs: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.csv"
    texts.write_text("\n".join(["text", *TEXTS]) + "\n")
    names = ",".join(str(logs / name) for name in ("one", "two"))
    done = typed_here("predict", f"runs=[{names}]", f"input={texts}", f"output={tmp_path / 'out.csv'}")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    scorers = [load_scorer(str(logs / name)) for name in ("one", "two")]
    expected = np.mean([scorer.score(TEXTS) for scorer in scorers], axis=0)
    assert [[float(row["p_not humor"]), float(row["p_humor"])] for row in rows] == pytest.approx(expected, abs=1e-6)
    assert not np.allclose(expected, scorers[0].score(TEXTS), atol=1e-5)
    shown = typed_here("predict", f"runs=[{names}]", f"text={TEXTS[0]}")
    assert shown.stdout.split("\t")[1] == f"{expected[0].max():.4f}"
    together = Ensemble(**(vars(scorers[0]) | {"calibration": {}}), members=(scorers[0], scorers[0]))
    assert together.score(TEXTS) == pytest.approx(scorers[0].score(TEXTS), abs=1e-12)


def test_a_run_of_its_own_folder_needs_no_other(logs: Path, tmp_path: Path) -> None:
    """What a soup was made of may be gone."""
    shutil.copytree(logs / "one", tmp_path / "logs" / "one")
    names = ",".join(str(tmp_path / "logs" / "one" / "checkpoints" / name) for name in ("best.ckpt", "last.ckpt"))
    made = typed_here("eval", f"runs=[{names}]", "soup=true", f"output={tmp_path / 'soup'}")
    assert made.returncode == 0, made.stdout + made.stderr
    shutil.rmtree(tmp_path / "logs")
    assert typed_here("predict", f"run={tmp_path / 'soup'}", f"text={TEXTS[1]}").returncode == 0
