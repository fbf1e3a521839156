"""Run folders made by an older version: evaluated, reported, predicted with and resumed by this one.

``old_runs/202611.zip`` was made at 6ac81f8 by ``train.py debug=tiny trainer=cpu trainer.max_epochs=12
callbacks.early_stopping=null report=false logger.tensorboard=null``: ``interrupted`` after two steps, ``done`` the same
run to its end. ``202611_corpus.zip`` has the rows of the embedded corpus that they were trained on, and the
model that was made of it: it has grown since.
"""

import functools
import shutil
import zipfile
from pathlib import Path

import pytest

from lit_humor.data.sources import demo
from lit_humor.models import random_models
from tests.e2e.typed import result_of, typed, typed_here

PACKED = [Path(__file__).with_name("old_runs") / name for name in ("202611.zip", "202611_corpus.zip")]
LOSS = 0.7275860905647278  # of the interrupted one on val, said by eval.py of 6ac81f8
MADE_IN = "/tmp/oldruns"  # the folder of run folders and cache then


def _read_corpus_from(folder: Path) -> None:
    demo.CORPUS_DIR = random_models._CORPUS_DIR = folder


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders, unpacked where nobody made them, and the corpus of then."""
    for path in PACKED:
        with zipfile.ZipFile(path) as file:
            file.extractall(tmp_path)
    monkeypatch.setattr(demo, "CORPUS_DIR", tmp_path / "corpus")
    for run in ("interrupted", "done"):
        config = tmp_path / run / "config.yaml"
        config.write_text(config.read_text().replace(f"{MADE_IN}/cache", str(tmp_path / "cache")))
    return tmp_path


def test_it_is_evaluated(old: Path) -> None:
    checkpoint = old / "interrupted" / "checkpoints" / "last.ckpt"
    done = typed_here("eval", f"ckpt={checkpoint}", "split=val", f"output={old}/out")
    assert done.returncode == 0, done.stderr
    assert result_of(old / "out")["results"]["val"]["loss"] == pytest.approx(LOSS, abs=1e-5)


def test_it_predicts(old: Path) -> None:
    checkpoints = old / "interrupted" / "checkpoints"
    shutil.copy(checkpoints / "last.ckpt", checkpoints / "best.ckpt")
    done = typed_here("predict", f"run={old}/interrupted", "text=a cat, a hat, and a joke")
    assert done.returncode == 0, done.stderr
    assert "humor" in done.stdout


def test_its_page_is_written(old: Path) -> None:
    done = typed_here("report", f"run={old}/done")
    assert done.returncode == 0, done.stderr
    assert (old / "done" / "report.html").is_file()


TYPED_THEN = (
    *("debug=tiny", "trainer=cpu", "trainer.max_epochs=12", "callbacks.early_stopping=null", "report=false"),
    *("logger.tensorboard=null", "run_id=interrupted", "trainer.schedule_epochs=4"),  # the last: its default then
)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["folder", "auto"])
def test_it_is_resumed_to_the_same_end(old: Path, how: str) -> None:
    places = (f"paths.logs_dir={old}", f"paths.cache_dir={old}/cache")
    settings = (f"resume={old}/interrupted",) if how == "folder" else (*TYPED_THEN, *places, "resume=auto")
    done = typed("train", *settings, before=functools.partial(_read_corpus_from, old / "corpus"))
    assert done.returncode == 0, done.stderr
    found, expected = result_of(old / "interrupted"), result_of(old / "done")
    assert found["steps"] == expected["steps"] == 24
    for split, results in expected["results"].items():
        assert found["results"][split]["confusion"] == results["confusion"]
        assert found["results"][split]["loss"] == pytest.approx(results["loss"], abs=1e-5)
