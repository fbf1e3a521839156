"""Exports of a run of pictures: all of it for this project, its judgement for onnxruntime; what cannot be is told."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

from lit_humor.data.pictures.drawing import Scene, draw
from lit_humor.data.sources.cartoons import Cartoons
from lit_humor.exporters.fused import FusedModel
from lit_humor.inference.pictures import with_images
from lit_humor.inference.scoring import Scorer, load_scorer
from lit_humor.runs import record
from tests.e2e.test_bad_input import assert_one_message
from tests.e2e.test_fused import TWO
from tests.e2e.typed import typed_here

TEXT = "Another quiet day at sea."


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs: of pictures with texts and explanations, and of texts that are read twice."""
    logs = tmp_path_factory.mktemp("logs")
    few = ("trainer=cpu", "trainer.max_epochs=1", "baseline=false", "report=false", f"paths.logs_dir={logs}")
    lines = {"drawn": ("experiment=dimtda", "debug=tiny"), "twice": ("model=fused_tiny", TWO, "data=tiny")}
    for name, line in lines.items():
        done = typed_here("train", *line, *few, f"run_id={name}", f"paths.cache_dir={logs}/cache")
        assert done.returncode == 0, done.stderr
    record.write_json(logs / "drawn" / record.CALIBRATION, {"temperature": 0.25, "threshold": 0.5})  # one that shows
    return logs


@pytest.fixture(scope="module")
def scorer(logs: Path) -> Scorer:
    return load_scorer(str(logs / "drawn"))


def _export(logs: Path, to: str, run: str = "drawn") -> Path:
    folder = logs / run / "export" / to
    if not folder.is_dir():
        done = typed_here("export", f"run={logs / run}", f"to={to}")
        assert done.returncode == 0, done.stderr
        assert f"Exported: {folder}" in done.stdout
    return folder


def _expected(scorer: Scorer, rows: Any) -> np.ndarray:
    """Probabilities by the checkpoint."""
    outputs = scorer.outputs_of(rows, answered=False)
    return next(iter(scorer.tasks.values())).numbers(outputs, scorer.calibration)


def _rows(logs: Path) -> tuple[list[str], np.ndarray]:
    val = Cartoons(str(logs / "cache" / "pictures"), size=16, rows_per_split=48).load()["val"]
    assert val.pictures is not None
    return val.texts, val.pictures.of_rows(np.arange(len(val)))


