"""Questions about pictures: what transformers computes, in a batch as alone, in chunks as whole, written as read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoTokenizer, Qwen2VLImageProcessorPil, Qwen3VLForConditionalGeneration

from lit_humor.core.errors import UserError
from lit_humor.learning.step import OptimizerStep
from lit_humor.models.picture_positions import picture_positions
from lit_humor.models.pretrained_vision import PretrainedVisionLanguage
from lit_humor.models.random_models import CHAT_TOKENS, PICTURE
from lit_humor.models.vision_language import VisionLanguage
from lit_humor.objectives.language_modeling import LanguageModeling
from tests.unit.building import largest_difference
from tests.unit.seeing import (
    BACKENDS,
    END,
    GRIDS,
    MERGE,
    SIDE,
    adapted,
    alone,
    make_batch,
    make_model,
    make_network,
    rows_of,
)

MOST, NEVER = 8, 250  # tokens of an answer; an end that is not written


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("model"))


def _joined(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same questions as transformers reads them."""
    ids = torch.cat([batch["input_ids"], batch["answer_ids"]], dim=1)
    counts = batch["patch_grid"].prod(dim=1).tolist()
    pixels = torch.cat([one[:count] for one, count in zip(batch["patches"], counts, strict=True)])
    frames = (pixels.float() / 255 - 0.5) / 0.5
    grid = batch["patch_grid"][batch["patch_grid"][:, 0] > 0]
    return {
        "input_ids": ids,
        "attention_mask": torch.cat([batch["attention_mask"], batch["answer_mask"]], dim=1),
        "pixel_values": frames.view(-1, 3, 1, SIDE**2).expand(-1, -1, 2, -1).flatten(1),
        "image_grid_thw": torch.nn.functional.pad(grid, (1, 0), value=1),
        "mm_token_type_ids": (ids == CHAT_TOKENS.index(PICTURE)).int(),
    }


@pytest.mark.parametrize("attention", BACKENDS)
@pytest.mark.parametrize("trains", ["all", "adapter"])
def test_it_computes_what_transformers_does(folder: str, attention: str, trains: str) -> None:
    batch = make_batch()
    theirs = Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    if trains == "adapter":
        pytest.importorskip("peft")
    options: dict[str, Any] = {"adapter": {}} if trains == "adapter" else {}
    with torch.no_grad():
        expected = theirs(**_joined(batch)).logits[:, batch["input_ids"].shape[1] - 1 : -1]
        found = make_network(folder, attention=attention, **options)(batch)["answer_logits"]
    there = batch["answer_mask"].bool()
    assert expected[there].std() > 0.3
    assert (found - expected)[there].abs().max() < 1e-5


