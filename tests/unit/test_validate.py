from typing import Any, Literal

import pytest
from omegaconf import OmegaConf

from lit_humor.config.command import compose
from lit_humor.config.validate import check_config, fits
from lit_humor.core.errors import UserError, UserErrors
from lit_humor.engine.configuration import validate

SCHEDULE = {"_target_": "lit_humor.optim.schedules.WarmupDecay", "decay": "cosine", "warmup_fraction": 0.1}


def _problems(**nodes: Any) -> list[str]:
    with pytest.raises(UserErrors) as caught:
        check_config(OmegaConf.create(nodes), {}, {})
    return str(caught.value).splitlines()


def test_a_good_node_passes() -> None:
    check_config(OmegaConf.create({"schedule": SCHEDULE}), {}, {})


def test_all_problems_at_once() -> None:
    problems = _problems(
        schedule=SCHEDULE | {"warmup_fracton": 0.2},
        other={"schedule": SCHEDULE | {"warmup_fraction": "abc"}},
        third=SCHEDULE | {"decay": "cosinus"},
        fourth={"_target_": SCHEDULE["_target_"]},
        fifth="???",
    )
    assert len(problems) == 5
    text = "\n".join(problems)
    assert "schedule.warmup_fracton: found an unknown key" in text
    assert "did you mean 'warmup_fraction'?" in text
    assert "other.schedule.warmup_fraction: found 'abc', expected a number" in text
    assert "third.decay: found 'cosinus', expected linear or cosine or constant" in text
    assert "fourth.decay: found nothing" in text
    assert "fifth: found no value" in text


@pytest.mark.parametrize("target", ["torch.load", "builtins.open", "os.system", "pandas.eval", "hydra.utils.call", 5])
def test_targets_outside_the_list_are_refused(target: object) -> None:
    (problem,) = _problems(node={"_target_": target})
    assert problem.startswith("node._target_: found")


def test_target_that_does_not_exist() -> None:
    (problem,) = _problems(node={"_target_": "lit_humor.optim.schedules.WarmDecay"})
    assert "a class or function that exists" in problem


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (1, float, True), (1.5, int, False), (True, int, False), (True, float, False), ("1", float, False),
        (None, str | None, True), (None, str, False), ("a", Literal["a", "b"], True), ("c", Literal["a", "b"], False),
        ([1.0, 2], list[float], True), (["x"], list[float], False), ("xy", list[str], False),
        ({"a": "b"}, dict[str, str], True), ({"a": 1}, dict[str, str], False), (1, bool, False), ("x", Any, True),
    ],
)  # fmt: skip
def test_fits(value: Any, hint: Any, expected: bool) -> None:
    assert fits(value, hint) is expected


@pytest.mark.parametrize("value", ["yes", "nan", "inf", "-inf", "[1]", "{a: 1}", "true", "1_0a"])
@pytest.mark.parametrize("key", ["label_threshold", "split_similarity", "val_fraction", "test_fraction", "replay"])
def test_numbers_of_data_that_are_none_name_their_key(key: str, value: str) -> None:
    with pytest.raises(UserError) as caught:
        validate(compose("train", ["data=csv", "data.train_path=x.csv", f"data.{key}={value}"]))
    assert str(caught.value).startswith(f"data.{key}: found ")
    assert "expected a number" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "setting",
    ["split_similarity=0", "split_similarity=1.1", "val_fraction=-0.1", "val_fraction=1", "test_fraction=1",
     "test_fraction=7", "num_workers=-1", "folds=-2", "stages=-1", "replay=2", "replay=-0.5",
     "batch_size=0", "max_length=2"],
)  # fmt: skip
def test_numbers_of_data_out_of_bounds_say_what_to_set(setting: str) -> None:
    typed = ["data=csv", "data.train_path=x.csv", f"data.{setting}"]
    with pytest.raises(UserError, match=f"^data.{setting.partition('=')[0]}: found ") as caught:
        validate(compose("train", typed))
    remedy = str(caught.value).partition("Fix: set ")[2].removesuffix(".")
    validate(compose("train", [*typed[:2], remedy]))
