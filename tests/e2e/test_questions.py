"""Runs that answer questions about pictures: trained, scored, asked, and compared in five orders of the data."""

import csv
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lit_humor.data.pictures.drawing import Scene, draw
from lit_humor.metrics.text_scores import exact_match
from tests.e2e.typed import result_of, typed, typed_here

QUESTION = "Who is in this picture?"
# More stages than the questions have.
BROKEN = "variants.exp3_stage1=['experiment=qwen3vl_random','data.stages=9','data.difficulty=column']"


def _places(folder: Path) -> tuple[str, ...]:
    return f"paths.logs_dir={folder / 'logs'}", f"paths.cache_dir={folder / 'cache'}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("questions")
    done = typed_here("train", "experiment=qwen3vl_random", "debug=tiny", "trainer=cpu", "run_id=one", *_places(folder))
    assert done.returncode == 0, done.stderr
    return folder / "logs" / "one"


def _said(folder: Path, split: str = "test") -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = pq.read_table(folder / "predictions" / f"{split}.parquet").to_pydict()
    return columns


def test_scores_are_of_exact_answers_in_all_and_by_stage(run: Path) -> None:
    columns, result = _said(run), result_of(run)["results"]["test"]
    right = [exact_match(*pair) for pair in zip(columns["answer"], columns["prediction"], strict=True)]
    assert result["rows"] == len(right) == 144
    assert result["exact_match"] == pytest.approx(np.mean(right))
    for name, values in {"stage": "123", "question_type": ("who", "where", "funny")}.items():
        for value in values:
            rows = [row for row, found in enumerate(columns[name]) if found == value]
            found = result["slices"][name][value]
            assert found["rows"] == len(rows) == 48
            assert found["exact_match"] == pytest.approx(np.mean([right[row] for row in rows]))
    page = (run / "report.html").read_text()
    assert "test: by question_type" in page
    assert "drawn data measures the machinery, not humor" in page


def test_a_question_about_a_picture_of_any_size(run: Path, tmp_path: Path) -> None:
    Image.fromarray(draw(Scene("cat", "sea", "cake"), 100, np.random.default_rng(1))).save(tmp_path / "cat.png")
    asked = (f"image={tmp_path / 'cat.png'}", f"question={QUESTION}", "question=Where is this?")
    done = typed_here("predict", f"run={run}", *asked)
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [line[-1] for line in lines] == [QUESTION, "Where is this?"]
    assert all(len(line) == 2 for line in lines), "answer and question"


def test_pictures_that_fail_are_told_beside_the_scores(run: Path, tmp_path: Path) -> None:
    """They are no wrong answers, and no row is lost."""
    scene = draw(Scene("cat", "sea", "cake"), 90, np.random.default_rng(1))
    Image.fromarray(scene[:70]).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no picture")
    row = {"question": QUESTION, "answer": "a cat", "stage": 1, "question_type": "who"}
    lines = [json.dumps(row | {"image": name}) for name in ("a.png", "b.png", "a.png", "c.png")]
    (tmp_path / "asked.jsonl").write_text("\n".join(lines))
    asked = (f"run={run}", "data=questions", f"data.test_path={tmp_path / 'asked.jsonl'}", f"output={tmp_path / 'out'}")
    done = typed_here("eval", *asked)
    assert done.returncode == 1
    assert "asked.jsonl, line 4, column 'image': found 'c.png', which is no file" in done.stderr
    done = typed_here("eval", *asked, "data.broken_pictures=report")
    assert done.returncode == 0, done.stderr
    assert "test: 2 rows could not be scored; no number counts them" in done.stdout
    result = result_of(tmp_path / "out")
    assert [one["id"] for one in result["failures"]] == ["2", "4"]
    assert result["results"]["test"]["rows"] == 2
    assert _said(tmp_path / "out")["id"] == ["1", "3"]


def test_a_cascade_reads_its_own_answers(run: Path, tmp_path: Path) -> None:
    folders = {}
    for passes in (1, 2, 3):
        folders[passes] = tmp_path / str(passes)
        done = typed_here("eval", f"run={run}", f"passes={passes}", f"output={folders[passes]}")
        assert done.returncode == 0, done.stderr
    first, second, third = (_said(folders[passes]) for passes in (1, 2, 3))
    assert first == _said(run)
    for row, question in enumerate(first["text"]):
        one, two = first["prediction"][row], second["prediction"][row]
        assert second["text"][row].startswith(f"{question}\nA first look at the picture says: {one}\n")
        assert third["text"][row].startswith(f"{second['text'][row].partition(chr(10) + 'Look again')[0]}\n")
        assert f"A second look says: {two}\n" in third["text"][row]
    done = typed_here("eval", f"run={run}", "passes=2", "split=val", f"output={tmp_path / 'val'}")
    assert done.returncode == 1
    assert "passes: found no answers that were written in split 'val'" in done.stderr


def plan(folder: Path, *more: str) -> Any:
    quick = ("trainer.max_epochs=1", "baseline=false", "report=false", "name=set", "slots=2", "trainer=cpu")
    return typed("sweep", "plan=five_pictures", "n=1", "debug=tiny", *quick, *_places(folder), *more, timeout=900)


def test_five_orders_and_a_failure_among_them(tmp_path: Path) -> None:
    failed = plan(tmp_path, BROKEN)
    assert failed.returncode == 1, failed.stdout
    assert failed.stdout.count(": failed") == failed.stdout.count(": skipped") == 1
    assert "Error: plan=five_pictures: found failed runs: qwen3vl_random-1-" in failed.stderr
    assert "skipped because of them: evaluation-1-" in failed.stderr
    done = plan(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": running") == 2  # the stage that was broken, and what waited for it
    check_five(tmp_path / "logs", tmp_path / "logs" / "set")


def check_five(logs: Path, folder: Path) -> None:
    """What the runs of the plan say of each other, and the table of all of them."""
    with (folder / "summary.csv").open() as file:
        run_of = {row["variant"]: logs / row["run"] for row in csv.DictReader(file)}
    assert len(run_of) == 10
    said = {name: _said(run) for name, run in run_of.items()}
    parts = [said[f"exp3_stage{stage}"] for stage in (1, 2, 3)]
    assert [set(part["stage"]) for part in parts] == [{"1"}, {"2"}, {"3"}]
    assert said["exp3_routed"]["id"] == [*itertools.chain(*(part["id"] for part in parts))]
    assert sorted(said["exp3_routed"]["id"]) == sorted(said["exp1_random"]["id"])
    for text, asked in zip(said["exp1_random"]["text"], said["exp5_sequential"]["text"], strict=True):
        assert asked.startswith(f"{text}\nA first look")
    for stage in (1, 2):
        initial = json.loads((run_of[f"exp4_stage{stage + 1}"] / "environment.json").read_text())["initial_weights"]
        assert initial["checkpoint"] == str(run_of[f"exp4_stage{stage}"] / "checkpoints" / "best.ckpt")
    (head, *rows) = [line for line in (folder / "summary.md").read_text().splitlines() if line.startswith("| ")]
    assert "| exact_match |" in head
    assert "right alone : only exp1_random" in head
    assert sum("(p " in row for row in rows) >= 9
