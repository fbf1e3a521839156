"""The recipes hold the numbers they are known for, and every configuration composes."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from lit_humor.config.command import CONFIG_DIR
from lit_humor.config.schema import register_schemas
from lit_humor.engine.configuration import validate
from lit_humor.engine.machine import Machine
from lit_humor.engine.planning import build_plan


def _compose(*overrides: str) -> DictConfig:
    register_schemas()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose("train", list(overrides))


COMMON = {
    "model.pretrained": "FacebookAI/xlm-roberta-large", "model.lr_scale": 1.0, "data.max_length": 128, "seed": 42,
    "optim.eps": 1e-8, "optim.weight_decay": 0.01, "model.network.dropout": 0.1, "model.network.attention_dropout": 0.1,
    "trainer.gradient_clip_val": 1.0, "data.batch_size": 8, "data.num_workers": 4,
    "callbacks.best_checkpoint.monitor": "val/f1", "callbacks.best_checkpoint.mode": "max",
}  # fmt: skip
RECIPES = {
    "v1": {
        "data.padding": "max_length", "data.length_grouped": False, "optim.learning_rate": 1e-5,
        "optim.schedule.decay": "linear", "optim.schedule.warmup_fraction": 0.0, "objective.class_weights": "none",
        "objective.label_smoothing": 0.0, "optim.layer_decay": 1.0, "trainer.accumulation": 1, "trainer.max_epochs": 10,
        "trainer.schedule_epochs": 10, "callbacks.early_stopping": None,
    },
    "v2": {
        "data.padding": "longest", "data.length_grouped": False, "optim.learning_rate": 2e-5,
        "optim.schedule.decay": "cosine", "optim.schedule.warmup_fraction": 0.0, "objective.class_weights": "balanced",
        "objective.label_smoothing": 0.0, "optim.layer_decay": 1.0, "trainer.accumulation": 1, "trainer.max_epochs": 10,
        "trainer.schedule_epochs": 10, "callbacks.early_stopping": None,
    },
    "v3": {
        "data.padding": "longest", "data.length_grouped": True, "optim.learning_rate": 3e-5,
        "optim.schedule.decay": "cosine", "optim.schedule.warmup_fraction": 0.1, "objective.class_weights": "balanced",
        "objective.label_smoothing": 0.1, "optim.layer_decay": 0.95, "trainer.accumulation": 4,
        "trainer.max_epochs": 50,
        "trainer.schedule_epochs": 50, "callbacks.early_stopping.monitor": "val/f1",
        "callbacks.early_stopping.patience": 5, "callbacks.early_stopping.mode": "max",
    },
}  # fmt: skip


@pytest.mark.parametrize("recipe", RECIPES)
def test_numbers_of_the_recipe(recipe: str) -> None:
    cfg = _compose(f"experiment={recipe}")
    for key, value in (COMMON | RECIPES[recipe]).items():
        assert OmegaConf.select(cfg, key, throw_on_missing=True) == value, key


def test_default_is_v3_on_what_is_embedded() -> None:
    default = _compose()
    assert default == _compose("experiment=v3", "model=minilm", "trainer.max_epochs=4", "trainer.schedule_epochs=4")
    assert default.model.pretrained._target_.endswith("packaged_minilm")
    assert default.data._target_.endswith("DemoCorpus")


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_v3_keeps_32_rows_a_step(devices: int) -> None:
    machine = Machine(num_cores=16, gpu_names=("A100",) * 4, gpu_bf16=True, gpu_memory_bytes=16 * 2**30)
    plan = build_plan(_compose("experiment=v3", f"trainer.devices={devices}"), machine)
    assert (plan.window_size, plan.micro_batch_size, plan.accumulation) == (32, 32 // devices, 1)
    assert plan.max_tokens == 8 * 128, "as many tokens at once as a batch of the recipe has"


CHOICES = [
    f"{group}={path.stem}"
    for group in (
        "data",
        "model",
        "objective",
        "task",
        "optim",
        "trainer",
        "callbacks",
        "logger",
        "paths",
        "experiment",
        "debug",
    )
    for path in sorted((Path(CONFIG_DIR) / group).glob("*.yaml"))
    if path.stem not in ("batching", "encoder")
]


def test_choices_were_found() -> None:
    assert len(CHOICES) >= 24


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_composes_and_validates(choice: str) -> None:
    name = ["data.name=somewhere"] if choice.startswith("data=h") or choice == "data=ur_funny" else []
    validate(_compose(choice, *name))


def test_experiments_hold_only_differences() -> None:
    for path in sorted((Path(CONFIG_DIR) / "experiment").glob("*.yaml")):
        text = path.read_text()
        assert text.startswith("# @package _global_\n")
        assert text.count("\n") < 40
        assert "_target_" not in text
        assert "Run:" in text
        assert "Result:" in text


def test_lr_scale_follows_its_rule() -> None:
    widths = {"xlmr_large": 1024, "xlmr_base": 768, "minilm": 384, "tiny": 16, "random_base": 768, "random_large": 1024}
    for model, width in widths.items():
        assert _compose(f"model={model}").model.lr_scale == pytest.approx(1024 / width, abs=0.01)


def test_seed_reaches_the_split_unless_it_is_set_apart() -> None:
    assert _compose("seed=7").data.split_seed == 7
    assert _compose("seed=7", "data.split_seed=1").data.split_seed == 1


def test_debug_wins_over_any_experiment() -> None:
    cfg = _compose("experiment=v1", "debug=tiny")
    assert cfg.model.pretrained._target_.endswith("random_xlm_roberta")
    assert cfg.trainer.max_epochs == 2