def test_the_lines_of_the_folder_say_what_the_run_says(logs: Path, scorer: Scorer, tmp_path: Path) -> None:
    folder = _export(logs, "huggingface")
    files = {path.name for path in folder.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "settings.json", "README.md", "parity.json"} <= files
    kinds = [one["model_type"] for one in json.loads((folder / "config.json").read_text())["encoder_configs"]]
    assert kinds == ["xlm-roberta", "vit"]
    cat = tmp_path / "cat.png"
    Image.fromarray(draw(Scene("cat", "moon", "cake"), 64, np.random.default_rng(1))).save(cat)
    card = (folder / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert code
    typed = code[1].replace("<this folder>", str(folder)).replace("cat.png", str(cat))
    done = subprocess.run([sys.executable, "-c", typed], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    rows = with_images([TEXT], [str(cat)], 16)
    numbers = np.array([float(one) for one in first.strip("[]").split()])
    assert np.abs(numbers - _expected(scorer, rows)).max() < 1e-5
    (answer,) = scorer.tasks["generation"].answers(scorer.outputs_of(rows), {})["prediction"]
    assert second == str([answer])
    found = json.loads((folder / "parity.json").read_text())
    assert (found["rows"], found["answers"]) == (48, 8)
    assert found["largest_difference"] < 1e-5


def test_many_rows_are_judged_and_explained_as_by_the_run(logs: Path, scorer: Scorer) -> None:
    model, (texts, pictures) = FusedModel(_export(logs, "huggingface")), _rows(logs)
    rows = Cartoons(str(logs / "cache" / "pictures"), size=16, rows_per_split=48).load()["val"]
    assert model.names == ["not humor", "humor"]
    assert np.abs(model.numbers(texts, pictures) - _expected(scorer, rows)).max() < 1e-5
    outputs = scorer.outputs_of(rows)
    assert model.write(texts, pictures) == scorer.tasks["generation"].answers(outputs, {})["prediction"]
    gate = model.outputs(texts, pictures)["gate"].numpy()
    assert np.abs(gate - outputs["gate"]).max() < 1e-5
    assert np.ptp(gate) > 0
    with torch.inference_mode():
        other = model.numbers(texts, pictures[::-1])
    assert np.abs(other - model.numbers(texts, pictures)).max() > 1e-4, "the picture counts"


def test_the_graph_says_the_same_without_torch(logs: Path, scorer: Scorer) -> None:
    """For one row and many, short texts and long ones."""
    folder, (texts, pictures) = _export(logs, "onnx"), _rows(logs)
    texts = [*texts, "x", "ha " * 200]
    pictures = np.concatenate([pictures, pictures[:2]])
    program = (
        "import json, sys; sys.modules['torch'] = None; import numpy, onnxruntime, tokenizers\n"
        f"session = onnxruntime.InferenceSession('{folder}/model.onnx')\n"
        "print({one.name: (one.type, one.shape) for one in session.get_inputs()}, file=sys.stderr)\n"
        f"tokenizer = tokenizers.Tokenizer.from_file('{folder}/tokenizer.json')\n"
        "texts, pictures = json.load(sys.stdin)\n"
        "pictures = numpy.array(pictures, dtype=numpy.uint8)\n"
        "found = []\n"
        "for start, end in ((0, 1), (1, 3), (3, 48), (48, 49), (49, 50)):\n"
        "    rows = tokenizer.encode_batch(texts[start:end])\n"
        "    fed = {'input_ids': [r.ids for r in rows], 'attention_mask': [r.attention_mask for r in rows]}\n"
        "    fed = {name: numpy.array(values) for name, values in fed.items()} | {'pictures': pictures[start:end]}\n"
        "    found += session.run(['probabilities'], fed)[0].tolist()\n"
        "print(json.dumps(found))"
    )
    given = json.dumps([texts, pictures.tolist()])
    done = subprocess.run([sys.executable, "-c", program], input=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "'pictures': ('tensor(uint8)'" in done.stderr
    model = FusedModel(_export(logs, "huggingface"))
    assert np.abs(np.array(json.loads(done.stdout)) - model.numbers(texts, pictures)).max() < 1e-5
    assert json.loads((folder / "labels.json").read_text()) == ["not humor", "humor"]
    assert json.loads((folder / "parity.json").read_text())["labels_agree"] == 1
    card = (folder / "README.md").read_text()
    assert "pictures, uint8 [rows, 16, 16, 3]" in card
    assert "calibrated on validation (temperature 0.250)" in card


def test_int8_is_measured(logs: Path) -> None:
    found = json.loads((_export(logs, "onnx_int8") / "parity.json").read_text())
    assert found["int8_mib"] < found["fp32_mib"]
    assert found["f1_difference"] == pytest.approx(found["int8_f1"] - found["fp32_f1"])
    assert 0 < found["largest_difference"] < 0.5


def test_texts_that_are_read_twice_need_no_picture(logs: Path) -> None:
    scorer, texts = load_scorer(str(logs / "twice")), ["why did the chicken cross the road", "x"]
    folder = _export(logs, "huggingface", "twice")
    assert np.abs(FusedModel(folder).numbers(texts) - scorer.score(texts)).max() < 1e-5
    assert "picture" not in (folder / "README.md").read_text()
    assert json.loads((_export(logs, "onnx", "twice") / "parity.json").read_text())["labels_agree"] == 1


def test_an_export_that_differs_is_not_kept(logs: Path) -> None:
    own = FusedModel.outputs

    def wrong(self: FusedModel, *given: Any) -> dict[str, torch.Tensor]:
        return {name: value + 1e-3 for name, value in own(self, *given).items()}

    with mock.patch.object(FusedModel, "outputs", wrong):
        done = typed_here("export", f"run={logs / 'drawn'}", "to=huggingface", f"output={logs / 'wrong'}")
    assert_one_message(done, "numbers that differ by 1.0e-03, and 0 other answers")
    with mock.patch.object(FusedModel, "write", lambda self, texts, *given: ["ha"] * len(texts)):
        done = typed_here("export", f"run={logs / 'drawn'}", "to=huggingface", f"output={logs / 'wrong'}")
    assert_one_message(done, "8 other answers")
    assert not list(logs.glob("*wrong*"))


def test_rows_that_are_others_now_are_told(logs: Path, tmp_path: Path) -> None:
    run = shutil.copytree(logs / "drawn", tmp_path / "run", ignore=shutil.ignore_patterns("export"))
    config = (run / record.CONFIG).read_text()
    assert config.count("  seed: 0\n") == 1
    (run / record.CONFIG).write_text(config.replace("  seed: 0\n", "  seed: 1\n"))
    done = typed_here("export", f"run={run}", "to=onnx")
    assert_one_message(done, "found other validation rows in its data")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (("export", "to=sentence_transformers"), "set to=huggingface"),
        (("export", "vocabulary=used"), "found a model of two encoders, expected one of texts alone"),
        (("serve",), "found a run that reads pictures"),
    ],
)
def test_what_cannot_be_is_told_at_once(logs: Path, line: tuple[str, ...], told: str) -> None:
    command, *more = line
    place = "port=0" if command == "serve" else f"output={logs / 'no'}"
    assert_one_message(typed_here(command, f"run={logs / 'drawn'}", *more, place), told)
