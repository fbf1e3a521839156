import lightning.pytorch as pl
import pytest
import torch

from lit_humor.core.errors import UserError
from lit_humor.models.encoder import TextClassifier
from lit_humor.optim.groups import LayerwiseAdamW
from lit_humor.optim.schedules import WarmupDecay
from tests.unit.building import TRAINER, make_datamodule, make_learner

CONSTANT = WarmupDecay("constant")


def _rates(model: TextClassifier, **options: float) -> dict[str, float]:
    groups = LayerwiseAdamW(1e-3, CONSTANT, **options).groups(model.named_parameters(), model.parameter_depths())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(parameter)]: group["lr"] for group in groups for parameter in group["params"]}


def test_rates_fall_from_head_to_embeddings(tiny_model: str) -> None:
    model = TextClassifier(tiny_model, 2)
    rates = _rates(model, layer_decay=0.95, lr_scale=2.0)
    assert len(rates) == len(list(model.parameters()))
    expected = {
        "head": 2e-3,
        "layer.1.": 2e-3 * 0.95,
        "layer.0.": 2e-3 * 0.95**2,
        "embeddings": 2e-3 * 0.95**3,
    }
    seen = set()
    for name, rate in rates.items():
        part = next(part for part in expected if part in name)
        seen.add(part)
        assert rate == pytest.approx(expected[part]), name
    assert seen == set(expected)


def test_no_decay_means_one_rate(tiny_model: str) -> None:
    assert set(_rates(TextClassifier(tiny_model, 2), layer_decay=1.0).values()) == {1e-3}


def test_each_trainable_parameter_in_exactly_one_group(tiny_model: str) -> None:
    model = TextClassifier(tiny_model, 2)
    model.backbone.embeddings.word_embeddings.weight.requires_grad_(False)
    groups = LayerwiseAdamW(1e-3, CONSTANT).groups(model.named_parameters(), model.parameter_depths())
    numbers = [id(parameter) for group in groups for parameter in group["params"]]
    assert len(numbers) == len(set(numbers))
    counted = sum(parameter.numel() for group in groups for parameter in group["params"])
    assert counted == sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def test_biases_and_norms_do_not_decay(tiny_model: str) -> None:
    model = TextClassifier(tiny_model, 2)
    groups = LayerwiseAdamW(1e-3, CONSTANT, weight_decay=0.01).groups(
        model.named_parameters(), model.parameter_depths()
    )
    undecayed = {id(p) for group in groups if group["weight_decay"] == 0 for p in group["params"]}
    for name, parameter in model.named_parameters():
        assert (id(parameter) in undecayed) == (name.endswith("bias") or "LayerNorm" in name), name


def test_factor_over_a_schedule() -> None:
    schedule = WarmupDecay("cosine", 0.1)
    assert schedule.factor(0, 100) == pytest.approx(0.1)
    assert schedule.factor(9, 100) == schedule.factor(10, 100) == 1.0
    assert schedule.factor(55, 100) == pytest.approx(0.5)
    assert schedule.factor(100, 100) == schedule.factor(150, 100) == pytest.approx(0.0)
    assert WarmupDecay("linear").factor(0, 10) == 1.0
    assert WarmupDecay("linear").factor(5, 10) == pytest.approx(0.5)


class Rates(pl.Callback):
    def __init__(self) -> None:
        self.seen: list[list[float]] = []

    def on_before_zero_grad(self, trainer: pl.Trainer, *args: object) -> None:
        self.seen.append([group["lr"] for group in trainer.optimizers[0].param_groups])


@pytest.mark.parametrize(("accumulation", "micro"), [(1, 16), (4, 4)])
@pytest.mark.parametrize("schedule_epochs", [None, 2])
def test_schedule_ends_where_it_should(
    tiny_model: str, tmp_path, accumulation: int, micro: int, schedule_epochs: int | None
) -> None:
    """44 rows in steps of 16 are 3 steps an epoch, whatever the accumulation; groups keep their ratio."""
    datamodule = make_datamodule(tiny_model, tmp_path, global_batch_size=16, micro_batch_size=micro)
    learner = make_learner(datamodule, schedule_epochs=schedule_epochs, learning_rate=0.01)
    rates = Rates()
    trainer = pl.Trainer(**TRAINER, max_epochs=4, accumulate_grad_batches=accumulation, callbacks=[rates])
    trainer.fit(learner, datamodule)
    assert trainer.global_step == 12
    horizon = 3 * (schedule_epochs or 4)
    factors = [learner.optimizer.schedule.factor(step, horizon) for step in range(13)]
    assert trainer.optimizers[0].param_groups[-1]["lr"] == pytest.approx(0.01 * factors[12], abs=1e-12)
    assert max(max(row) for row in rates.seen) == pytest.approx(0.01)
    for embeddings, *head in rates.seen:
        assert embeddings == pytest.approx(head[0] * 0.95)


@pytest.mark.parametrize(("key", "value"), [("learning_rate", -1.0), ("layer_decay", 1.5), ("lr_scale", 0.0)])
def test_out_of_range_values_name_their_key(key: str, value: float) -> None:
    with pytest.raises(UserError, match=f"optim.{key}"):
        LayerwiseAdamW(**({"learning_rate": 1e-3, "schedule": CONSTANT} | {key: value}))


def test_embedding_gradients_reach_the_bottom(tiny_model: str) -> None:
    """No pooling layer without gradient: DDP stops on one."""
    model = TextClassifier(tiny_model, 2)
    batch = {"input_ids": torch.randint(5, 50, (2, 6)), "attention_mask": torch.ones(2, 6, dtype=torch.long)}
    model(batch)["logits"].sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_a_fused_update_is_the_plain_one(tiny_model: str) -> None:
    weights = {}
    for fused in (True, False):
        torch.manual_seed(0)
        model = TextClassifier(tiny_model, 2)
        adamw = LayerwiseAdamW(1e-2, CONSTANT, fused=fused)
        optimizer = adamw.build(adamw.groups(model.named_parameters(), model.parameter_depths()))
        assert optimizer.defaults["fused"] is fused
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
        weights[fused] = list(model.parameters())
    for one, other in zip(weights[True], weights[False], strict=True):
        torch.testing.assert_close(one, other)


def test_nothing_is_fused_where_gradients_are_scaled() -> None:
    adamw, parameter = LayerwiseAdamW(1e-2, CONSTANT), torch.nn.Parameter(torch.zeros(2))
    assert not adamw.build([{"params": [parameter]}], is_scaled=True).defaults["fused"]
