"""Rows end to end, and compiled code, against the plain encoder: the same scores and gradients."""

from pathlib import Path

import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
)

from lit_humor.core.errors import UserError
from lit_humor.models import packing
from lit_humor.models.encoder import TextClassifier
from lit_humor.models.packing import Packing
from tests.unit.comparing import assert_same, short_batch, tiny_classifier


@pytest.mark.parametrize("padding", [True, False])
@pytest.mark.parametrize("pooling", ["first", "mean"])
@pytest.mark.parametrize("short", [True, False])
def test_packed_rows_give_what_padded_ones_give(tiny_model: str, short: bool, pooling: str, padding: bool) -> None:
    padded, packed = (tiny_classifier(tiny_model, attention=name, pooling=pooling) for name in ("eager", "packed"))
    if short:
        packed = tiny_classifier(tiny_model, attention="packed", pooling=pooling, short_last_layer=True)
        assert packed.is_short == (pooling == "first")
    widths: list[int] = []
    packed.layers()[0].register_forward_pre_hook(lambda _, args: widths.append(args[0].shape[:2]))
    assert_same(padded, packed, padding)
    assert widths == [(1, 14 if padding else 21)], "no layer computes padding"


@pytest.mark.parametrize("is_first_alone", [True, False])
def test_the_kernels_of_a_gpu_attend_as_the_padded_products_do(
    is_first_alone: bool,
) -> None:
    torch.manual_seed(0)
    row_packing = Packing.of(short_batch()["attention_mask"])
    num_queries = 3 if is_first_alone else 14
    inputs = [torch.randn(1, 2, count, 4, requires_grad=True) for count in (num_queries, 14, 14)]
    found = []
    for attend in (packing.attend_padded, packing.attend_jagged):
        context = attend(*inputs, row_packing, None, 0.0)
        assert context.shape == (1, num_queries, 2, 4)
        found.append((context, *torch.autograd.grad(context.square().sum(), inputs)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
    inputs = [one.detach() for one in inputs]
    dropped = packing.attend_jagged(*inputs, row_packing, None, 0.5)
    assert not torch.equal(dropped, packing.attend_jagged(*inputs, row_packing, None, 0.5))


def test_packing_knows_token_types_positions_and_what_it_cannot_pack(tmp_path: Path) -> None:
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "num_hidden_layers": 2}
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=30, **sizes)).save_pretrained(tmp_path / "bert")
    batch = short_batch() | {"token_type_ids": torch.arange(21).reshape(3, 7) % 2}
    scores = []
    for attention in ("sdpa", "packed"):
        torch.manual_seed(1)
        scores.append(TextClassifier(str(tmp_path / "bert"), 2, attention=attention).eval()(batch)["logits"])
    torch.testing.assert_close(*scores)
    DistilBertModel(DistilBertConfig(vocab_size=30, n_layers=1, n_heads=2, dim=8, hidden_dim=8)).save_pretrained(
        tmp_path / "distil"
    )
    with pytest.raises(UserError, match=r"trainer\.attention=packed: found an encoder of the kind distilbert"):
        TextClassifier(str(tmp_path / "distil"), 2, attention="packed")


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("attention", ["matmul", "sdpa", "packed"])
def test_compiled_encoders_agree_and_are_not_compiled_anew_for_every_width(
    tiny_model: str, attention: str, whole: bool
) -> None:
    plain, compiled = (tiny_classifier(tiny_model, attention=attention) for _ in range(2))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compiled.compile_parts(whole, backend="eager")  # traces and guards as any backend, without a C++ compiler
    compiled.train()
    for width in (5, 9, 6, 12, 7, 3, 15, 8):
        ids = torch.randint(7, 40, (3, width))
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        expected, found = plain(batch)["logits"], compiled(batch)["logits"]
        torch.testing.assert_close(expected, found)
        for logits in (expected, found):
            logits.logsumexp(-1).sum().backward()
    for (name, one), other in zip(plain.named_parameters(), compiled.parameters(), strict=True):
        if one.grad is not None and other.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, msg=name)
    assert 1 <= torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 2
    assert list(compiled.state_dict()) == list(plain.state_dict())
