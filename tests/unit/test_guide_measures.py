"""How a row of a guide to speed is measured: the same steps and rows, graphs, gradients, a process of its own."""

import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import nn

from lit_humor.benchmarking import measuring
from lit_humor.benchmarking.apart import FailedApart, apart
from lit_humor.benchmarking.effects import (
    UNCUT,
    building,
    compiling,
    compute_all_logits,
    counting,
    stepping,
    tokenizing,
)
from lit_humor.benchmarking.guide import guide_names
from lit_humor.benchmarking.guides.gritlm import GUIDE
from lit_humor.benchmarking.measuring import gradient_difference, keep_same_rows
from lit_humor.benchmarking.raw_step import Setup, build
from lit_humor.core.batch import TRAIN
from lit_humor.core.errors import UserError
from lit_humor.core.settings import check_name
from lit_humor.data.batches import tokens
from lit_humor.engine import abilities
from lit_humor.engine.machine import Machine
from lit_humor.models.picture_features import PictureReader
from tests.unit.seeing import make_batch, make_model, make_network

COPIED = "lit_humor.core.settings"  # what is copied has imported this
TINY = ("experiment=gritlm", "debug=tiny", "trainer.devices=1")


class _Layer(nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return (values + 1).relu()


@pytest.mark.parametrize(("dynamic", "graphs"), [("", 1), ("dynamic=none", 2), ("dynamic=false", 4)])
def test_graphs_of_four_widths(dynamic: str, graphs: int) -> None:
    layer = _Layer()
    with counting() as found:
        with compiling(backend="eager"), building(dynamic):
            layer.compile(dynamic=True)
        for width in (4, 5, 6, 7, 4):
            layer(torch.ones(width, 3))
    assert (found.count, found.gave_up) == (graphs, False)
    with counting() as found:
        for width in range(4, 16):
            layer(torch.ones(width, 3))
    assert found.gave_up == (dynamic == "dynamic=false")


def test_graphs_of_a_model_are_the_same_whatever_its_number_of_layers() -> None:
    settings = [*TINY, *GUIDE.base, "data.padding=longest", "trainer.compile=true"]
    two, four = (
        measuring.count_graphs([*settings, f"model.pretrained.num_layers={number}"], "dynamic=false")
        for number in (2, 4)
    )
    assert two == four
    assert two.count > measuring.count_graphs(settings, "").count > 0


def test_effects_end() -> None:
    most, compile_module = tokens.MOST_CHARACTERS, nn.Module.compile
    with tokenizing(UNCUT), building("dynamic=none"):
        assert tokens._beginnings(["a" * 1000], 1) == ["a" * 1000]
        assert nn.Module.compile is not compile_module
    assert tokens._beginnings(["a" * 1000], 1) == ["a" * most]
    assert nn.Module.compile is compile_module
    query = torch.ones(1, 1, 2, 4)
    with stepping("sdpa=EFFICIENT_ATTENTION"), pytest.raises(RuntimeError, match=r"[Nn]o (viable|available)"):
        nn.functional.scaled_dot_product_attention(query, query, query)


def _build(*settings: str) -> Setup:
    return build([*TINY, *GUIDE.base, *settings])


def _batch(setup: Setup) -> Any:
    return setup.take(next(iter(setup.datamodule.train_dataloader())))


def test_checkpointing_moves_no_gradient_unless_its_dropout_is_another() -> None:
    dropping = "model.network.attention_dropout=0.3"
    with_dropout = _build("model.network.gradient_checkpointing=true", dropping)
    without = _build("model.network.gradient_checkpointing=true", "model.network.attention_dropout=0")
    found = {
        (name, preserve): gradient_difference(setup, _batch(setup), preserve=preserve)
        for name, setup in (("dropout", with_dropout), ("none", without))
        for preserve in (True, False)
    }
    assert found["none", True] == found["none", False] == found["dropout", True] == 0
    assert found["dropout", False] > 0.01
    assert gradient_difference(with_dropout, _batch(with_dropout), preserve=True) == 0, "it is as it was"


def test_all_settings_train_on_the_same_rows() -> None:
    kept = []
    for settings in ((), ("data.padding=longest", "data.length_grouped=true"), ("trainer.max_tokens=64",)):
        setup = _build("data.batch_size=4", *settings)
        keep_same_rows(setup, 3)
        loader = setup.datamodule.train_dataloader()
        rows = [int(row) for batch in loader for row in batch["rows"]]
        assert sorted(rows) == list(range(12)), "each once"
        kept.append(setup.datamodule.splits[TRAIN].ids)
    assert kept[0] == kept[1] == kept[2]
    with pytest.raises(UserError, match="for a complete global batch"):
        keep_same_rows(_build("data.batch_size=4096"), 1)


def test_steps_are_taken_once_over_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    step = Setup.step

    def counted(setup: Setup, optimizer: Any, global_batch: Any) -> None:
        taken.append(sum(len(batch["rows"]) for batch in global_batch))
        step(setup, optimizer, global_batch)

    monkeypatch.setattr(Setup, "step", counted)
    found = measuring.measure("steps", [*TINY, *GUIDE.base, "data.batch_size=4"], 3)
    assert taken == [2, 4, 4, 4]
    assert found["rows"] == 12
    assert found["seconds"] > 0
    assert found["precision"] == "32-true"


@pytest.mark.parametrize(("mib", "read"), [(64, False), (0, True)])
def test_kept_features_are_there_when_the_clock_starts(mib: int, read: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft", reason="needs the extra qlora")
    calls: list[str] = []
    make, take = PictureReader._read, measuring._take
    monkeypatch.setattr(PictureReader, "_read", lambda *given: calls.append("read") or make(*given))
    monkeypatch.setattr(measuring, "_take", lambda *given: calls.append("start") or take(*given))
    typed = ["experiment=qwen3vl_random", "debug=tiny", "data.batch_size=4", "trainer.accumulation=1"]
    found = measuring.measure("steps", [*typed, f"model.network.picture_cache_mib={mib}", "trainer.devices=1"], 2)
    assert found["rows"] == 8
    assert ("read" in calls[calls.index("start") :]) == read


def test_all_logits_cost_more_and_are_those_of_the_answer(tmp_path: Path) -> None:
    network, batch, widths = make_network(make_model(tmp_path)), make_batch(), []
    network.lm.lm_head.register_forward_pre_hook(lambda head, given: widths.append(given[0].shape[1]))
    few = network(batch)["answer_logits"]
    compute_all_logits(network)
    whole = network(batch)["answer_logits"]
    torch.testing.assert_close(whole, few)
    answer, prompt = batch["answer_ids"].shape[1], batch["input_ids"].shape[1]
    assert widths == [answer + 1, answer + prompt]


def test_a_training_is_timed_with_its_loggers_and_without() -> None:
    off = ("logger.csv=null", "logger.tensorboard=null")
    for settings in ((), off):
        found = measuring.measure("training", [*TINY, *GUIDE.base, *settings, "data.batch_size=4"], 2)
        assert found["rows"] == 8
        assert found["seconds"] > 0


def test_in_a_process_of_its_own() -> None:
    assert apart(os.getpid, copy_of=COPIED) not in (os.getpid(), apart(os.getpid, copy_of=COPIED))
    with pytest.raises(UserError, match="name") as told:
        apart(check_name, "name", "a/b", copy_of=COPIED)
    assert told.value.where == "name=a/b"
    assert told.value.fix == "set name=a-b"
    with pytest.raises(FailedApart, match="ZeroDivisionError: "):
        apart(divmod, 1, 0, copy_of=COPIED)
    with pytest.raises(FailedApart, match=r"exit code 3"):
        apart(os._exit, 3, copy_of=COPIED)
    with pytest.raises(FailedApart, match=r"took longer than 0\.1 s"):
        apart(time.sleep, 600, seconds=0.1, copy_of=COPIED)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="no /proc here")
def test_what_is_done_beforehand_starts_no_threads_and_counts_no_graphs() -> None:
    sys.modules.pop("lit_humor.benchmarking.beforehand", None)
    threads = set(os.listdir("/proc/self/task"))
    importlib.import_module("lit_humor.benchmarking.beforehand")
    assert set(os.listdir("/proc/self/task")) <= threads, "a copy of the process would lack them"
    assert {"lit_humor.models.gritlm", "lit_humor.models.fused", "torch._dynamo.variables"} <= sys.modules.keys()
    with counting() as found:
        pass
    assert found.count == 0


def test_what_cannot_be_done_beforehand_is_left_to_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = UserError("data.picture_root", found="no Pillow", expected="its extra", fix="install it")
    validate, compiled = mock.Mock(side_effect=missing), mock.Mock(side_effect=RuntimeError("no compiler"))
    monkeypatch.setattr("lit_humor.engine.configuration.validate", validate)
    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.delitem(sys.modules, "lit_humor.benchmarking.beforehand", raising=False)
    importlib.import_module("lit_humor.benchmarking.beforehand")
    assert validate.call_count == len(guide_names())
    assert compiled.called


def test_abilities_are_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = abilities.attentions(torch.device("cpu"))
    assert found["plain"] == ["without padding", "mask", "dropout", "mask and dropout"]
    assert "without padding" in found["flash"]
    assert "dropout" not in found["flash"]
    assert found["memory-efficient"] == []
    monkeypatch.setattr(abilities, "matmul_ceiling", lambda precision, device: 3e12 if precision == "32-true" else 6e12)
    facts = dict(abilities.performance_facts(Machine()))
    assert facts["large products of matrices"] == "3,000 GFLOPS in 32-true, 6,000 GFLOPS in bf16-mixed"
    assert facts["fused AdamW"] == "runs"
    assert "memory-efficient: never" in facts["attention of torch that runs"]
    assert facts["pinned memory"].startswith("not used")

    def refuse(*args: Any, **named: Any) -> None:
        raise RuntimeError("no fused kernel")

    monkeypatch.setattr(abilities.torch.optim, "AdamW", refuse)
    assert dict(abilities.performance_facts(Machine()))["fused AdamW"] == "does not run: no fused kernel"


def test_texts_are_timed_with_the_filter_and_without(tmp_path: Path) -> None:
    row = "w" * 30_000
    (tmp_path / "train.csv").write_text("text,end\n" + "".join(f"{row} {n},so\n" for n in range(40)))
    data = ["data=csv", f"data.train_path={tmp_path / 'train.csv'}", "data.text_column=text", "data.answer_column=end"]
    typed = [*TINY, *data, "data.max_length=64", "data.split_similarity=null"]
    assert [measuring.measure("texts", typed, 1, effect)["cut"] > 0 for effect in ("", UNCUT)] == [True, False]
