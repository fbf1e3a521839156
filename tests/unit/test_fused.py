"""Two encoders fused: padding changes nothing, the gate mixes, every parameter learns, frozen ones stay as they are."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lit_humor.core.errors import UserError
from tests.unit.fusing import (
    BACKENDS,
    BOTH,
    KINDS,
    TEXTS,
    TWO_TEXTS,
    gradients_of,
    losses_of,
    make_batch,
    make_model,
    make_network,
    make_pictures,
    rows_of,
    wider,
)

NAMES = ("logits", "embeddings", "gate", "answer_logits")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_have_their_shapes(folder: str, kind: str) -> None:
    network, batch = make_network(folder, KINDS[kind]), make_batch()
    outputs = network(batch)
    shapes = {"logits": (3, 3), "embeddings": (3, 16), "gate": (3,), "answer_logits": (3, 5, network.config.vocab_size)}
    assert {name: value.shape for name, value in outputs.items()} == shapes
    memory, mask = network.memory(batch)
    assert (memory.shape, mask) == ((3, 6, 16), None)
    assert torch.equal(memory.mean(dim=1), outputs["embeddings"])
    assert {len(rows.unique(dim=0)) for rows in (outputs["logits"], outputs["embeddings"])} == {3}, "rows differ"


def test_what_is_not_asked_for_is_not_there(folder: str) -> None:
    batch = make_batch()
    del batch["answer_ids"], batch["answer_mask"]
    assert make_network(folder)(batch).keys() == {"logits", "embeddings", "gate"}
    assert make_network(folder, classes=None)(batch).keys() == {"embeddings", "gate"}
    silent = make_network(folder, decoder_layers=0)
    assert silent(make_batch()).keys() == {"logits", "embeddings", "gate"}
    with pytest.raises(UserError, match=r"set model\.network\.decoder_layers=3"):
        silent.write(batch, 4, 2)


@pytest.mark.parametrize("attention", BACKENDS)
@pytest.mark.parametrize("kind", ["text and picture", "two texts"])
def test_padding_changes_nothing(folder: str, kind: str, attention: str) -> None:
    network, batch = make_network(folder, KINDS[kind], attention=attention), make_batch()
    with torch.no_grad():
        plain, padded = network(batch), network(wider(batch, texts=4, answers=3))
        padded["answer_logits"] = padded["answer_logits"][:, :5]
        for name in NAMES:
            assert (padded[name] - plain[name]).abs().max() < 1e-6 * max(1, float(plain[name].abs().max())), name
        for row, text in enumerate(TEXTS):
            alone = rows_of(batch, slice(row, row + 1))
            alone |= {name: alone[name][:, : len(text)] for name in ("input_ids", "attention_mask")}
            found = network(alone)
            for name in NAMES:
                assert (found[name][0] - plain[name][row]).abs().max() < 1e-5, name


@pytest.mark.parametrize("attention", [*BACKENDS, "packed"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_row_without_tokens_is_finite_and_changes_no_other(folder: str, attention: str, precision: str) -> None:
    """As padding rows have them, put in so that every process has equally many micro-batches."""
    encoders = TWO_TEXTS if attention == "packed" else BOTH
    network, batch = make_network(folder, encoders, attention=attention), make_batch()
    batch = rows_of(batch, [0, 1, 2, 1])
    for name in ("attention_mask", "answer_mask"):
        batch[name][3] = 0
    batch["input_ids"][3] = 1
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        outputs, others = network(batch), network(rows_of(batch, slice(3)))
        for name in NAMES:
            assert outputs[name].isfinite().all()
            assert (outputs[name][:3] - others[name]).abs().max() < (1e-5 if precision == "float32" else 0.1), name
        network.write(batch, 4, 2, 2)
        loss = losses_of(network, batch)
    assert loss[:3].isfinite().all()
    gradients = gradients_of(network.train(), (loss * torch.tensor([1.0, 1, 1, 0])).sum())
    assert all(gradient.isfinite().all() for gradient in gradients.values())


def test_of_a_row_without_tokens_the_first_place_is_read(folder: str) -> None:
    """By encoder and Q-Former: a softmax over nothing is 0 here, and no number elsewhere."""
    network, batch, told = make_network(folder), make_batch(), []
    batch["attention_mask"][1] = 0
    encoder = network.encoders[0]
    encoder.backbone.register_forward_pre_hook(lambda module, given, named: told.append(named), with_kwargs=True)
    _, mask = encoder(batch)
    expected = [[True] * 7, [True] + [False] * 6, [True] * 5 + [False] * 2]
    assert mask.tolist() == told[0]["attention_mask"].bool().tolist() == expected
    assert told[0]["attention_mask"].dtype == torch.int64
    assert batch["attention_mask"].sum(dim=1).tolist() == [7, 0, 5], "the batch is as it was"


@pytest.mark.parametrize("attention", ["eager", "matmul"])
def test_backends_agree(folder: str, attention: str) -> None:
    plain, other = make_network(folder), make_network(folder, attention=attention)
    with torch.no_grad():
        expected, found = plain(make_batch()), other(make_batch())
    for name in NAMES:
        torch.testing.assert_close(found[name], expected[name])


def test_both_inputs_count_and_texts_are_read_twice(folder: str) -> None:
    batch = make_batch()
    other_text = batch | {"input_ids": batch["input_ids"].roll(1, dims=0)}
    other_picture = batch | {"pictures": make_pictures(3).flip(0)}
    with torch.no_grad():
        for kind, counts in {
            "text and picture": (True, True),
            "two texts": (True, False),
            "two pictures": (False, True),
        }.items():
            network = make_network(folder, KINDS[kind])
            plain = network(batch)["logits"]
            moved = tuple(not torch.equal(network(one)["logits"], plain) for one in (other_text, other_picture))
            assert moved == counts, kind


def test_the_gate_is_one_number_for_each_query_and_mixes_the_two(folder: str) -> None:
    network, batch = make_network(folder), make_batch()
    assert network.gate is not None
    with torch.no_grad():
        read = [reader(*encoder(batch)) for encoder, reader in zip(network.encoders, network.readers, strict=True)]
        logits = torch.cat(read, dim=-1) @ network.gate.weight[0] + network.gate.bias
        share = 1 / (1 + torch.exp(-logits))
        assert share.shape == (3, 6)
        assert ((share > 0) & (share < 1)).all()
        assert share.std() > 1e-3
        expected = network.project(share[..., None] * read[0] + (1 - share[..., None]) * read[1])
        assert (network.memory(batch)[0] - expected).abs().max() < 1e-6
        assert (network(batch)["gate"] - share.mean(dim=1)).abs().max() < 1e-6
        nn.init.zeros_(network.gate.weight)
        for bias, which in ((50.0, 0), (-50.0, 1)):
            nn.init.constant_(network.gate.bias, bias)
            assert torch.equal(network.memory(batch)[0], network.project(read[which]))
            assert network(batch)["gate"].tolist() == pytest.approx([1.0 - which] * 3, abs=1e-6)


@pytest.mark.parametrize(("gate", "share"), [("half", 0.5), ("first", 1.0), ("second", 0.0)])
def test_a_gate_that_is_set_has_no_parameters_and_leaves_out_what_it_does_not_read(
    folder: str, gate: Any, share: float
) -> None:
    """A part that is left out would get no gradient, and DDP would stop."""
    network, batch = make_network(folder, gate=gate), make_batch()
    outputs = network(batch)
    assert outputs["gate"].tolist() == [share] * 3
    assert network.gate is None
    with torch.no_grad():
        read = [reader(*encoder(batch)) for encoder, reader in zip(network.encoders, network.readers, strict=True)]
        assert len(read) == (2 if gate == "half" else 1)
        expected = network.project(sum(read) / len(read))  # type: ignore[arg-type]
        assert (network.memory(batch)[0] - expected).abs().max() < 1e-6
        other_picture = batch | {"pictures": make_pictures(3).flip(0)}
        other_text = batch | {"input_ids": batch["input_ids"].roll(1, dims=0)}
        assert torch.equal(network(other_picture)["logits"], outputs["logits"]) == (gate == "first")
        assert torch.equal(network(other_text)["logits"], outputs["logits"]) == (gate == "second")
    found = gradients_of(network, losses_of(network, batch).sum())
    assert found.keys() == {name for name, _ in network.named_parameters()}


def test_compiled_in_place(folder: str) -> None:
    network, batch = make_network(folder), make_batch()
    with torch.no_grad():
        expected = network(batch)
        names = list(network.state_dict())
        network.compile_parts(backend="eager")
        assert list(network.state_dict()) == names
        for name, value in network(batch).items():
            torch.testing.assert_close(value, expected[name])


def test_a_network_without_pictures_says_so(folder: str, tmp_path: Path) -> None:
    batch = make_batch()
    del batch["pictures"]
    with pytest.raises(UserError, match="one that reads pictures, but rows without any"):
        make_network(folder)(batch)
