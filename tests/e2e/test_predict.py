"""Judging texts as typed."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from lit_humor.data.reading.tables import read_table
from lit_humor.inference import predicting
from lit_humor.inference.scoring import Scorer, load_scorer
from lit_humor.metrics.calibration import apply_temperature, calibrate
from lit_humor.runs import record
from lit_humor.tasks.reports.classification.predictions import read_predictions
from tests.e2e.test_bad_input import assert_one_message
from tests.e2e.typed import ROOT, typed_here


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("logs")
    done = typed_here("train", "debug=tiny", f"paths.logs_dir={logs}", "run_id=run", "baseline=false")
    assert done.returncode == 0, done.stderr
    return logs / "run"


@pytest.fixture
def rows(run: Path, tmp_path: Path) -> tuple[Path, np.ndarray]:
    """The validation texts as a CSV with a column of its own, and the calibrated probabilities evaluation gave."""
    table = pq.read_table(run / "predictions" / "val.parquet").to_pydict()
    lines = [f'{n},"{text.replace(chr(34), chr(34) * 2)}",extra {n}' for n, text in enumerate(table["text"])]
    (tmp_path / "rows.csv").write_text("\n".join(["number,text,more", *lines]) + "\n", encoding="utf-8")
    scores = np.stack([table["p_not humor"], table["p_humor"]], axis=1).astype(float)
    return tmp_path / "rows.csv", apply_temperature(scores, record.read_calibration(run)["temperature"])


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_a_file_gets_the_probabilities_of_evaluation(run: Path, rows: tuple[Path, np.ndarray], ending: str) -> None:
    path, expected = rows
    target = path.with_name(f"out.{ending}")
    done = typed_here("predict", f"run={run}", f"input={path}", f"output={target}")
    assert done.returncode == 0, done.stderr
    assert "rows/s, peak memory" in done.stdout
    table = read_table(target)
    assert [str(value) for value in table["more"]] == [f"extra {n}" for n in range(len(expected))]
    found = np.stack([np.asarray(table[f"p_{name}"], dtype=float) for name in ("not humor", "humor")], axis=1)
    assert found == pytest.approx(expected, abs=2e-6)
    assert table["prediction"] == [("not humor", "humor")[index] for index in expected.argmax(axis=1)]


def _touch(run: Path, path: Path) -> Path:
    for one in (path, *run.rglob("*.ckpt")):
        os.utime(one, (1, 1))
    return run


def _copy(run: Path, path: Path) -> Path:
    """As ``cp -r`` does it: every file has a new time."""
    copied = shutil.copytree(run, path.with_name("copied"), copy_function=shutil.copyfile)
    shutil.move(shutil.copyfile(path, path.with_name("new.csv")), path)
    return copied


def _change(run: Path, path: Path) -> Path:
    """Other content of the same size and time."""
    before = path.stat()
    path.write_text(path.read_text(encoding="utf-8").replace("extra 1", "other 1"), encoding="utf-8")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    return run


def _other_weights(run: Path, path: Path) -> Path:
    """Those of the last epoch, under the name and time of the best."""
    copied = shutil.copytree(run, path.with_name("copied"))
    best, last = (copied / "checkpoints" / name for name in (record.BEST, record.LAST))
    before = best.stat()
    saved = torch.load(last, weights_only=True)
    torch.save(saved | {"state_dict": {name: value + 1 for name, value in saved["state_dict"].items()}}, best)
    best.with_name("best.ckpt.sha256").unlink()
    os.utime(best, ns=(before.st_atime_ns, before.st_mtime_ns))
    return copied


@pytest.mark.parametrize(
    ("meanwhile", "goes_on"),
    [(None, True), (_touch, True), (_copy, True), (_change, False), (_other_weights, False)],
)
def test_after_ctrl_c_the_same_command_goes_on(
    run: Path, rows: tuple[Path, np.ndarray], meanwhile: Callable[[Path, Path], Path] | None, goes_on: bool
) -> None:
    """With the same content, that is; file times tell nothing of it."""
    path, expected = rows
    command = "predict", f"run={run}", f"input={path}", f"output={path.with_name('out.csv')}"
    real, asked = Scorer.answer, []

    def interrupted(self: Scorer, texts: list[str], *rest: object, **more: object) -> dict:
        asked.append(len(texts))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(self, texts, *rest, **more)  # type: ignore[arg-type]

    with mock.patch.object(predicting, "_CHUNK_ROWS", 10), mock.patch.object(Scorer, "answer", interrupted):
        done = typed_here(*command)
        assert done.returncode == 130
        assert "2 parts are kept" in done.stderr
        assert not path.with_name("out.csv").exists()
        if meanwhile:
            command = command[0], f"run={meanwhile(run, path)}", *command[2:]
        done = typed_here(*command)
    if not goes_on:
        assert_one_message(done, "made from other input, columns or weights")
        return
    assert done.returncode == 0, done.stderr
    assert asked[:4] == [10, 10, 10, 10], "the first two parts were not scored again"
    assert len(asked) == 1 + -(-len(expected) // 10)
    table = read_table(path.with_name("out.csv"))
    assert np.asarray(table["p_humor"], dtype=float) == pytest.approx(expected[:, 1], abs=2e-6)


def test_rows_that_cannot_be_scored_are_named(run: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('text,n\nfine,1\n"  ",2\na,b,c\nalso fine,3\n')
    done = typed_here("predict", f"run={run}", f"input={tmp_path / 'in.csv'}")
    assert done.returncode == 0, done.stderr
    assert "2 rows were left out" in done.stdout
    assert read_table(tmp_path / "in.predictions.csv")["n"] == ["1", "3"]
    assert read_table(tmp_path / "in.predictions.rejected.csv")["line"] == ["3", "4"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.csv", b"text,n\ncaf\xe9,1\nfine,2\n"),
        ("in.csv", b"text,n\na,b,c\nfine,2\n"),
        ("in.csv", b"text,n\na,b,c\nb,c,d\ncaf\xe9,1\nfine,2\n"),
        ("in.tsv", b"text\tn\nalone\nfine\t2\n"),
        ("in.jsonl", b'broken\n{"text": "fine", "n": 2}\n'),
    ],
)
def test_a_bad_first_row_is_left_out_like_any_other(run: Path, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    done = typed_here("predict", f"run={run}", f"input={tmp_path / name}")
    assert done.returncode == 0, done.stderr
    assert read_table(tmp_path / "in.predictions.csv")["text"] == ["fine"]
    (tmp_path / name).write_bytes(content.rpartition(b"fine")[0].rpartition(b"\n")[0] + b"\n")
    again = typed_here("predict", f"run={run}", f"input={tmp_path / name}", f"output={tmp_path / 'no.csv'}")
    assert_one_message(again, "found no row that can be read (line ")


def test_a_text_is_taken_as_it_stands_and_lines_keep_their_order(run: Path) -> None:
    text = 'Why, "he" said, did {the} chicken=cross $the [road]?'
    done = typed_here("predict", f"run={run}", f"text={text}")
    assert done.returncode == 0, done.stderr
    label, probability, told = done.stdout.rstrip("\n").split("\t")
    scores = load_scorer(str(run)).score([text])[0]
    assert (label, told) == (("not humor", "humor")[scores.argmax()], text)
    assert float(probability) == pytest.approx(scores.max(), abs=1e-4)
    with mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\n\ndr\xf4le\nfour\n"), encoding="utf-8")):
        done = typed_here("predict", f"run={run}")
    assert done.returncode == 0
    assert [line.split("\t")[2] for line in done.stdout.splitlines()] == ["one", "", "", "four"]
    assert done.stderr.splitlines() == [
        "standard input, line 2: a blank text; left without a label",
        "standard input, line 3: bytes that are not UTF-8; left without a label",
    ]
    with mock.patch.object(sys, "stdin", io.StringIO("")):
        assert_one_message(typed_here("predict", f"run={run}"), "standard input: found no lines")


def test_a_threshold_decides(run: Path) -> None:
    for threshold, label in ((0.001, "humor"), (0.999, "not humor")):
        assert typed_here("predict", f"run={run}", "text=x", f"threshold={threshold}").stdout.startswith(f"{label}\t")
    tuned = record.read_calibration(run)["threshold"]
    called = typed_here("predict", f"run={run}", "text=x", "threshold=tuned").stdout.split("\t")[0]
    assert called == ("humor" if load_scorer(str(run)).score(["x"])[0, 1] >= tuned else "not humor")


def test_a_threshold_for_other_rows_is_fitted_by_eval_and_used_by_predict(run: Path, tmp_path: Path) -> None:
    rows = [f"a text of number {index},{index % 2}" for index in range(40)]
    (tmp_path / "few.csv").write_text("\n".join(["text,label", *rows]))
    own = record.read_calibration(run)
    data = ("data=csv", f"data.test_path={tmp_path / 'few.csv'}", f"output={tmp_path / 'few'}")
    done = typed_here("eval", f"run={run}", "calibrate=true", *data)
    assert done.returncode == 0, done.stderr
    fitted = record.read_calibration(tmp_path / "few")
    found = read_predictions(record.predictions_path(tmp_path / "few", "test"))
    assert fitted == calibrate(found.probabilities, found.labels)
    assert f"calibration={tmp_path / 'few'} threshold=tuned" in done.stdout.replace("\n", " ")
    assert "tuned, each row by the others" in done.stdout
    assert record.read_calibration(run) == own != fitted
    told = typed_here("predict", f"run={run}", "text=x", f"calibration={tmp_path / 'few'}", "threshold=tuned").stdout
    probability = apply_temperature(load_scorer(str(run)).score(["x"]), fitted["temperature"] / own["temperature"])
    assert told.split("\t")[0] == ("humor" if probability[0, 1] >= fitted["threshold"] else "not humor")
    assert float(told.split("\t")[1]) == pytest.approx(probability.max(), abs=0.02)


def test_a_threshold_is_fitted_on_the_rows_of_several_models_together(run: Path, tmp_path: Path) -> None:
    whole = pq.read_table(record.predictions_path(run, "test"))
    halves = whole.slice(0, len(whole) // 2), whole.slice(len(whole) // 2)
    for name, half in zip(("first", "second"), halves, strict=True):
        copied = shutil.copytree(run, tmp_path / name)
        pq.write_table(half, record.predictions_path(copied, "test"))
    folders = f"runs=[{tmp_path / 'first'},{tmp_path / 'second'}]"
    done = typed_here("eval", folders, "calibrate=true", f"output={tmp_path / 'both'}")
    assert done.returncode == 0, done.stderr
    found = read_predictions(record.predictions_path(run, "test"))
    assert record.read_calibration(tmp_path / "both") == calibrate(found.probabilities, found.labels)


def test_a_packed_run_is_used_like_any_other(tmp_path: Path) -> None:
    settings = ("trainer.attention=packed", "baseline=false", "report=false", f"paths.logs_dir={tmp_path}")
    done = typed_here("train", "debug=tiny", *settings, "run_id=packed")
    assert done.returncode == 0, done.stderr
    told = typed_here("predict", f"run={tmp_path / 'packed'}", "text=Why did the chicken?", "explain=true")
    assert "chicken" in told.stdout.splitlines()[-1], told.stderr
    done = typed_here("eval", f"run={tmp_path / 'packed'}", "split=val")
    assert done.returncode == 0, done.stderr
    (again,) = (tmp_path / "packed" / "eval").glob("*/result.json")
    assert (
        record.read_json(again)["results"]["val"]
        == record.read_json(tmp_path / "packed" / "result.json")["results"]["val"]
    )


MISTAKES = {
    "no run": (["text=x"], "run: found no run"),
    "no such run": (["run=nope", "text=x"], "run=nope"),
    "no such file": (["input=nope.csv"], "input=nope.csv: found no such file"),
    "no text column": (["input={csv}", "text_column=body"], "a column 'body'"),
    "output there": (["input={csv}", "output={csv}"], "a file there already"),
    "no such checkpoint": (["input={csv}", "ckpt=nope.ckpt"], "checkpoint nope.ckpt: found no such file"),
    "threshold": (["text=x", "threshold=2"], "threshold: found 2"),
    "text and file": (["text=x", "input={csv}"], "text, input: found both"),
    "blank text": (["text= "], "text: found a blank text"),
    "other key": (["txt=x"], "text_column"),
    "threshold word": (["text=x", "threshold=low"], "threshold: found low"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes(run: Path, tmp_path: Path, case: str) -> None:
    arguments, part = MISTAKES[case]
    (tmp_path / "in.csv").write_text("text\nfine\n")
    arguments = [argument.format(csv=tmp_path / "in.csv") for argument in arguments]
    named = [] if "run" in case else [f"run={run}"]
    assert_one_message(typed_here("predict", *named, *arguments), part)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_a_file_in_utf16_is_told_so(run: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text\nfine\n", encoding="utf-16")
    assert_one_message(typed_here("predict", f"run={run}", f"input={tmp_path / 'in.csv'}"), "found a file in UTF-16")


def test_help_tells_every_setting() -> None:
    done = typed_here("predict", "--help")
    assert done.returncode == 0
    for told in (
        "text: null #",
        "threshold: null # probability of the second of two classes: a number, or tuned",
        "--cfg job",
    ):
        assert told in done.stdout
    assert "plan= ablation, encoder, five" in typed_here("sweep", "--help").stdout


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['predict.py', '--cfg', 'job']; import lit_humor.predict as p; p.main(); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.strip().endswith("False"), done.stderr
