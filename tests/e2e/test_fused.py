"""Runs of two encoders, of a picture and a text or of a text twice: trained, and used again from their folder."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from lit_humor.data.pictures.drawing import Scene, draw
from lit_humor.tasks.answers import own_columns
from lit_humor.tasks.generation import Generation
from tests.e2e.typed import result_of, typed_here

TWO = "model.network.encoders=[{reads: text, frozen: true},{reads: text}]"


def test_a_run_needs_nothing_but_its_folder(tmp_path: Path) -> None:
    cache, run = tmp_path / "cache", tmp_path / "logs" / "one"
    places = (f"paths.logs_dir={tmp_path / 'logs'}", f"paths.cache_dir={cache}")
    few = ("data=tiny", "trainer=cpu", "trainer.max_epochs=1", "baseline=false", "report=false", "run_id=one")
    done = typed_here("train", "model=fused_tiny", TWO, *few, *places)
    assert done.returncode == 0, done.stderr
    scores = result_of(run)["results"]["test"]
    before = pq.read_table(run / "predictions" / "test.parquet").to_pydict()
    shutil.rmtree(cache)
    done = typed_here("eval", f"run={run}")
    assert done.returncode == 0, done.stderr
    again = next(run.glob("eval/**/test.parquet"))
    assert pq.read_table(again).to_pydict() == before
    assert scores["rows"] == len(before["id"])
    assert not list(cache.glob("random-*")), "nothing was made again"


def test_a_picture_and_a_text_are_judged_and_explained(tmp_path: Path) -> None:
    places = (f"paths.logs_dir={tmp_path / 'logs'}", f"paths.cache_dir={tmp_path / 'cache'}")
    run, cat = tmp_path / "logs" / "two", tmp_path / "cat.png"
    done = typed_here("train", "experiment=dimtda", "debug=tiny", "trainer=cpu", "run_id=two", *places)
    assert done.returncode == 0, done.stderr
    result = result_of(run)
    assert {"accuracy", "f1", "perplexity", "chrf", "exact_match"} <= result["results"]["test"].keys()
    page = (run / "report.html").read_text()
    assert "as the caption says" in page, "answers are shown"
    assert "drawn data measures the machinery, not humor" in page
    before = pq.read_table(run / "predictions" / "test.parquet").to_pydict()
    assert {"label", "prediction", "generation_prediction", "answer", "nll"} <= before.keys()
    assert before.keys() >= {"picture", "gate"}
    assert len(set(before["gate"])) > 1
    assert page.count("<img ") == min(40, page.count('alt="Picture of row test-')) > 20
    assert "share of the text" in page
    own = own_columns("generation", before)
    assert own["prediction"] == before["generation_prediction"]
    scores = Generation().measure_columns(own)
    assert scores["token_f1"] == result["results"]["test"]["token_f1"]
    assert own["prediction"][0] in page, "and not the class in the place of what is written"
    shutil.rmtree(tmp_path / "cache")  # pictures are drawn again, the same ones
    done = typed_here("eval", f"run={run}")
    assert done.returncode == 0, done.stderr
    again = pq.read_table(next(run.glob("eval/**/test.parquet"))).to_pydict()
    assert again == before
    Image.fromarray(draw(Scene("cat", "sea", "cake"), 64, np.random.default_rng(1))).save(cat)
    done = typed_here("predict", f"run={run}", f"image={cat}", "text=Another quiet day, at sea.", "text=On stage.")
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [line[-1] for line in lines] == ["Another quiet day, at sea.", "On stage."]
    assert {line[0] for line in lines} <= {"humor", "not humor"}
    assert all(len(line) == 4 for line in lines), "class, probability, explanation, text"
