"""Frozen layers do not learn and drop nothing; what they compute once is what they would compute again."""

import contextlib
import copy
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    BertConfig,
    BertModel,
    ModernBertConfig,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
    Qwen3Config,
    Qwen3Model,
)

from lit_humor.callbacks import frozen_prefix
from lit_humor.callbacks.step_seeds import StepSeeds
from lit_humor.core.errors import UserError
from lit_humor.data.preparing.states import PreparedStates
from lit_humor.models.encoder import TextClassifier
from lit_humor.models.network import Network
from lit_humor.optim.groups import LayerwiseAdamW
from lit_humor.optim.schedules import WarmupDecay
from tests.unit.building import TRAINER, largest_difference, make_datamodule, make_learner
from tests.unit.comparing import short_batch, tiny_classifier

FROZEN = {"frozen_layers": 1, "dropout": 0.3, "attention_dropout": 0.3}
LABELS = torch.tensor([0, 1, 1])


def _frozen(model: TextClassifier) -> set[str]:
    return {name for name, parameter in model.named_parameters() if not parameter.requires_grad}


@pytest.mark.parametrize("attention", ["sdpa", "packed"])
def test_frozen_layers_keep_their_weights_and_the_others_learn(tiny_model: str, attention: str) -> None:
    model = tiny_classifier(tiny_model, attention=attention, **FROZEN)
    expected = {name for name, depth in model.parameter_depths().items() if depth <= 1}
    assert _frozen(model) == expected
    assert any(".layer.0." in name for name in expected)
    assert not any(".layer.1." in name for name in expected)
    groups = LayerwiseAdamW(1e-3, WarmupDecay("cosine", 0.1)).groups_of(model, torch.nn.Identity())
    assert {group["depth"] for group in groups} == {2, 3}
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    optimizer = torch.optim.AdamW(groups)
    F.cross_entropy(model.train()(short_batch())["logits"], LABELS).backward()
    optimizer.step()
    changed = {name for name, one in model.named_parameters() if not torch.equal(one, before[name])}
    assert changed
    assert not changed & expected


def test_frozen_layers_drop_nothing_and_the_others_do(tiny_model: str) -> None:
    model = tiny_classifier(tiny_model, fast_dropout=True, **FROZEN).train()
    first, second = (model.prefix.compute(model, short_batch()) for _ in range(2))
    assert torch.equal(first, second)
    logits = [model(short_batch())["logits"] for _ in range(2)]
    assert not torch.equal(*logits)
    assert model.layers()[1].training
    assert not model.layers()[0].training
    whole = tiny_classifier(tiny_model, dropout=0.3).train()
    kept: list[Tensor] = []
    whole.layers()[0].register_forward_hook(lambda *args: kept.append(args[2]))
    [whole(short_batch()) for _ in range(2)]
    assert not torch.equal(*kept), "without the setting they do"


@pytest.mark.parametrize("attention", ["sdpa", "eager", "matmul", "packed"])
@pytest.mark.parametrize("short", [True, False])
def test_given_states_are_those_that_are_computed(tiny_model: str, attention: str, short: bool) -> None:
    """Scores and gradients, to the last bit, of the same states."""
    model = tiny_classifier(tiny_model, frozen_layers=1, attention=attention, short_last_layer=short).train()
    states = model.prefix.compute(model, short_batch())
    assert states.shape == (3, 7, 16)
    found = []
    for batch in (short_batch(), short_batch() | {"states": states}):
        passes: list[int] = []
        hook = model.layers()[0].register_forward_pre_hook(lambda *_, seen=passes: seen.append(1))
        logits = model(batch)["logits"]
        hook.remove()
        assert bool(passes) == ("states" not in batch)
        model.zero_grad()
        F.cross_entropy(logits, LABELS).backward()
        found.append((logits, {name: one.grad for name, one in model.named_parameters() if one.grad is not None}))
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1].keys() == found[1][1].keys()
    assert all(torch.equal(one, found[1][1][name]) for name, one in found[0][1].items())


