"""Families of encoders that differ in kind, over the whole path: trained, interrupted, resumed, exported."""

import json
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from lit_humor.models.pretrained import load_tokenizer
from tests.e2e.test_bad_input import assert_one_message
from tests.e2e.typed import typed
from tests.torture.running import assert_equal_runs, train
from tests.unit.families import FAMILIES

BARE = ("report=false", "baseline=false", "logger.tensorboard=null", "callbacks.confusion=null")
KINDS = ("ModernBERT", "DeBERTa-v2", "EuroBERT", "Qwen3", "ALBERT")
TO_ONNX = ("ModernBERT", "Qwen3")  # half a minute each on a busy machine


@pytest.mark.parametrize("name", KINDS)
def test_a_family_trains_resumes_and_is_exported(name: str, tiny_model: str, tmp_path: Path) -> None:
    family, tokenizer = FAMILIES[name], load_tokenizer(tiny_model)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    folder = family.make(tmp_path / "encoder", tokenizer)
    settings = ("debug=tiny", f"model.pretrained={folder}", f"paths.logs_dir={tmp_path}", *BARE, *family.settings)
    whole = train(tmp_path, *settings, "run_id=whole")
    assert whole.code == 0, whole.output
    accident = {"event": "stepped", "at": 2, "action": "SIGTERM"}
    stopped = train(tmp_path, *settings, "run_id=run", accident=accident)
    assert stopped.code == 143, stopped.output
    done = train(tmp_path, f"resume={tmp_path / 'run'}")
    assert done.code == 0, done.output
    assert json.loads((tmp_path / "run" / "result.json").read_text())["epochs"] == 2
    assert_equal_runs(tmp_path / "run", tmp_path / "whole")
    for to in ("huggingface", *(["onnx"] if name in TO_ONNX else [])):
        exported = typed("export", f"run={tmp_path / 'run'}", f"to={to}")
        if to in family.exports:
            assert exported.returncode == 0, exported.stderr
            parity = json.loads((tmp_path / "run" / "export" / to / "parity.json").read_text())
            assert parity["labels_agree"] == 1
            assert parity["largest_difference"] < 1e-4
        else:
            assert_one_message(exported, "to=huggingface", "set to=onnx")
