"""One model, two directions: it leaks nothing, padding changes nothing, and it is saved, tied and trained as one."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lit_humor.core.errors import UserError
from lit_humor.models import gritlm
from lit_humor.models.gritlm import GritLM
from lit_humor.objectives.contrastive import Contrastive
from lit_humor.objectives.joint import Joint
from lit_humor.objectives.language_modeling import LanguageModeling
from lit_humor.objectives.objective import Shared
from tests.unit.building import largest_difference
from tests.unit.pairing import BACKENDS, KINDS, collate, make_models, make_network, padded, prepare, random_pairs

TEXTS = ([0, 40, 41, 42, 43, 44, 2], [0, 50, 2], [0, 60, 61, 62, 2])
PROMPTS = ([0, 70, 71, 72], [0, 80], [0, 90, 91])
ANSWERS = ([30, 2], [31, 32, 33, 34, 2], [35, 36, 2])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_models(tmp_path_factory.mktemp("models"))


def joint() -> Joint:
    return Joint({"contrastive": Contrastive(), "language_modeling": LanguageModeling()})


def _batch(folder: str) -> dict[str, Tensor]:
    return collate(prepare(folder, random_pairs(6)))


@pytest.mark.parametrize("attention", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_later_tokens_are_seen_to_embed_and_never_to_write(models: dict[str, str], kind: str, attention: str) -> None:
    network = make_network(models[kind], attention)
    first, second = torch.tensor([[0, 40, 41, 42, 43]]), torch.tensor([[0, 40, 41, 42, 99]])
    mask, of_first_token = torch.ones_like(first), torch.tensor([[1, 0, 0, 0, 0]])
    with torch.no_grad():
        vectors = [network.embed(ids, mask, of_first_token) for ids in (first, second)]
        logits = [network.read_on(ids, mask, 4) for ids in (first, second)]
        other = network.read_on(torch.tensor([[0, 40, 41, 98, 43]]), mask, 4)
    assert (vectors[0] - vectors[1]).abs().max() > 1e-3
    assert torch.equal(logits[0], logits[1])  # the last token is what its logits are for
    assert torch.equal(logits[0][:, :3], other[:, :3])
    assert (logits[0][:, 3] - other[:, 3]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("causal", [True, False])
def test_a_model_that_does_not_follow_the_mask_is_refused(
    models: dict[str, str], kind: str, causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that always has the one direction."""
    mask_of = gritlm._mask

    def misread(mask: Tensor, dtype: torch.dtype, **named: bool) -> Tensor:
        return mask_of(mask, dtype, causal=causal)

    monkeypatch.setattr(gritlm, "_mask", misread)
    found = "one direction" if causal else "both directions"
    with pytest.raises(UserError, match=f"attention in {found} to embed and in {found} to write") as error:
        make_network(models[kind])
    assert "model=gritlm_minilm" in error.value.fix


@pytest.mark.parametrize("attention", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(models: dict[str, str], kind: str, attention: str) -> None:
    network = make_network(models[kind], attention)
    texts, there = padded(TEXTS)
    prompts, answers = padded(PROMPTS, left=True), padded(ANSWERS)
    ids, mask = (torch.cat(pair, dim=1) for pair in zip(prompts, answers, strict=True))
    with torch.no_grad():
        vectors, logits = network.embed(texts, there, there), network.read_on(ids, mask, answers[0].shape[1])
        for row, (text, prompt, answer) in enumerate(zip(TEXTS, PROMPTS, ANSWERS, strict=True)):
            alone, ones = torch.tensor([text]), torch.ones(1, len(text), dtype=torch.int64)
            assert (network.embed(alone, ones, ones)[0] - vectors[row]).abs().max() < 1e-5
            alone = torch.tensor([prompt + answer])
            expected = network.read_on(alone, torch.ones_like(alone), len(answer))[0]
            assert (expected - logits[row, : len(answer)]).abs().max() < 1e-5
    assert vectors.norm(dim=-1) == pytest.approx([1, 1, 1], abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_vector_is_the_mean_of_the_tokens_that_count(models: dict[str, str], kind: str) -> None:
    network = make_network(models[kind])
    ids, mask = padded(TEXTS)
    pooled = mask.clone()
    pooled[:, :1] = 0
    with torch.no_grad():
        hidden, vectors = network._hidden(ids, mask, causal=False), network.embed(ids, mask, pooled)
    for row, text in enumerate(TEXTS):
        mean = hidden[row, 1 : len(text)].mean(dim=0)
        assert (mean / mean.norm() - vectors[row]).abs().max() < 1e-6


@pytest.mark.parametrize("attention", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_prompts_on_the_left_stay_finite_in_half_precision(models: dict[str, str], kind: str, attention: str) -> None:
    """Padding that looks at nothing has no NaN, which would reach the rest through the values."""
    network = make_network(models[kind], attention)
    prompts, answers = padded(PROMPTS, left=True), padded(ANSWERS)
    ids, mask = (torch.cat(pair, dim=1) for pair in zip(prompts, answers, strict=True))
    exact = network.read_on(ids, mask, answers[0].shape[1])
    with torch.autocast("cpu", torch.bfloat16):
        found = network.read_on(ids, mask, answers[0].shape[1])
    found.float().square().mean().backward()
    there = answers[1].bool()
    assert (found - exact)[there].abs().max() < 0.1 * exact[there].abs().max()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_no_row_of_a_mask_is_empty(dtype: torch.dtype) -> None:
    """Autocast rounds the mask to half precision, where its number is -inf, and -inf everywhere is NaN."""
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0]])
    seen = {
        True: [["1000", "0100", "0010", "0011"], ["1000", "1100", "1110", "1111"]],
        False: [["1011", "0111", "0011", "0011"], ["1110", "1110", "1110", "1111"]],
    }
    for causal, rows in seen.items():
        found = gritlm._mask(mask, torch.float32, causal=causal)[:, 0].to(dtype).softmax(dim=-1) > 0
        assert [["".join(str(int(one)) for one in row) for row in text] for text in found] == rows