SIZES = {"vocab_size": 30, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "num_hidden_layers": 3}
IDS = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2}
FAMILIES = {
    "bert": lambda: BertModel(BertConfig(**SIZES)),
    "modernbert": lambda: ModernBertModel(
        ModernBertConfig(**SIZES, **IDS, global_attn_every_n_layers=2, local_attention=4)
    ),
    "qwen3": lambda: Qwen3Model(Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=4)),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_encoders_of_other_kinds_take_given_states(family: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    FAMILIES[family]().save_pretrained(tmp_path)
    pooling: Any = "last" if family == "qwen3" else "first"
    model = TextClassifier(str(tmp_path), 2, dropout=None, pooling=pooling, frozen_layers=2).eval()
    states = model.prefix.compute(model, short_batch())
    expected = model(short_batch())["logits"]
    assert torch.equal(model(short_batch() | {"states": states})["logits"], expected)
    assert not torch.equal(model(short_batch() | {"states": states + 1})["logits"], expected)


def test_layers_that_return_more_are_refused(tmp_path: Path) -> None:
    MPNetModel(MPNetConfig(**SIZES)).save_pretrained(tmp_path)
    model = TextClassifier(str(tmp_path), 2, frozen_layers=1)
    with pytest.raises(UserError, match=r"frozen_prefix\.cached: found layers that return more.*=false"):
        model.prefix.compute(model, short_batch())
    assert model(short_batch())["logits"].shape == (3, 2), "all layers are back in their places"


def test_the_highest_layers_start_anew(tiny_model: str) -> None:
    plain, anew = tiny_classifier(tiny_model), tiny_classifier(tiny_model, reinitialized_layers=1)
    other = {name for name, one in anew.state_dict().items() if not torch.equal(one, plain.state_dict()[name])}
    assert other
    assert all(".layer.1." in name for name in other)
    weights = anew.layers()[1].attention.self.query.weight
    assert weights.std().item() == pytest.approx(plain.config.initializer_range, rel=0.2)
    assert torch.equal(anew.head.dense.weight, plain.head.dense.weight), "no other random number changes"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"frozen_layers": 2}, r"frozen_layers: found 2, expected 0 to 1.*frozen_layers=1"),
        ({"frozen_layers": -1}, r"frozen_layers: found -1.*frozen_layers=0"),
        ({"reinitialized_layers": 3}, r"reinitialized_layers: found 3, expected 0 to 2.*layers=2"),
        ({"frozen_layers": 1, "reinitialized_layers": 2}, r"reinitialized_layers: found 2, expected 0 to 1"),
    ],
)
def test_layers_that_are_not_there(tiny_model: str, settings: dict[str, int], told: str) -> None:
    with pytest.raises(UserError, match=told):
        tiny_classifier(tiny_model, **settings)


class _Plain:
    """The parts of a Trainer that the callback uses."""

    is_global_zero, precision, ckpt_path = True, "32-true", None
    strategy = SimpleNamespace(barrier=lambda: None, root_device=torch.device("cpu"))
    precision_plugin = SimpleNamespace(forward_context=contextlib.nullcontext)

    def __init__(self, datamodule: Any) -> None:
        self.datamodule = datamodule


def _learner(tiny_model: str, folder: Path, **settings: Any) -> tuple[Any, Any]:
    datamodule = make_datamodule(tiny_model, folder)
    datamodule.setup()
    model: Network = tiny_classifier(tiny_model, **settings)
    return make_learner(datamodule, model), datamodule


