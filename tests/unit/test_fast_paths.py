"""Every fast path against its plain form: the same scores and gradients, or the difference that is documented."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    MPNetConfig,
    MPNetModel,
    XLMRobertaXLConfig,
    XLMRobertaXLModel,
)

from lit_humor.core.rows import TrainingRows
from lit_humor.models.dropout import FastDropout, fast_dropout, use_fast_dropout
from lit_humor.models.embeddings import UsedRowsEmbedding
from lit_humor.models.encoder import TextClassifier
from lit_humor.models.last_layer import keep_first_token_only
from tests.unit.comparing import USED, assert_same, scores_and_gradients, short_batch, tiny_classifier


@pytest.mark.parametrize("padding", [True, False])
@pytest.mark.parametrize("pooling", ["first", "mean"])
@pytest.mark.parametrize("attention", ["matmul", "sdpa"])
def test_attention_backends_agree_with_eager(tiny_model: str, attention: str, pooling: str, padding: bool) -> None:
    models = [tiny_classifier(tiny_model, attention=name, pooling=pooling) for name in ("eager", attention)]
    assert_same(*models, padding)


@pytest.mark.parametrize("padding", [True, False])
@pytest.mark.parametrize("attention", ["matmul", "sdpa", "eager"])
def test_short_last_layer_is_the_whole_one_for_the_first_token(tiny_model: str, attention: str, padding: bool) -> None:
    whole, short = (tiny_classifier(tiny_model, attention=attention, short_last_layer=flag) for flag in (False, True))
    assert short.backbone(**short_batch()).last_hidden_state.shape[1] == 1
    assert_same(whole, short, padding)


def test_short_last_layer_stays_whole_where_all_tokens_are_pooled(tiny_model: str) -> None:
    model = tiny_classifier(tiny_model, short_last_layer=True, pooling="mean")
    assert model.backbone(**short_batch()).last_hidden_state.shape[1] == 7


def test_short_last_layer_knows_what_it_knows() -> None:
    small = {"vocab_size": 30, "num_hidden_layers": 1}
    bert = BertModel(
        BertConfig(**small, hidden_size=8, num_attention_heads=2, intermediate_size=8), add_pooling_layer=False
    ).eval()
    ids = torch.randint(30, (2, 5))
    whole = bert(ids).last_hidden_state[:, :1]
    assert keep_first_token_only(bert.encoder.layer[0])
    torch.testing.assert_close(bert(ids).last_hidden_state, whole)
    distil = DistilBertModel(DistilBertConfig(**small, n_layers=1, n_heads=2, dim=8, hidden_dim=8))
    assert not keep_first_token_only(distil.transformer.layer[0])
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
    norms_first = XLMRobertaXLModel(XLMRobertaXLConfig(**small, **sizes), add_pooling_layer=False)
    assert not keep_first_token_only(norms_first.encoder.layer[0])


def test_an_encoder_with_attention_of_its_own_does_not_see_padding(tmp_path: Path) -> None:
    MPNetModel(
        MPNetConfig(vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    ).save_pretrained(tmp_path)
    alone = {name: value[2:, :2] for name, value in short_batch().items()}
    padded = {name: value[2:] for name, value in short_batch().items()}
    for attention in ("matmul", "sdpa"):
        model = TextClassifier(str(tmp_path), 2, attention=attention).eval()
        torch.testing.assert_close(model(alone)["logits"], model(padded)["logits"])


def test_every_dropout_is_on_in_training_and_off_in_evaluation(tiny_model: str) -> None:
    kinds = (("matmul", True), ("sdpa", False), ("packed", True))
    for settings in ({"attention": attention, "fast_dropout": is_fast} for attention, is_fast in kinds):
        for rates in ({"dropout": 0.5}, {"attention_dropout": 0.5}):
            model = tiny_classifier(tiny_model, **settings, **rates)
            assert all(module.training for module in model.modules())
            first, second = (model(short_batch())["embeddings"] for _ in range(2))
            assert not torch.allclose(first, second), (settings, rates)
            model.eval()
            assert torch.equal(model(short_batch())["logits"], model(short_batch())["logits"])


@pytest.mark.parametrize("attention", ["matmul", "sdpa"])
def test_dropout_of_attention_acts_in_the_short_last_layer_too(tiny_model: str, attention: str) -> None:
    model = tiny_classifier(tiny_model, attention=attention, attention_dropout=0.5, short_last_layer=True)
    hidden, layer = torch.randn(3, 7, 16), model.layers()[-1]
    assert not torch.equal(layer(hidden), layer(hidden))
    model.eval()
    assert torch.equal(layer(hidden), layer(hidden))


@pytest.mark.parametrize("settings", [{}, {"pooling": "mean"}, {"gradient_checkpointing": True}])
def test_fast_paths_together_agree_with_the_plain_model_in_bf16(tiny_model: str, settings: dict[str, Any]) -> None:
    plain = tiny_classifier(tiny_model, attention="eager", **{k: v for k, v in settings.items() if k == "pooling"})
    fast = tiny_classifier(
        tiny_model, attention="matmul", fast_dropout=True, short_last_layer=True, embeddings="used", **settings
    )
    fast.prepare(TrainingRows(USED, used_tokens=USED))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (logits, gradients), (others, other_gradients) = scores_and_gradients(plain), scores_and_gradients(fast)
    torch.testing.assert_close(logits, others, rtol=0.05, atol=0.02)
    for name, gradient in gradients.items():
        if "word_embeddings" not in name:
            torch.testing.assert_close(gradient, other_gradients[name], rtol=0.1, atol=0.02, msg=name)


def test_fast_dropout_drops_its_share_and_keeps_the_mean() -> None:
    torch.manual_seed(3)
    ones = torch.ones(500, 401)  # not a multiple of the four elements that share a random word
    dropped = fast_dropout(ones, 0.1)
    assert (dropped == 0).float().mean() == pytest.approx(0.1, abs=0.003)
    assert dropped.unique().numel() == 2
    assert dropped.max() == pytest.approx(1 / 0.9, rel=1e-4)
    lag = [((dropped.flatten()[k:] == 0) & (dropped.flatten()[:-k] == 0)).float().mean() for k in (1, 2, 3, 4, 401)]
    assert lag == pytest.approx([0.01] * 5, abs=0.001)  # neighbours fall independently


def test_fast_dropout_follows_torchs_seed_and_draws_anew_in_each_call() -> None:
    ones = torch.ones(64, 64)
    torch.manual_seed(3)
    first, second = fast_dropout(ones, 0.5), fast_dropout(ones, 0.5)
    torch.manual_seed(3)
    assert torch.equal(first, fast_dropout(ones, 0.5))
    assert not torch.equal(first, second)


def test_fast_dropout_masks_the_gradient_alike_and_rests_in_evaluation() -> None:
    input = torch.randn(40, 40, requires_grad=True)
    dropped = FastDropout(0.3)(input)
    dropped.sum().backward()
    torch.testing.assert_close(dropped, input * input.grad)
    assert FastDropout(0.3).eval()(input) is input
    assert FastDropout(0.0)(input) is input


def test_fast_dropout_replaces_every_dropout_of_the_model(tiny_model: str) -> None:
    model = tiny_classifier(tiny_model, dropout=0.3, attention_dropout=0.2)
    names = list(model.state_dict())
    use_fast_dropout(model)
    kinds = [type(module) for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert set(kinds) == {FastDropout}
    assert len(kinds) == 8  # embeddings, 2 layers x (weights, attention, feed-forward), head
    assert list(model.state_dict()) == names


def test_used_rows_train_like_the_full_table(tiny_model: str) -> None:
    whole, part = tiny_classifier(tiny_model), tiny_classifier(tiny_model, embeddings="used")
    part.prepare(TrainingRows(USED, used_tokens=USED))
    assert isinstance(part.backbone.get_input_embeddings(), UsedRowsEmbedding)
    before = whole.state_dict()["backbone.embeddings.word_embeddings.weight"].clone()
    for model in (whole, part):
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
        for _ in range(4):
            optimizer.zero_grad()
            scores_and_gradients(model)
            optimizer.step()
    states = whole.state_dict(), part.state_dict()
    assert list(states[0]) == list(states[1])
    for name, value in states[0].items():
        rows = slice(None) if "word_embeddings" not in name else torch.from_numpy(USED)
        torch.testing.assert_close(states[1][name][rows], value[rows], msg=name)
    table = states[1]["backbone.embeddings.word_embeddings.weight"]
    others = np.setdiff1d(np.arange(len(table)), USED)
    assert torch.equal(table[others], before[others])  # where the full table shrank by weight decay
    assert not torch.equal(table[USED[4]], before[USED[4]])


def test_used_rows_load_and_save_the_full_table(tiny_model: str) -> None:
    whole, part = tiny_classifier(tiny_model), tiny_classifier(tiny_model, embeddings="used")
    part.prepare(TrainingRows(USED, used_tokens=USED))
    with torch.no_grad():
        for parameter in whole.parameters():
            parameter.add_(1.0)
    part.load_state_dict(whole.state_dict())
    torch.testing.assert_close(whole(short_batch())["logits"], part(short_batch())["logits"])
    for name, value in part.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name
    with pytest.raises(RuntimeError, match="word_embeddings"):
        part.load_state_dict({k: v[:5] if "word_embeddings" in k else v for k, v in whole.state_dict().items()})


def test_a_token_that_was_not_announced_is_an_error(tiny_model: str) -> None:
    model = tiny_classifier(tiny_model, embeddings="used")
    model.prepare(TrainingRows(USED, used_tokens=USED[USED != 20]))
    with pytest.raises(IndexError):
        model(short_batch())


def test_frozen_embeddings_do_not_learn(tiny_model: str) -> None:
    _, gradients = scores_and_gradients(tiny_classifier(tiny_model, embeddings="frozen"))
    assert not any("word_embeddings" in name for name in gradients)
    assert any("position_embeddings" in name for name in gradients)


def test_gradient_checkpointing_changes_nothing_but_memory(tiny_model: str) -> None:
    settings = {"dropout": 0.3, "attention_dropout": 0.3, "fast_dropout": True, "attention": "matmul"}
    plain, checkpointed = (
        tiny_classifier(tiny_model, **settings, gradient_checkpointing=flag) for flag in (False, True)
    )
    scores = []
    for model in (plain, checkpointed):
        torch.manual_seed(5)
        scores.append(scores_and_gradients(model))
    torch.testing.assert_close(scores[0][0], scores[1][0])
    for name, gradient in scores[0][1].items():
        torch.testing.assert_close(gradient, scores[1][1][name], msg=name)
    assert checkpointed.backbone.is_activation_checkpointing
