from pathlib import Path

import pytest

from lit_humor.core.durations import parse_duration, say_duration
from lit_humor.launch.chains import chains_of
from lit_humor.launch.queue import Job
from lit_humor.sweeps.forecast import forecast


def _job(name: str, *after: Job) -> Job:
    return Job(Path(name), [], after=after)


def _five() -> dict[str, Job]:
    """The jobs of plan five by what the plan calls them."""
    jobs = {"exp1": _job("exp1"), "exp2": _job("exp2")}
    parts = [_job(f"exp3_{stage}") for stage in (1, 2, 3)]
    jobs |= {part.folder.name: part for part in parts} | {"exp3": _job("exp3", *parts)}
    jobs["exp4_1"] = _job("exp4_1")
    jobs["exp4_2"] = _job("exp4_2", jobs["exp4_1"])
    jobs["exp4_3"] = _job("exp4_3", jobs["exp4_2"])
    return jobs | {"exp5": _job("exp5", jobs["exp1"])}


def test_the_longest_start_first_and_children_wait() -> None:
    long, first, second = _job("long"), _job("first"), _job("second")
    child = _job("child", first)
    found = forecast({first: 2.0, second: 1.0, long: 4.0, child: 3.0}, 2)
    assert found.whole == 5.0  # first 0-2 and child 2-5, long 0-4 and second 4-5
    assert found.one_by_one == 10.0
    assert found.at_least == 5.0


@pytest.mark.parametrize(("slots", "whole", "at_least"), [(1, 12.0, 12.0), (2, 6.0, 6.0), (4, 4.0, 4.0), (9, 4.0, 4.0)])
def test_plan_five(slots: int, whole: float, at_least: float) -> None:
    jobs = _five()
    seconds = {job: {"exp1": 3.0, "exp2": 3.0}.get(name, 1.0) for name, job in jobs.items()}
    del seconds[jobs["exp3"]], seconds[jobs["exp4_3"]]
    found = forecast(seconds, slots)
    assert sum(seconds.values()) == found.one_by_one == 12.0
    assert (found.whole, found.at_least) == (whole, at_least)


def test_what_is_done_is_not_waited_for_and_nothing_takes_nothing() -> None:
    done = _job("done")
    assert forecast({_job("child", done): 2.0}, 1).whole == 2.0
    assert forecast({}, 2).whole == 0.0


def test_chains_of_plan_five() -> None:
    chains = [[job.folder.name for job in chain] for chain in chains_of(list(_five().values()))]
    assert chains == [
        ["exp1", "exp5"],
        ["exp2"],
        ["exp3_1"],
        ["exp3_2"],
        ["exp3_3"],
        ["exp3"],
        ["exp4_1", "exp4_2", "exp4_3"],
    ]


def test_a_parent_of_two_ends_its_chain() -> None:
    parent = _job("parent")
    assert len(chains_of([parent, _job("one", parent), _job("two", parent)])) == 3


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10min", 600),
        ("1.5h", 5400),
        ("6 h", 21600),
        ("0h", None),
        ("6", None),
        ("6d", None),
        ("-1h", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "said"), [(4.4, "4 s"), (99, "99 s"), (130, "2 min"), (3599, "1 h 00 min"), (11100, "3 h 05 min")]
)
def test_said_as_one_would(seconds: float, said: str) -> None:
    assert say_duration(seconds) == said