def test_a_passage_that_is_not_there_has_no_vector(models: dict[str, str]) -> None:
    batch = _batch(models["Qwen3"])
    there = batch["text_keys"][:, 1:] >= 0
    assert (there.tolist()[0], there.tolist()[1]) == ([True, False], [True, True])
    passages = make_network(models["Qwen3"])(batch)["passage_embeddings"]
    assert torch.allclose(passages.norm(dim=-1), there.float(), atol=1e-6)
    assert passages[~there].abs().max() == 0


class _Waits(TorchDispatchMode):
    """Names operations whose shape a GPU would have to tell first: those that ask where a mask is set."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        indices = args[1] if func.overloadpacket.__name__.startswith("index") and isinstance(args[1], list) else []
        if func is torch.ops.aten.nonzero.default or any(
            one is not None and one.dtype is torch.bool for one in indices
        ):
            self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_a_step_waits_once_for_passages_and_once_for_rows(models: dict[str, str]) -> None:
    network, batch = make_network(models["Qwen3"]).train(), _batch(models["Qwen3"])
    with _Waits() as of_model:
        vectors = network(batch)["passage_embeddings"]
        vectors.sum().backward()
    assert of_model.names == ["nonzero"]
    with _Waits() as of_rows:
        Shared.of_batch(vectors, torch.tensor([1.0, 0, 1, 1, 1, 1]), batch["text_keys"])
    assert of_rows.names == ["nonzero"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_has_tied_tensors_once_and_ties_them_again(models: dict[str, str], kind: str) -> None:
    network, batch = make_network(models[kind]), _batch(models[kind])
    state = network.state_dict()
    storages = [value.data_ptr() for value in state.values()]
    assert len(storages) == len(set(storages))
    assert state.keys() == {name for name, _ in network.named_parameters()}
    fresh = GritLM(models[kind], dropout=None if kind == "Qwen3" else 0.0, attention_dropout=0.0, with_weights=False)
    assert any(p.is_meta for p in fresh.parameters())
    fresh.load_state_dict({name: value.clone() for name, value in state.items()}, strict=True, assign=True)
    fresh.eval()
    with torch.no_grad():
        assert _same(network(batch), fresh(batch))
        words, head = fresh.lm.get_input_embeddings().weight, fresh.lm.get_output_embeddings().weight
        assert words is head
        words[7] *= torch.linspace(-3, 3, words.shape[1])
        changed = fresh(batch)["answer_logits"] - network(batch)["answer_logits"]
    assert changed[..., 7].abs().min() > 1e-4


def _same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_checkpoint_with_a_name_too_few_or_too_many_is_refused(models: dict[str, str]) -> None:
    network = make_network(models["XLM-R"])
    state = network.state_dict()
    second = next(iter(network._second_names))
    with pytest.raises(RuntimeError, match="Unexpected key"):
        network.load_state_dict(state | {second: state[next(iter(state))]})
    del state[next(iter(state))]
    with pytest.raises(RuntimeError, match="Missing key"):
        network.load_state_dict(state)


def _gradients(network: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    torch.manual_seed(5)
    network.train()
    joint()(network, batch).total.sum().backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns_from_both_losses(models: dict[str, str], kind: str) -> None:
    """DDP waits for the gradient of each."""
    network = make_network(models[kind])
    found = _gradients(network, _batch(models[kind]))
    assert found.keys() == {name for name, _ in network.named_parameters()}
    unmoved = [name for name, gradient in found.items() if not gradient.any()]
    assert not unmoved


@pytest.mark.parametrize("kind", KINDS)
def test_checkpointed_activations_give_the_same_gradient(models: dict[str, str], kind: str) -> None:
    rates: dict[str, Any] = {"dropout": None if kind == "Qwen3" else 0.1, "attention_dropout": 0.1}
    batch = _batch(models[kind])
    plain = make_network(models[kind], **rates)
    checkpointed = make_network(models[kind], gradient_checkpointing=True, **rates)
    assert checkpointed.lm.is_activation_checkpointing
    calls: list[int] = []
    inner = next(module for module in checkpointed.layers()[0].modules() if isinstance(module, nn.Linear))
    inner.register_forward_pre_hook(lambda *given: calls.append(1))
    expected, found = _gradients(plain, batch), _gradients(checkpointed, batch)
    assert len(calls) == 6, "queries, passages and answers, each twice"
    assert largest_difference(expected, found) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_has_a_depth(models: dict[str, str], kind: str) -> None:
    network = make_network(models[kind])
    depths = network.parameter_depths()
    assert depths.keys() == {name for name, _ in network.named_parameters()}
    assert set(depths.values()) == {0, 1, 2, 3}
    words = next(name for name, p in network.named_parameters() if p is network.lm.get_input_embeddings().weight)
    assert depths[words] == 0, "the head shares them, and they learn as embeddings"
    for depth, layer in enumerate(network.layers(), start=1):
        ids = {id(p) for p in layer.parameters()}
        assert {depths[name] for name, p in network.named_parameters() if id(p) in ids} == {depth}


def test_training_mode_reaches_the_model(models: dict[str, str]) -> None:
    """The Trainer keeps the mode that it finds."""
    assert all(module.training for module in GritLM(models["XLM-R"], dropout=0.1).modules())