def test_positions_are_those_of_transformers(folder: str) -> None:
    network, batch = make_network(folder), make_batch()
    asked = _joined(batch)
    named = ("input_ids", "mm_token_type_ids", "image_grid_thw", "attention_mask")
    expected, _ = network.lm.model.get_rope_index(**{name: asked[name] for name in named})
    found = picture_positions(asked["attention_mask"], asked["mm_token_type_ids"].bool(), batch["patch_grid"] // MERGE)
    there = asked["attention_mask"].bool()
    assert torch.equal(found[:, there], expected[:, there])
    assert len(found[1:, there].unique(dim=0)) == 2, "height and width differ"


def test_pixels_are_those_of_transformers(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One frame of bytes becomes the two frames of numbers that the processor makes."""
    generator = np.random.default_rng(0)
    picture = Image.fromarray(generator.integers(0, 256, (32, 48, 3), dtype=np.uint8))
    options: dict[str, Any] = {
        "patch_size": SIDE, "size": {"shortest_edge": 1, "longest_edge": 10**6},
        "image_mean": [0.4, 0.5, 0.6], "image_std": [0.5, 0.4, 0.3],
    }  # fmt: skip
    made = Qwen2VLImageProcessorPil(**options)(picture, return_tensors="pt")
    plain = Qwen2VLImageProcessorPil(**options, do_rescale=False, do_normalize=False)(picture, return_tensors="pt")
    frame = plain["pixel_values"].view(-1, 3, 2, SIDE**2)[:, :, 0].flatten(1)
    network, given = make_network(folder, mean=options["image_mean"], std=options["image_std"]), []
    read = network.lm.get_image_features
    monkeypatch.setattr(
        network.lm, "get_image_features", lambda *args, **more: given.append(args) or read(*args, **more)
    )
    network.read_pictures(
        {
            "patches": frame.to(torch.uint8)[None],
            "patch_grid": made["image_grid_thw"][:, 1:],
            "picture_keys": torch.tensor([-1]),
        }
    )
    ((pixels, grid),) = given
    assert torch.equal(grid, made["image_grid_thw"])
    assert (pixels - made["pixel_values"]).abs().max() < 1e-6


@pytest.mark.parametrize("attention", BACKENDS)
def test_a_row_in_a_batch_is_a_row_alone(folder: str, attention: str) -> None:
    network, batch = make_network(folder, attention=attention), make_batch()
    with torch.no_grad():
        logits = network(batch)["answer_logits"]
        for row in range(len(GRIDS)):
            one = alone(batch, row)
            expected = network(one)["answer_logits"][0]
            assert (logits[row, : len(expected)] - expected).abs().max() < 2e-6


def test_the_picture_and_the_order_of_its_parts_matter(folder: str) -> None:
    network, batch = make_network(folder), make_batch()
    other = batch | {"patches": batch["patches"].flip(1)}
    turned = batch | {"patch_grid": batch["patch_grid"].flip(1)}
    with torch.no_grad():
        plain, moved, grown = (network(one)["answer_logits"] for one in (batch, other, turned))
    has_picture = batch["patch_grid"][:, 0] > 0
    assert ((moved - plain).abs().amax(dim=(1, 2)) > 1e-3).tolist() == has_picture.tolist()
    assert ((grown - plain).abs().amax(dim=(1, 2)) > 1e-3).tolist() == [False, True, False, True]


def test_the_head_is_computed_where_answers_are_learned(folder: str) -> None:
    network, batch, shapes = make_network(folder), make_batch(), []
    network.lm.lm_head.register_forward_hook(lambda module, given, logits: shapes.append(tuple(given[0].shape)))
    network(batch)
    assert shapes == [(4, batch["answer_ids"].shape[1] + 1, 32)]


def _gradients(network: VisionLanguage, batch: Any, max_tokens: int | None) -> tuple[float, dict[str, Tensor]]:
    network.zero_grad()
    step = OptimizerStep(network, LanguageModeling(), len(batch["rows"]), max_tokens)
    step.backward(step.loss(batch))
    return float(step.totals[0]), {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("trains", ["all", "adapter"])
@pytest.mark.parametrize("max_tokens", [1, 60])
def test_chunks_are_the_whole(folder: str, trains: str, max_tokens: int) -> None:
    if trains == "adapter":
        pytest.importorskip("peft")
    network, batch = adapted(folder) if trains == "adapter" else make_network(folder), make_batch()
    loss, gradients = _gradients(network, batch, None)
    loss_of_chunks, of_chunks = _gradients(network, batch, max_tokens)
    assert loss_of_chunks == pytest.approx(loss, rel=1e-6)
    assert largest_difference(of_chunks, gradients) < 1e-5
    assert len(gradients) == (16 if trains == "adapter" else sum(1 for _ in network.parameters()))


@pytest.mark.parametrize("attention", BACKENDS)
def test_the_likeliest_token_is_written_each_time(folder: str, attention: str) -> None:
    """As in one pass over the whole; in a batch as alone."""
    network, batch = make_network(folder, attention=attention), make_batch()
    written = network.write(batch, MOST, NEVER)
    assert written.shape == (4, MOST)
    with torch.no_grad():
        logits = network(batch | {"answer_ids": written, "answer_mask": torch.ones_like(written)})["answer_logits"]
    assert torch.equal(logits.argmax(dim=-1), written)
    assert len(written.unique(dim=0)) == 4, "texts that differ"
    for row in range(len(GRIDS)):
        one = alone(batch, row)
        assert torch.equal(network.write(one, MOST, NEVER)[0], written[row])
        assert torch.equal(network.write(one, MOST, NEVER, 3)[0], network.write(batch, MOST, NEVER, 3)[row])


def test_behind_the_end_stands_the_end(folder: str) -> None:
    network, batch = make_network(folder), make_batch()
    free = network.write(batch, MOST, NEVER)
    end = int(free[0, 2])
    written = network.write(batch, MOST, end)
    for row, other in zip(written.tolist(), free.tolist(), strict=True):
        length = other.index(end) if end in other else MOST
        assert row == other[:length] + [end] * (MOST - length)
    assert end in written[0]


def test_beams_write_what_is_likelier(folder: str) -> None:
    """Of all tokens of a text, with no end, the sum of their log-likelihoods grows with the beams or stays."""
    network, batch = make_network(folder), make_batch()

    @torch.no_grad()
    def likelihood(beams: int) -> Tensor:
        ids = network.write(batch, 3, NEVER, beams)
        logits = network(batch | {"answer_ids": ids, "answer_mask": torch.ones_like(ids)})["answer_logits"]
        return logits.log_softmax(-1).gather(2, ids[:, :, None]).sum(dim=(1, 2))

    greedy, wide = likelihood(1), likelihood(40)
    assert (wide >= greedy - 1e-5).all()
    assert (wide > greedy + 1e-3).any()


@pytest.mark.parametrize("attention", BACKENDS)
def test_it_stays_finite_in_half_precision(folder: str, attention: str) -> None:
    network, batch = make_network(folder, attention=attention), make_batch()
    exact = network(batch)["answer_logits"]
    with torch.autocast("cpu", torch.bfloat16):
        found = network(batch)["answer_logits"]
    found.float().square().mean().backward()
    there = batch["answer_mask"].bool()
    assert (found - exact)[there].abs().max() < 0.1 * exact[there].abs().max()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("make", [make_network, adapted])
def test_activations_computed_again_are_the_same(folder: str, make: Any) -> None:
    """With the dropout of an adapter, too."""
    if make is adapted:
        pytest.importorskip("peft")
    batch = make_batch()
    loss, gradients = _gradients(make(folder).train(), batch, None)
    again, of_again = _gradients(make(folder, gradient_checkpointing=True).train(), batch, None)
    assert (again, largest_difference(of_again, gradients)) == (loss, 0)


def test_depths_follow_the_layers_of_the_language_model(folder: str) -> None:
    depths = make_network(folder).parameter_depths()
    assert depths["lm.model.language_model.embed_tokens.weight"] == 0
    assert depths["lm.model.language_model.layers.0.self_attn.q_proj.weight"] == 1
    assert depths["lm.model.language_model.layers.1.self_attn.q_proj.weight"] == 2
    assert depths["lm.model.language_model.norm.weight"] == 3
    assert {depth for name, depth in depths.items() if ".visual." in name} == {0}


def test_sizes_of_the_language_model_are_those_of_the_model(folder: str) -> None:
    pretrained = PretrainedVisionLanguage(folder)
    assert (pretrained.config.hidden_size, pretrained.config.num_attention_heads) == (32, 2)
    assert pretrained.longest_input == 4096
    with pytest.raises(UserError, match=r"set data\.max_length=4096"):
        pretrained.check_max_length(5000)


def test_the_tokenizer_has_the_tokens_and_the_turns_of_qwen(folder: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.convert_tokens_to_ids(CHAT_TOKENS) == list(range(len(CHAT_TOKENS)))
    assert (tokenizer.pad_token, tokenizer.eos_token, tokenizer.eos_token_id) == ("<|endoftext|>", "<|im_end|>", END)
    assert set(CHAT_TOKENS) <= set(tokenizer.all_special_tokens)
    asked = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Who is it?"}]}
    opened = tokenizer.apply_chat_template([asked], tokenize=False, add_generation_prompt=True)
    shown = "<|vision_start|><|image_pad|><|vision_end|>"
    assert opened == f"<|im_start|>user\n{shown}Who is it?<|im_end|>\n<|im_start|>assistant\n"
    answer = {"role": "assistant", "content": "A cat."}
    assert tokenizer.apply_chat_template([asked, answer], tokenize=False) == f"{opened}A cat.<|im_end|>\n"
    text = "Wer sitzt da? 猫とé \U0001f600"
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    from tests.unit.fusing import make_model as make_another

    with pytest.raises(UserError, match="found a model of the kind xlm-roberta, expected a vision-language model"):
        VisionLanguage(make_another(tmp_path))


def test_rows_are_the_first_dimension_of_every_tensor() -> None:
    batch = make_batch()
    assert {len(value) for value in batch.values()} == {4}
    assert {len(value) for value in rows_of(batch, slice(0, 2)).values()} == {2}
