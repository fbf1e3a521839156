"""Weights of 4 bits: which ones; nothing that only looks changes what is trained, and a run goes on exactly."""

import copy
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor

from lit_humor.callbacks.step_seeds import StepSeeds
from lit_humor.core.errors import MissingExtraError, UserError
from lit_humor.engine.checkpoints import SafeCheckpointIO, read_checkpoint
from lit_humor.learning.learner import Learner
from lit_humor.models import vision_language
from lit_humor.models.vision_language import VisionLanguage
from lit_humor.objectives.language_modeling import LanguageModeling
from lit_humor.optim.groups import LayerwiseAdamW
from lit_humor.optim.schedules import WarmupDecay
from lit_humor.tasks.generation import Generation
from tests.unit.building import TRAINER, make_datamodule, make_examples
from tests.unit.seeing import LORA_4, ChatRows, adapted, make_batch, make_model, make_network

HAS_PACKAGES = all(importlib.util.find_spec(name) for name in ("peft", "bitsandbytes", "accelerate"))
pytestmark = pytest.mark.skipif(not HAS_PACKAGES, reason="needs the extra qlora")
PACKS_ANEW = torch.cpu.get_capabilities().get("avx512_bf16", False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("model"), hidden_size=64, num_heads=4)


def _four_bits(network: VisionLanguage) -> set[str]:
    import bitsandbytes

    return {name for name, one in network.lm.named_modules() if isinstance(one, bitsandbytes.nn.Linear4bit)}


def test_the_matrices_of_the_language_model_have_4_bits(folder: str) -> None:
    network = make_network(folder, adapter=LORA_4, quantization="nf4")
    found = _four_bits(network)
    parts = [
        *(f"self_attn.{one}_proj.base_layer" for one in "qkvo"),
        *(f"mlp.{one}_proj" for one in ("gate", "up", "down")),
    ]
    assert found == {f"model.language_model.layers.{layer}.{part}" for layer in range(2) for part in parts}
    weight = network.lm.model.language_model.layers[0].mlp.up_proj.weight
    assert (weight.dtype, weight.numel(), weight.quant_state.quant_type) == (torch.uint8, 64 * 256 // 2, "nf4")
    assert weight.quant_state.nested, "scales have 8 bits"
    assert network.lm.lm_head.weight.dtype == torch.float32
    assert {p.dtype for p in network.lm.model.visual.parameters()} == {torch.float32}
    assert {p.dtype for n, p in network.named_parameters() if "lora_" in n} == {torch.float32}


def test_it_computes_with_weights_near_the_plain_ones(folder: str) -> None:
    batch = make_batch()
    with torch.no_grad():
        plain, rounded = (adapted(folder, quantization=one)(batch)["answer_logits"] for one in ("none", "nf4"))
    assert 1e-3 < (plain - rounded).abs().mean() < 0.3 * plain.std()


def test_gradients_are_those_of_the_same_weights_in_full(folder: str) -> None:
    import bitsandbytes

    network, batch = adapted(folder, quantization="nf4"), make_batch()
    dense = adapted(folder)
    for name in _four_bits(network):
        rounded, plain = network.lm.get_submodule(name), dense.lm.get_submodule(name)
        weight = bitsandbytes.functional.dequantize_4bit(rounded.weight.data, rounded.weight.quant_state)
        plain.weight.data = weight.reshape(plain.weight.shape)
    for one in (network, dense):
        one(batch)["answer_logits"].square().mean().backward()
    grads = [{n: p.grad for n, p in one.named_parameters() if p.grad is not None} for one in (network, dense)]
    assert grads[0].keys() == grads[1].keys()
    assert len(grads[0]) == 16
    for name, grad in grads[0].items():
        torch.testing.assert_close(grad, grads[1][name], rtol=1e-4, atol=1e-6)


def _trained(folder: str, *, look: bool) -> Tensor:
    """Logits after two steps, with or without an evaluation before each."""
    network, batch = adapted(folder, quantization="nf4").train(), make_batch()
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-2)
    for step in range(2):
        if look:
            with torch.inference_mode():
                network.eval()(batch)
                network.write(batch, 3, 250)
        torch.manual_seed(step)
        network.train()(batch)["answer_logits"].square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        return network.train()(batch)["answer_logits"]


