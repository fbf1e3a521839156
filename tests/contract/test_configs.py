"""The recipes hold the numbers they are known for, and every configuration composes."""

import functools
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from transformers import BertConfig, XLMRobertaConfig

from lit_humor.config.command import CONFIG_DIR
from lit_humor.config.schema import register_schemas
from lit_humor.core.errors import UserError
from lit_humor.engine import factory, lr_scale
from lit_humor.engine.configuration import validate
from lit_humor.engine.machine import Machine
from lit_humor.engine.planning import build_plan
from lit_humor.models.pretrained import Pretrained


def _compose(*overrides: str) -> DictConfig:
    register_schemas()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return compose("train", list(overrides))


COMMON = {
    "model.pretrained": "FacebookAI/xlm-roberta-large", "model.lr_scale": "auto", "data.max_length": 128, "seed": 42,
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
        "trainer.schedule_epochs": 50,
        "callbacks.early_stopping.patience": 5,
    },
}  # fmt: skip


@pytest.mark.parametrize("recipe", RECIPES)
def test_numbers_of_the_recipe(recipe: str) -> None:
    cfg = _compose(f"experiment={recipe}")
    for key, value in (COMMON | RECIPES[recipe]).items():
        assert OmegaConf.select(cfg, key, throw_on_missing=True) == value, key


