"""The report as typed, and in a real browser."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from lit_humor.tasks.reports.classification.predictions import read_predictions
from tests.e2e.test_bad_input import assert_one_message
from tests.e2e.typed import result_of, typed, typed_here
from tests.unit.test_report_pictures import make_pictures_run
from tests.unit.test_reporting import EVIL, make_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("logs")
    done = typed("train", "debug=tiny", f"paths.logs_dir={logs}", "run_id=run")
    assert done.returncode == 0, done.stderr
    assert f"Report: {logs / 'run' / 'report.html'}" in done.stdout
    return logs / "run"


def test_training_ends_with_a_report_of_its_own_numbers(run: Path) -> None:
    html = (run / "report.html").read_text()
    for split, results in result_of(run)["results"].items():
        found = read_predictions(run / "predictions" / f"{split}.parquet")
        assert results["f1"] == pytest.approx(f1_score(found.labels, found.predicted, zero_division=0))
        assert re.search(rf"{results['f1']:.3f} \[", html), split
        assert len(found.columns["tokens"]) == len(found.columns["group"]) == len(found.labels)


def test_tensorboard_has_curves_confusion_and_hyperparameters(run: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run))
    found.Reload()
    tags = found.Tags()
    assert {"train/loss", "val/f1", "final/test/f1"} <= set(tags["scalars"])
    assert tags["images"] == ["confusion/val"]
    assert found.Scalars("final/test/f1")[-1].value == pytest.approx(result_of(run)["results"]["test"]["f1"])
    assert len(list((run / "confusion").glob("val_epoch*.png"))) == result_of(run)["epochs"]


def test_report_again_and_two_runs(run: Path) -> None:
    (run / "report.html").unlink()
    done = typed_here("report", f"run={run}")
    assert done.returncode == 0, done.stderr
    assert (run / "report.html").is_file()
    copy = shutil.copytree(run, run.with_name("copy"))
    done = typed_here("report", f"runs=[{run},{copy}]")
    assert done.returncode == 0, done.stderr
    assert "McNemar's p 1.0000" in done.stdout
    assert (run / "versus-copy.html").is_file()


def test_answers_of_somebody_stand_beside_a_run(run: Path, tmp_path: Path) -> None:
    """A language model that has all right but the last row, did not answer the first, and answered one more."""
    own = read_predictions(run / "predictions" / "test.parquet")
    last = len(own.labels) - 1
    said = {row: own.class_names[label if row < last else 1 - label] for row, label in enumerate(own.labels.tolist())}
    rows = [{"id": own.columns["id"][row], "answer": answer} for row, answer in said.items() if row]
    path = tmp_path / "a language model.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [{"id": "another", "answer": 1}, *rows]))
    done = typed_here("report", f"runs=[{run},{path}]")
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert f"has answers (column answer) to {last} of {last + 1} rows of test; 1 of the run without an answer" in told
    right = own.predicted[1:] == own.labels[1:]
    difference = (last - 1) / last - right.mean()
    assert f"accuracy {difference:+.4f} (a language model.jsonl less run)" in told
    html = (run / "versus-a language model.jsonl.html").read_text()
    theirs = np.append(own.labels[1:-1], 1 - own.labels[-1])
    assert f"{int((theirs != own.predicted[1:]).sum())} disagreements in test" in html
    assert re.search(rf">{(last - 1) / last:.3f} \[0\.\d+, 1\.000\]", html)
    assert "1 of its rows are not in test" in html
    turned = typed_here("report", f"runs=[{path},{run}]", f"output={tmp_path / 'page.html'}")
    assert f"accuracy {-difference:+.4f} (run less a language model.jsonl)" in " ".join(turned.stdout.split())
    assert (tmp_path / "page.html").is_file()


def test_answers_that_cannot_be_matched_are_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "answers.csv").write_text("id,answer\nx,funny\n")
    told = typed_here("report", f"runs=[{run},{tmp_path / 'answers.csv'}]")
    assert_one_message(told, "answers.csv, line 2, column 'answer'", "found label 'funny'", "'not humor', 'humor'")
    assert_one_message(typed_here("report", f"runs=[{run},{tmp_path / 'answer.csv'}]"), "no such file", "answers.csv")
    assert_one_message(typed_here("report", f"runs=[{tmp_path / 'answers.csv'}]", f"run={run}"), "run, runs", "runs=[")


def test_a_training_without_report_and_mistakes(tmp_path: Path) -> None:
    done = typed_here(
        "train", "debug=tiny", f"paths.logs_dir={tmp_path}", "run_id=bare", "report=false", "baseline=false"
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "bare" / "report.html").exists()
    assert_one_message(typed_here("report"), "run, runs", "runs=[")
    assert_one_message(
        typed_here("report", f"run={tmp_path / 'bare'}", "output=there.html"), "output: found there.html"
    )
    there = typed_here("report", f"runs=[{tmp_path / 'bare'},{tmp_path / 'bare'}]", f"output={tmp_path}")
    assert_one_message(there, str(tmp_path), "a path where a file or folder can be written")
    assert_one_message(typed_here("report", "run=nope"), "run=nope", "no such folder")
    (tmp_path / "bare" / "result.json").unlink()
    assert_one_message(typed_here("report", f"run={tmp_path / 'bare'}"), "no results")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_section_shows_in_a_browser(browser: Any, tmp_path: Path, width: int, theme: str) -> None:
    from lit_humor.reporting.run_page import write_report

    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=theme)
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda asked: faults.append(asked.url) if asked.url[:5] not in ("file:", "data:") else None)
    page.on("dialog", lambda dialog: faults.append("a dialog: HTML in a text was run"))
    page.goto(write_report(make_run(tmp_path / "run")).as_uri())
    sections = page.locator("section").all()
    assert len(sections) == 11
    for section in sections:
        assert section.is_visible()
        assert section.bounding_box()["height"] > 40
    for image in page.locator("img").all():
        assert image.evaluate("image => image.complete && image.naturalWidth > 0")
        shown = image.evaluate("image => image.currentSrc")
        assert (shown == image.get_attribute("src")) == (theme == "light")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page itself must not scroll sideways"
    rows = page.locator("#close-calls tbody tr")
    assert rows.count() == 50
    page.locator("#close-calls input").fill("test1")
    assert 0 < sum(row.is_visible() for row in rows.all()) <= 11, "test1 and test10 to test19"
    page.locator("#close-calls input").fill("")
    page.locator("#close-calls th button").last.click()
    page.locator("#close-calls th button").last.click()
    values = [float(row.locator("td").last.inner_text()) for row in rows.all()]
    assert values == sorted(values, reverse=True)
    assert EVIL in page.locator("#mistakes tbody tr").first.inner_text(), "shown, not run"
    assert faults == []
    page.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_pictures_show_in_a_browser(browser: Any, tmp_path: Path, width: int) -> None:
    from lit_humor.reporting.run_page import write_report

    page = browser.new_page(viewport={"width": width, "height": 800})
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("request", lambda asked: faults.append(asked.url) if asked.url[:5] not in ("file:", "data:") else None)
    page.on("dialog", lambda dialog: faults.append("a dialog: HTML in a text was run"))
    page.goto(write_report(make_pictures_run(tmp_path)).as_uri())
    images = page.locator("#pictures img").all()
    assert 20 < len(images) <= 40
    for image in images:
        assert image.evaluate("image => image.complete && image.naturalWidth > 0")
        assert image.bounding_box()["width"] == 96
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page itself must not scroll sideways"
    page.locator("#pictures input").first.fill("because 1")
    shown = [row for row in page.locator("#pictures tbody tr").all() if row.is_visible()]
    assert 0 < len(shown) < len(images)
    assert faults == []
    page.close()


def test_calibration_is_left_for_predictions(run: Path) -> None:
    assert set(json.loads((run / "calibration.json").read_text())) == {"temperature", "threshold"}
