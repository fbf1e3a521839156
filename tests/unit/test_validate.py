from typing import Any, Literal

import pytest
from omegaconf import OmegaConf

from lit_humor.config.validate import check_config, fits
from lit_humor.core.errors import UserErrors

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