def test_an_evaluation_changes_nothing_in_the_training_that_follows(folder: str) -> None:
    torch.manual_seed(7)
    plain = _trained(folder, look=False)
    torch.manual_seed(7)
    assert torch.equal(_trained(folder, look=True), plain)


@pytest.mark.skipif(not PACKS_ANEW, reason="only CPUs with bf16 instructions pack weights anew")
def test_it_would_without_the_switch(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision_language, "keep_packing", lambda model: None)
    with pytest.raises(AssertionError):
        test_an_evaluation_changes_nothing_in_the_training_that_follows(folder)


def test_a_state_is_the_adapter_alone_and_fits(folder: str) -> None:
    network, batch = adapted(folder, quantization="nf4"), make_batch()
    other = make_network(folder, adapter=LORA_4, quantization="nf4")
    state = network.state_dict()
    assert len(state) == 17
    with torch.no_grad():
        before = network(batch)["answer_logits"]
        other.load_state_dict(state)
        assert torch.equal(other(batch)["answer_logits"], before)
        assert torch.equal(copy.deepcopy(network)(batch)["answer_logits"], before)
    with pytest.raises(RuntimeError, match="Missing key"):
        other.load_state_dict({name: value for name, value in state.items() if "layers.1" not in name})


class _Halfway(pl.Callback):
    """Saves after two epochs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 1:
            trainer.save_checkpoint(self.path)


def _fit(
    folder: str, place: Path, network: VisionLanguage, checkpoint: Path | None, *callbacks: pl.Callback
) -> Learner:
    examples = {name: make_examples(count, seed) for name, count, seed in (("train", 24, 0), ("val", 8, 1))}
    datamodule = make_datamodule(folder, place, preparation=ChatRows, splits=examples)
    pl.seed_everything(0, verbose=False)
    objective = LanguageModeling()
    objective.prepare(datamodule.training_rows)
    learner = Learner(
        network,
        objective,
        {"generation": Generation()},
        optimizer=LayerwiseAdamW(0.01, WarmupDecay("linear", 0.1)),
        global_batch_size=datamodule.global_batch_size,
    )
    for task in learner.tasks.values():
        task.connect(datamodule.preparation.pretrained)
    options: Any = TRAINER | {"max_epochs": 4, "callbacks": [StepSeeds(0), *callbacks], "plugins": [SafeCheckpointIO()]}
    pl.Trainer(**options).fit(learner, datamodule, ckpt_path=checkpoint, weights_only=True)
    return learner


def test_a_run_goes_on_exactly(folder: str, tmp_path: Path) -> None:
    """With a validation each epoch, and nothing kept of the pictures when it goes on."""
    half = tmp_path / "half.ckpt"
    made = [make_network(folder, adapter=LORA_4, quantization="nf4").train() for _ in range(2)]
    whole = _fit(folder, tmp_path, made[0], None)
    _fit(folder, tmp_path, copy.deepcopy(made[1]), None, _Halfway(half))
    resumed = _fit(folder, tmp_path, made[1], half)
    assert half.stat().st_size < 2**20
    held = read_checkpoint(half)["state_dict"]
    state, other = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(state[name], other[name]) for name in state)
    assert any(not torch.equal(state[name], held[f"model.{name}"]) for name in state)
    assert {name for name in held if name.startswith("model.")} == {f"model.{name}" for name in state}


def test_4_bits_need_an_adapter(folder: str) -> None:
    with pytest.raises(UserError, match=r"found no adapter.*set model\.network\.quantization=none"):
        make_network(folder, quantization="nf4")


@pytest.mark.parametrize("package", ["bitsandbytes", "accelerate"])
def test_a_missing_package_is_named(folder: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == package else found(name, *rest)
    )
    with pytest.raises(MissingExtraError, match=rf"no package '{package}' .*\.\[qlora\]"):
        make_network(folder, adapter=LORA_4, quantization="nf4")


def test_loading_says_nothing_and_runs_nothing_of_the_hub(folder: str, tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text("def get_kernel(*args, **more):\n    raise SystemExit('fetched')\n")
    code = (
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n"
        "from lit_humor.models.vision_language import VisionLanguage\n"
        f"network = VisionLanguage({folder!r}, adapter={{}}, quantization='nf4')\n"
        "import kernels\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
