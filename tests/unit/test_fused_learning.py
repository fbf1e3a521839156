"""Every parameter of a fused network learns, chunk by chunk as at once; a frozen encoder stays as it is."""

import pytest
import torch

from lit_humor.models.fused import Fused
from lit_humor.optim.groups import LayerwiseAdamW
from lit_humor.optim.schedules import WarmupDecay
from tests.unit.building import largest_difference
from tests.unit.fusing import (
    BOTH,
    KINDS,
    gradients_of,
    losses_of,
    make_batch,
    make_model,
    make_network,
    make_pictures,
    rows_of,
    without_zeros,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("model"))


def test_chunks_have_the_gradient_of_the_whole(folder: str) -> None:
    network, batch = make_network(folder), make_batch()
    whole = gradients_of(network, losses_of(network, batch).sum())
    chunks = [losses_of(network, rows_of(batch, slice(row, row + 1)), row).sum() for row in range(3)]
    parts = gradients_of(network, sum(chunks, torch.zeros(())))
    assert largest_difference(*(without_zeros(one) for one in (whole, parts))) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("checkpointing", [True, False])
def test_every_parameter_learns(folder: str, kind: str, checkpointing: bool) -> None:
    network = make_network(folder, KINDS[kind], gradient_checkpointing=checkpointing).train()
    found = gradients_of(network, losses_of(network, make_batch()).sum())
    assert found.keys() == {name for name, _ in network.named_parameters()}
    assert [name for name, gradient in without_zeros(found).items() if not gradient.any()] == []


def test_checkpointed_activations_give_the_same_gradient(folder: str) -> None:
    rates = {"dropout": 0.1, "attention_dropout": 0.1}
    plain = make_network(folder, **rates).train()
    checkpointed = make_network(folder, gradient_checkpointing=True, **rates).train()
    calls: list[str] = []
    for name, part in checkpointed.named_modules():
        if name in (
            "readers.0.feed_forward.0",
            "decoder.layers.0.feed_forward.0",
            "encoders.1.backbone.layers.0.mlp.fc1",
        ):
            part.register_forward_pre_hook(lambda *given, name=name: calls.append(name))
    gradients = []
    for network in (plain, checkpointed):
        torch.manual_seed(5)
        gradients.append(gradients_of(network, losses_of(network, make_batch()).sum()))
    assert len(calls) == 6, "each twice"
    assert largest_difference(*gradients) < 1e-5


@pytest.mark.parametrize("frozen", [0, 1])
def test_a_frozen_encoder_keeps_its_weights_and_has_no_dropout(folder: str, frozen: int) -> None:
    encoders = [one | {"frozen": place == frozen} for place, one in enumerate(BOTH)]
    rates = {"dropout": 0.5, "attention_dropout": 0.5}
    network, batch = make_network(folder, encoders, gradient_checkpointing=True, **rates).train(), make_batch()
    there, other = network.encoders[frozen], network.encoders[1 - frozen]
    assert not any(module.training for module in there.modules())
    assert all(module.training for module in other.modules())
    assert torch.equal(there(batch)[0], there(batch)[0])
    assert not torch.equal(other(batch)[0], other(batch)[0])
    assert not there(batch)[0].requires_grad
    found = gradients_of(network, losses_of(network, batch).sum())
    assert not [name for name in found if name.startswith(f"encoders.{frozen}.")]
    assert found.keys() == {name for name, p in network.named_parameters() if p.requires_grad}
    assert network.eval().train().encoders[frozen].training is False
    assert len(network.state_dict()) == len(list(network.named_parameters())), "a checkpoint has them, too"


def test_training_mode_reaches_the_model(folder: str) -> None:
    """The Trainer keeps the mode that it finds."""
    assert all(module.training for module in Fused(folder, 2, encoders=BOTH).modules())