def test_states_are_computed_once_and_read_by_the_next_run(tiny_model: str, tmp_path: Path) -> None:
    learner, datamodule = _learner(tiny_model, tmp_path, frozen_layers=1)
    plain = dict(datamodule.prepared)
    called: list[int] = []
    compute = learner.model.prefix.compute
    learner.model.prefix.compute = lambda *args: called.append(1) or compute(*args)
    for run in range(2):
        callback = frozen_prefix.FrozenStates()
        called.clear()
        callback.setup(_Plain(datamodule), learner, "fit")  # type: ignore[arg-type]
        assert isinstance(datamodule.prepared["train"], PreparedStates)
        assert datamodule.prepared["test"] is plain["test"]
        assert len(called) == (1 if run else 1 + 44 // 4 + 6)
        kept = pickle.loads(pickle.dumps(datamodule.prepared["train"]))
        assert len(pickle.dumps(kept)) < len(pickle.dumps(plain["train"])) + 400, "files go to loaders by name"
        rows = np.array([3, 0, 7])
        batch = kept.collate(rows)
        states = learner.model.prefix.compute(learner.model, plain["train"].collate(rows))
        is_token = batch["attention_mask"][..., None].bool()
        rounded = states.bfloat16().masked_fill(~is_token, 0)
        torch.testing.assert_close(batch["states"].float(), rounded.float(), rtol=2**-7, atol=1e-6)
        assert (batch["states"] == rounded).float().mean() > 0.99, "rounded as torch rounds"
        callback.on_fit_end(_Plain(datamodule), learner)  # type: ignore[arg-type]
        assert datamodule.prepared == plain
    with torch.no_grad():
        learner.model.layers()[0].output.dense.bias += 1
    callback.setup(_Plain(datamodule), learner, "fit")  # type: ignore[arg-type]
    assert len(list((tmp_path / "states").iterdir())) == 4, "other weights have states of their own"


def _trained(tiny_model: str, folder: Path, *callbacks: Any, num_workers: int = 0) -> tuple[dict[str, Tensor], int]:
    """Weights after two epochs with dropout above, and how often the frozen layer ran."""
    learner, datamodule = _learner(tiny_model, folder, **FROZEN)
    datamodule.num_workers = num_workers
    passes: list[int] = []
    learner.model.layers()[0].register_forward_pre_hook(lambda *_: passes.append(1))
    trainer = pl.Trainer(**TRAINER, max_epochs=2, callbacks=[*callbacks, StepSeeds(3)])
    trainer.fit(learner, datamodule)
    return {name: one.detach() for name, one in learner.model.named_parameters()}, len(passes)


class Rounding(pl.Callback):
    """Rounds the outputs of the frozen layer, as states are rounded."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        pl_module.model.layers()[0].register_forward_hook(lambda *args: args[2].bfloat16().float())


def test_a_training_from_states_is_one_from_texts_whose_states_are_rounded(tiny_model: str, tmp_path: Path) -> None:
    plain, all_passes = _trained(tiny_model, tmp_path)
    rounded, _ = _trained(tiny_model, tmp_path, Rounding())
    found, passes = _trained(tiny_model, tmp_path, frozen_prefix.FrozenStates())
    assert all_passes == 2 * (6 + 6)
    assert passes == 1 + 11 + 6, "once for each row"
    again, passes = _trained(tiny_model, tmp_path, frozen_prefix.FrozenStates(), num_workers=2)
    assert passes == 1
    assert all(torch.equal(found[name], again[name]) for name in found)
    learned = {name: value for name, value in plain.items() if "layer.1" in name or "head" in name}
    off = {name: largest_difference({name: rounded[name]}, {name: found[name]}) for name in learned}
    assert max(off.values()) < 1e-4, "a number on the edge of rounding may fall to the other side"


def test_what_cannot_be_cached_is_refused(tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, datamodule = _learner(tiny_model, tmp_path)
    with pytest.raises(UserError, match=r"cached: found no frozen layer.*set callbacks\.frozen_prefix\.cached=false"):
        frozen_prefix.FrozenStates().setup(_Plain(datamodule), learner, "fit")  # type: ignore[arg-type]
    learner, datamodule = _learner(tiny_model, tmp_path, frozen_layers=1)
    sharded = _Plain(datamodule)
    sharded.strategy = ModelParallelStrategy()  # type: ignore[assignment]
    with pytest.raises(UserError, match=r"trainer\.strategy: found fsdp.*set trainer\.strategy=ddp"):
        frozen_prefix.FrozenStates().setup(sharded, learner, "fit")  # type: ignore[arg-type]
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(frozen_prefix, "disk_usage", lambda path: usage._replace(free=10))
    with pytest.raises(UserError, match=r"cached: found 0\.0 GiB free"):
        frozen_prefix.FrozenStates().setup(_Plain(datamodule), learner, "fit")  # type: ignore[arg-type]


def test_a_write_that_fails_leaves_nothing(tiny_model: str, tmp_path: Path) -> None:
    _, datamodule = _learner(tiny_model, tmp_path)

    def fail(batch: dict[str, Tensor]) -> Tensor:
        raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        PreparedStates(datamodule.prepared["train"], tmp_path / "states" / "a").write(16, 8, fail)
    assert not list((tmp_path / "states").iterdir())


def test_a_copy_of_a_network_has_frozen_layers_of_its_own(tiny_model: str) -> None:
    """As averaged weights are made."""
    model = tiny_classifier(tiny_model, **FROZEN)
    other = copy.deepcopy(model).train()
    assert other.prefix.layers is other.layers()
    assert not other.layers()[0].training
    states = other.prefix.compute(other, short_batch())
    assert torch.equal(states, model.prefix.compute(model, short_batch()))
