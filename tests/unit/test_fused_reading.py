"""Q-Formers read an encoder as BLIP-2 does, but for queries that start as random numbers; pictures get their size."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, Blip2QFormerConfig, Blip2QFormerModel

from lit_humor.models.multi_head import Blocks
from lit_humor.models.picture_encoder import PictureEncoder
from lit_humor.models.qformer import MeanReader, QFormer
from tests.unit.fusing import BACKENDS, VIT, losses_of, make_batch, make_model, make_network, make_pictures, wider

SIZES = {"num_heads": 2, "feed_forward": 32}
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], dtype=torch.bool)


def make_reader(queries: int = 6, **options: object) -> QFormer:
    torch.manual_seed(1)
    return QFormer(queries, 16, 24, Blocks(**SIZES, **options))  # type: ignore[arg-type]


def make_source() -> Tensor:
    return torch.randn(2, 5, 24, generator=torch.Generator().manual_seed(3))


def rank_of(states: Tensor) -> int:
    return int(torch.linalg.matrix_rank(states, rtol=1e-4))


@pytest.mark.parametrize("attention", BACKENDS)
def test_it_computes_what_blip2_does(attention: str) -> None:
    config = Blip2QFormerConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, encoder_hidden_size=24,
        cross_attention_frequency=1, layer_norm_eps=1e-5, use_qformer_text_input=False,
    )  # fmt: skip
    torch.manual_seed(0)
    theirs, ours = Blip2QFormerModel(config).eval(), make_reader(attention=attention).eval()
    layer = theirs.encoder.layer[0]
    pairs: list[tuple[nn.Module, nn.Module]] = [
        (ours.norm, theirs.layernorm),
        (ours.among_norm, layer.attention.output.LayerNorm),
        (ours.read_norm, layer.crossattention.output.LayerNorm),
        (ours.feed_forward[0], layer.intermediate_query.dense),
        (ours.feed_forward[2], layer.output_query.dense),
        (ours.feed_forward_norm, layer.output_query.LayerNorm),
    ]
    for own, other in ((ours.among, layer.attention), (ours.read, layer.crossattention)):
        for name in ("query", "key", "value"):
            pairs.append((getattr(own, name), getattr(other.attention, name)))
        pairs.append((own.output, other.output.dense))
    for own, other in pairs:
        for parameter in other.parameters():
            nn.init.normal_(parameter)
        own.load_state_dict(other.state_dict())
    assert sum(p.numel() for p in ours.parameters()) - ours.queries.numel() == sum(
        p.numel() for p in theirs.parameters()
    )
    with torch.no_grad():
        expected = theirs(
            ours.queries.expand(2, -1, -1), encoder_hidden_states=make_source(), encoder_attention_mask=MASK.long()
        ).last_hidden_state
        found = ours(make_source(), MASK)
    assert (found - expected).abs().max() < 1e-5
    assert found.std() > 0.1


def test_the_mean_reader_projects_the_mean_of_the_places_that_count() -> None:
    torch.manual_seed(1)
    reader, source = MeanReader(16, 24), make_source()
    means = torch.stack([source[0].mean(dim=0), source[1, :2].mean(dim=0)])
    expected = F.layer_norm(means @ reader.project.weight.T + reader.project.bias, (16,))[:, None]
    torch.testing.assert_close(reader(source, MASK), expected)
    torch.testing.assert_close(reader(source)[0], expected[0])


def test_without_queries_each_encoder_is_read_as_one_vector(tmp_path: Path) -> None:
    network, batch = make_network(make_model(tmp_path), queries=0), make_batch()
    memory, mask = network.memory(batch)
    assert memory.shape == (3, 1, 16)
    assert mask is None
    assert not [name for name, _ in network.named_parameters() if "queries" in name]
    losses = losses_of(network, batch)
    torch.testing.assert_close(losses_of(network, wider(batch, texts=3, answers=2)), losses)
    losses.sum().backward()
    assert not [name for name, one in network.named_parameters() if one.grad is None and "readers" in name]


@pytest.mark.parametrize("zeros", [True, False])
def test_queries_that_start_at_zero_stay_one_query_and_random_ones_do_not(zeros: bool, tmp_path: Path) -> None:
    """The code of DIMTDA starts all at zero: 256 vectors that are one vector for ever, whatever is learned."""
    network, batch = make_network(make_model(tmp_path)).train(), make_batch()
    queries = [reader.queries for reader in network.readers]
    for one in queries if zeros else ():
        nn.init.zeros_(one)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    for step in range(10):
        optimizer.zero_grad()
        outputs = network(batch)
        words = F.cross_entropy(outputs["answer_logits"].transpose(1, 2), batch["answer_ids"])
        (words + F.cross_entropy(outputs["logits"], torch.arange(3))).backward()
        for one in queries:
            assert one.grad is not None
            apart = float((one.grad - one.grad[:, :1]).abs().max() / one.grad.abs().max())
            assert (apart < 1e-3) == zeros, step
            if zeros:  # AdamW would make steps of the rounding in which the rows differ
                one.grad.copy_(one.grad[:, :1].expand_as(one.grad))
        optimizer.step()
    with torch.no_grad():
        memory, _ = network.memory(batch)
    assert [rank_of(one[0].detach()) for one in queries] == ([1, 1] if zeros else [6, 6])
    assert [rank_of(row) == 1 for row in memory] == [zeros] * 3


def test_no_gradient_of_random_queries_is_larger_by_far_than_the_others() -> None:
    """Where they start at zero, the norm before the queries makes theirs so large that clipping leaves nothing else."""
    reader = make_reader(queries=16)
    (reader(make_source(), MASK) * torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(5))).sum().backward()
    norms = {name: float(p.grad.norm()) for name, p in reader.named_parameters() if p.grad is not None}
    assert norms.pop("queries") < 100 * sum(norms.values())


def test_queries_start_as_the_page_says() -> None:
    queries = QFormer(256, 512, 8, Blocks(**SIZES)).queries
    assert float(queries.std()) == pytest.approx(0.02, rel=0.02)
    assert abs(float(queries.mean())) < 1e-3


@pytest.mark.parametrize("attention", BACKENDS)
def test_what_is_masked_is_not_read(attention: str) -> None:
    reader, source = make_reader(attention=attention).eval(), make_source()
    changed = source.clone()
    changed[1, 2:] = 1e3
    with torch.no_grad():
        assert torch.equal(reader(source, MASK), reader(changed, MASK))
        assert (reader(source[1:, :2])[0] - reader(source, MASK)[1]).abs().max() < 1e-6
        assert (reader(source)[1] - reader(source, MASK)[1]).abs().max() > 1e-3


def test_dropout_of_states_and_of_attention() -> None:
    source = make_source()
    for rates in ({"dropout": 0.5}, {"attention_dropout": 0.5}):
        reader = make_reader(**rates)
        assert not torch.equal(reader(source), reader(source))
        assert torch.equal(reader.eval()(source), reader(source))


def _pictures(**options: object) -> PictureEncoder:
    torch.manual_seed(1)
    config = AutoConfig.for_model(**(VIT | options))
    return PictureEncoder(AutoModel.from_config(config), mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3))


def test_pixels_are_scaled_color_by_color() -> None:
    picture = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    picture[..., 0], picture[..., 1], picture[0, 3, 5, 2] = 255, 51, 102
    pixels = _pictures().pixels(picture)
    assert pixels.shape == (1, 3, 16, 16)
    assert pixels.dtype == torch.float32
    assert pixels[0, 0] == pytest.approx((1.0 - 0.5) / 0.1, abs=1e-5)
    assert pixels[0, 1] == pytest.approx((0.2 - 0.4) / 0.2, abs=1e-5)
    assert float(pixels[0, 2, 3, 5]) == pytest.approx((0.4 - 0.3) / 0.3, abs=1e-5)
    assert float(pixels[0, 2, 5, 3]) == pytest.approx(-1.0, abs=1e-5)


def test_a_picture_of_another_size_is_brought_to_the_encoders() -> None:
    encoder, large = _pictures(), make_pictures(2, 32)
    means = large.float().unflatten(1, (16, 2)).unflatten(3, (16, 2)).mean(dim=(2, 4)).permute(0, 3, 1, 2) / 255
    assert encoder.pixels(large).shape == (2, 3, 16, 16)
    found = encoder.pixels(large) * encoder.std + encoder.mean
    assert (found - means).abs().mean() < 0.1
    flat = torch.full((1, 64, 64, 3), 200, dtype=torch.uint8)
    assert torch.allclose(encoder.pixels(flat), encoder.pixels(flat[:, :16, :16]), atol=1e-5)
    states, mask = encoder({"pictures": large})
    assert states.shape == (2, 17, 24)
    assert mask is None
    assert _pictures(image_size=(8, 16)).pixels(large).shape == (2, 3, 8, 16)