def test_depths_end_together(folder: str) -> None:
    network = make_network(folder)
    depths = network.parameter_depths()
    assert depths.keys() == {name for name, _ in network.named_parameters()}
    text, picture = (f"encoders.{place}.backbone." for place in (0, 1))
    expected = {
        f"{text}embeddings.word_embeddings.weight": 1,
        f"{text}encoder.layer.0.output.dense.weight": 2,
        f"{text}encoder.layer.1.output.dense.weight": 3,
        f"{picture}embeddings.cls_token": 0,
        f"{picture}layers.0.mlp.fc1.weight": 1,
        f"{picture}layers.2.mlp.fc1.weight": 3,
        f"{picture}layernorm.weight": 4,
        "readers.0.queries": 4,
        "gate.weight": 4,
        "decoder.words.weight": 4,
        "head.out_proj.weight": 4,
    }
    assert {name: depths[name] for name in expected} == expected
    assert [type(layer).__name__ for layer in network.layers()] == ["XLMRobertaLayer"] * 2 + ["ViTLayer"] * 3


def test_each_trainable_parameter_is_in_one_group_and_has_the_rate_of_its_depth(folder: str) -> None:
    network = make_network(folder, (BOTH[0] | {"frozen": True}, BOTH[1]))
    optimizer = LayerwiseAdamW(1.0, WarmupDecay("cosine", 0.1), layer_decay=0.5)
    groups = optimizer.groups(network.named_parameters(), network.parameter_depths())
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert len(rates) == sum(len(group["params"]) for group in groups)
    assert rates.keys() == {id(p) for p in network.parameters() if p.requires_grad}
    picture = network.encoders[1].backbone
    assert rates[id(picture.embeddings.cls_token)] == 0.5**4
    assert [rates[id(layer.mlp.fc1.weight)] for layer in picture.layers] == [0.125, 0.25, 0.5]
    for part in (network.readers, network.gate, network.project, network.decoder, network.head):
        assert part is not None
        assert {rates[id(p)] for p in part.parameters()} == {1.0}


_SIZES = {"image_size": 16, "patch_size": 4, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
_SWIN = {"image_size": 32, "patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4}
_TRAINED = {"vit": _SIZES, "deit": _SIZES, "beit": _SIZES, "swin": _SWIN, "donut-swin": _SWIN}
_FROZEN = {"clip_vision_model": _SIZES, "siglip_vision_model": _SIZES, "dinov2": _SIZES}


@pytest.mark.parametrize("kind", [*_TRAINED, *_FROZEN])
def test_kinds_of_vision_encoders(folder: str, kind: str) -> None:
    """CLIP and SigLIP have a part behind the places that are read, which DDP would wait for: they are for freezing."""
    config = {"model_type": kind, **(_TRAINED | _FROZEN)[kind]}
    encoders = (BOTH[0], {"reads": "picture", "config": config, "frozen": kind in _FROZEN})
    network, batch = make_network(folder, encoders), make_batch()
    assert len(network.layers()) == 2 + 2
    assert set(network.parameter_depths().values()) == {0, 1, 2, 3}
    found = gradients_of(network, losses_of(network, batch).sum())
    assert found.keys() == {name for name, p in network.named_parameters() if p.requires_grad}
    with torch.no_grad():
        other = network(batch | {"pictures": make_pictures(3).flip(0)})
        assert not torch.equal(other["logits"], network(batch)["logits"])


def test_the_loss_of_eight_rows_falls(folder: str) -> None:
    torch.manual_seed(0)
    texts = [[0, 40 + row, 50 + row % 3, 2] for row in range(8)]
    answers = [[30 + row, 20, 2] for row in range(8)]
    network, batch = make_network(folder).train(), make_batch(texts, answers)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        loss = losses_of(network, batch).mean()
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.3 * losses[0], losses
    shuffled = batch | {"input_ids": batch["input_ids"].roll(1, dims=0), "pictures": batch["pictures"].roll(1, dims=0)}
    assert float(losses_of(network.eval(), shuffled).mean()) > 2 * losses[-1], "it tells the rows apart"
