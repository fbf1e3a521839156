"""Exports as typed: other programs say what the checkpoint says."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from transformers import pipeline

from lit_humor.core.errors import UserError
from lit_humor.engine.machine import Machine
from lit_humor.exporters.huggingface import as_transformers
from lit_humor.inference import exporting_numbers, scoring
from lit_humor.inference.scoring import load_scorer
from lit_humor.models.encoder import TextClassifier
from lit_humor.tasks.classification import Classification
from lit_humor.tasks.reports.classification.predictions import read_predictions
from tests.e2e.test_bad_input import assert_one_message
from tests.e2e.typed import typed_here

NAMES = ("not humor", "humor")
EXACT = "trainer.precision=32-true"  # on a machine that has bf16, too


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("logs")
    bare = ("baseline=false", "report=false", EXACT)
    done = typed_here("train", "debug=tiny", f"paths.logs_dir={logs}", "run_id=run", *bare)
    assert done.returncode == 0, done.stderr
    (logs / "run" / "calibration.json").write_text('{"temperature": 0.25, "threshold": 0.5}')  # one that shows
    return logs / "run"


def test_a_run_in_bf16_is_compared_in_fp32(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("export"))
    environment = json.loads((copy / "environment.json").read_text())
    environment["plan"]["precision"] = "bf16-mixed"
    (copy / "environment.json").write_text(json.dumps(environment))
    (copy / "calibration.json").unlink()
    with mock.patch.object(scoring, "look_at_machine", return_value=Machine(cpu_bf16="amx_bf16")):
        assert load_scorer(str(copy)).dtype == torch.bfloat16
        done = typed_here("export", f"run={copy}", "to=huggingface")
    assert done.returncode == 0, done.stderr
    card = (copy / "export" / "huggingface" / "README.md").read_text()
    assert "Probabilities are not calibrated" in card, "a temperature of 1 that nobody fitted"


def _export(run: Path, to: str) -> Path:
    folder = run / "export" / to
    if not folder.is_dir():
        done = typed_here("export", f"run={run}", f"to={to}")
        assert done.returncode == 0, done.stderr
        assert f"Exported: {folder}" in done.stdout
    return folder


def test_plain_transformers_says_the_same(run: Path) -> None:
    folder = _export(run, "huggingface")
    rows = read_predictions(run / "predictions" / "val.parquet")
    texts = rows.columns["text"]
    judge = pipeline("text-classification", str(folder), device="cpu")
    found = judge(texts, top_k=None, truncation=True, max_length=128)
    scores = np.array([[next(one["score"] for one in row if one["label"] == name) for name in NAMES] for row in found])
    expected = load_scorer(str(run)).score(texts)
    assert np.abs(scores - expected).max() < 1e-4
    assert np.array_equal(scores.argmax(1), rows.predicted), "calibration changes no decision"
    assert np.abs(scores - rows.probabilities).max() > 1e-3, "but the probabilities"
    parity = json.loads((folder / "parity.json").read_text())
    assert parity["rows"] == len(texts)
    assert parity["labels_agree"] == 1


def test_onnx_says_the_same_without_torch(run: Path) -> None:
    folder = _export(run, "onnx")
    texts = [*read_predictions(run / "predictions" / "val.parquet").columns["text"], "ha " * 500, "x"]
    program = (
        "import json, sys; sys.modules['torch'] = None; import numpy, onnxruntime, tokenizers\n"
        f"session = onnxruntime.InferenceSession('{folder}/model.onnx')\n"
        f"tokenizer = tokenizers.Tokenizer.from_file('{folder}/tokenizer.json')\n"
        "rows = tokenizer.encode_batch(json.load(sys.stdin))\n"
        "fed = {'input_ids': [r.ids for r in rows], 'attention_mask': [r.attention_mask for r in rows]}\n"
        "fed = {name: numpy.array(values) for name, values in fed.items()}\n"
        "print(json.dumps(session.run(None, fed)[0].tolist()))"
    )
    done = subprocess.run([sys.executable, "-c", program], input=json.dumps(texts), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert np.abs(np.array(json.loads(done.stdout)) - load_scorer(str(run)).score(texts)).max() < 1e-4
    assert json.loads((folder / "labels.json").read_text()) == list(NAMES)


def test_int8_is_measured(run: Path) -> None:
    found = json.loads((_export(run, "onnx_int8") / "parity.json").read_text())
    assert found["int8_mib"] < found["fp32_mib"]
    assert found["times_faster_than_onnx_fp32"] > 0
    assert found["f1_difference"] == pytest.approx(found["int8_f1"] - found["fp32_f1"])
    assert 0 < found["largest_difference"] < 0.5


@pytest.mark.parametrize("to", ["huggingface", "onnx"])
def test_the_card_tells_numbers_data_and_limits(run: Path, to: str) -> None:
    card = ModelCard.load(_export(run, to) / "README.md")
    results = json.loads((run / "result.json").read_text())["results"]
    assert f"{results['test']['f1']:.4f}" in card.text
    assert "## Limits" in card.text
    assert "{{" not in card.text
    values = {(one.dataset_type, one.metric_type): one.metric_value for one in card.data.eval_results}
    assert values["val", "accuracy"] == pytest.approx(results["val"]["accuracy"], abs=1e-4)


def test_the_card_of_int8_does_not_claim_the_scores_of_the_checkpoint(run: Path) -> None:
    card = ModelCard.load(_export(run, "onnx_int8") / "README.md")
    assert "Of the checkpoint in full precision" in card.text
    assert not card.data.eval_results


def test_who_may_read_one_file_may_read_all(run: Path) -> None:
    assert len({path.stat().st_mode for path in _export(run, "huggingface").iterdir()}) == 1


def test_an_export_that_differs_is_not_kept(run: Path) -> None:
    def wrong(*arguments: object) -> np.ndarray:
        return 1 - exports_scores(*arguments)

    exports_scores = exporting_numbers.pipeline_scores
    target = run / "wrong"
    with mock.patch.object(exporting_numbers, "pipeline_scores", wrong):
        done = typed_here("export", f"run={run}", "to=huggingface", f"output={target}")
    assert_one_message(done, "differs from the checkpoint")
    assert not list(run.glob("*wrong*"))


def test_architectures_and_their_heads(tiny_model: str, bert_folder: str) -> None:
    batch = {"input_ids": torch.tensor([[5, 6, 7, 8]]), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    for folder in (tiny_model, bert_folder):
        model = TextClassifier(folder, 2).eval()
        exported = as_transformers(model, Classification(NAMES).form, temperature=2.0)
        with torch.no_grad():
            torch.testing.assert_close(exported(**batch).logits, model(batch)["logits"] / 2, atol=1e-5, rtol=1e-4)
    with pytest.raises(UserError, match="mean pooling"):
        as_transformers(TextClassifier(tiny_model, 2, pooling="mean"), Classification(NAMES).form, 1.0)


@pytest.fixture
def bert_folder(tmp_path: Path) -> str:
    from transformers import BertConfig, BertModel

    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=50, **size)).save_pretrained(tmp_path)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [(["to=tflite"], "one of huggingface, merged, onnx"), (["to=onnx", "output=."], "a folder there already")],
)
def test_mistakes(run: Path, arguments: list[str], part: str) -> None:
    assert_one_message(typed_here("export", f"run={run}", *arguments), part)
    assert_one_message(typed_here("export", "to=onnx"), "run: found no run")