def test_default_is_v3_on_what_is_embedded() -> None:
    default = _compose()
    assert default == _compose(
        "experiment=v3", "model=e5_small", "trainer.max_epochs=4", "trainer.schedule_epochs=null"
    )
    assert default.model.pretrained._target_.endswith("packaged_e5_small")
    assert default.data._target_.endswith("DemoCorpus")


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_v3_keeps_32_rows_a_step(devices: int) -> None:
    machine = Machine(num_cores=16, gpu_names=("A100",) * 4, gpu_bf16=True, gpu_memory_bytes=16 * 2**30)
    plan = build_plan(_compose("experiment=v3", f"trainer.devices={devices}"), machine)
    assert (plan.global_batch_size, plan.micro_batch_size, plan.accumulation) == (32, 32 // devices, 1)
    assert plan.max_tokens == 8 * 128, "as many tokens at once as a batch of the recipe has"


CHOICES = [
    f"{group}={path.stem}"
    for group in (
        "family",
        "data",
        "model",
        "objective",
        "regularizers",
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
    if path.stem not in ("batching", "encoder", "gritlm_base", "fused_base", "qwen3_vl_base")
]


TASK_OF = {
    "objective=mean_squared_error": "regression",
    "objective=binary_cross_entropy": "multilabel",
    "data=humicroedit": "regression",
    "objective=contrastive": "embedding",
    "objective=language_modeling": "generation",
}
OF_GRITLM = (
    *("model=gritlm", "objective=contrastive", "objective=language_modeling", "objective=joint"),
    *("task=embed", "task=generation"),
)


def test_choices_were_found() -> None:
    assert len(CHOICES) >= 24


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_composes_and_validates(choice: str) -> None:
    name = ["data.name=somewhere"] if OmegaConf.is_missing(_compose(choice).data, "name") else []
    name += ["family=gritlm"] if choice.startswith(OF_GRITLM) else []
    name += ["family=fused"] if choice.endswith("=judge_and_explain") else []
    name += ["family=vlm"] if choice.startswith(("model=qwen3_vl", "model=vlm")) else []
    name += [f"task={TASK_OF[choice]}"] if choice in TASK_OF else []
    validate(_compose(choice, *name))


@pytest.mark.parametrize(
    "settings", [("objective=mean_squared_error",), ("task=regression", "objective=cross_entropy")]
)
def test_a_loss_of_another_task_is_refused(settings: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="set objective="):
        validate(_compose(*settings))


def test_experiments_say_what_they_are() -> None:
    for path in sorted((Path(CONFIG_DIR) / "experiment").glob("*.yaml")):
        text = path.read_text()
        assert text.startswith("# @package _global_\n")
        assert text.count("\n") < 60
        assert "_target_" not in text
        assert "Run:" in text
        assert "Result:" in text


def _stated(recipe: str) -> dict[str, Any]:
    """Every number that the file of an experiment states, by its whole key; null as it stands."""
    node = OmegaConf.to_container(OmegaConf.load(Path(CONFIG_DIR) / "experiment" / f"{recipe}.yaml"))
    assert isinstance(node, dict)
    assert node.pop("defaults") == [{"override /model": "xlmr_large"}]

    def flat(value: Any, key: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            return {key: value}
        return {k: v for name, one in value.items() for k, v in flat(one, f"{key}.{name}".lstrip(".")).items()}

    return flat(node, "")


STOPPING = "callbacks.early_stopping"
# What a reader has to know to train the recipe elsewhere; the model has its own file.
WHOLE = {
    *(f"data.{key}" for key in ("max_length", "padding", "length_grouped", "batch_size")),
    *("objective.class_weights", "objective.label_smoothing"),
    *(f"optim.{key}" for key in ("learning_rate", "layer_decay", "weight_decay", "betas", "eps")),
    *("optim.schedule.decay", "optim.schedule.warmup_fraction"),
    *(f"trainer.{key}" for key in ("accumulation", "max_epochs", "schedule_epochs", "gradient_clip_val")),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_states_all_its_numbers(recipe: str) -> None:
    stated = _stated(recipe)
    stopping = {key for key in stated if key.startswith(STOPPING)}
    assert stated.keys() - stopping == WHOLE
    assert stopping == ({f"{STOPPING}.patience"} if recipe == "v3" else {STOPPING})
    for key, value in stated.items():
        assert OmegaConf.select(_composed(recipe), key) == value, key


@functools.cache
def _composed(recipe: str | None) -> DictConfig:
    return _compose(*([f"experiment={recipe}"] if recipe else []))


def test_v3_and_the_defaults_do_not_drift_apart() -> None:
    longer = {"trainer.max_epochs": (50, 4), "trainer.schedule_epochs": (50, None)}  # recipe, default; null: max_epochs
    differ = {
        key: (value, default)
        for key, value in _stated("v3").items()
        if value != (default := OmegaConf.select(_composed(None), key))
    }
    assert differ == longer


WIDTHS = {
    "xlmr_large": 1024,
    "xlmr_base": 768,
    "minilm": 384,
    "e5_small": 384,
    "minilm_half": 384,
    "tiny": 16,
    "random_base": 768,
    "random_large": 1024,
}
SCALES = {1024: 1.0, 768: 1.33, 384: 2.67, 16: 64.0}


def test_lr_scale_follows_the_hidden_size(tmp_path: Path) -> None:
    for model, width in WIDTHS.items():
        cfg = _compose(f"model={model}")
        assert cfg.model.lr_scale == "auto"
        XLMRobertaConfig(hidden_size=width).save_pretrained(tmp_path / model)
        cfg = lr_scale.computed(cfg, Pretrained(str(tmp_path / model)))
        assert cfg.model.lr_scale == cfg.optim.lr_scale == SCALES[width]
    BertConfig(hidden_size=0).save_pretrained(tmp_path / "none")
    with pytest.raises(UserError, match=r"model\.lr_scale: found auto, but bert has no hidden_size"):
        lr_scale.computed(_compose(), Pretrained(str(tmp_path / "none")))


@pytest.mark.parametrize(("typed", "scale"), [((), 64.0), (("model.lr_scale=2",), 2), (("optim.lr_scale=0.5",), 0.5)])
def test_auto_becomes_the_number_of_the_encoder_and_a_number_stays(
    typed: tuple[str, ...], scale: float, tmp_path: Path
) -> None:
    cfg = _compose("model=tiny", f"paths.cache_dir={tmp_path}", *typed)
    validate(cfg)
    assert cfg.model.lr_scale in ("auto", 2), "a check changes nothing"
    assert lr_scale.computed(cfg, factory.resolve_pretrained(cfg)).optim.lr_scale == scale


@pytest.mark.parametrize("value", ["autom", "true", "[1]"])
def test_lr_scale_is_auto_or_a_number(value: str) -> None:
    with pytest.raises(UserError, match=r"model\.lr_scale: found .*, expected a number or auto or null"):
        validate(_compose(f"model.lr_scale={value}"))


def test_seed_reaches_the_split_unless_it_is_set_apart() -> None:
    assert _compose("seed=7").data.split_seed == 7
    assert _compose("seed=7", "data.split_seed=1").data.split_seed == 1


def test_debug_wins_over_any_experiment() -> None:
    cfg = _compose("experiment=v1", "debug=tiny")
    assert cfg.model.pretrained._target_.endswith("random_xlm_roberta")
    assert cfg.trainer.max_epochs == 2
