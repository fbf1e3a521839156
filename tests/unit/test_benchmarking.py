"""The arithmetic of the benchmarks; their figures are nobody's business here."""

import numpy as np
import pytest

from lit_humor.benchmarking.ladder import BEYOND, RUNGS, pick_windows, recut
from lit_humor.benchmarking.output import commit_line, mean_sd, median_range, table
from lit_humor.benchmarking.peers import _ratios
from lit_humor.engine.cli import compose
from lit_humor.engine.hardware import Machine, make_plan
from tests.unit.building import make_store

WANTED = dict.fromkeys(
    ("accelerator", "devices", "precision", "micro_batch_size", "num_workers", "attention", "compile"), "auto"
)


def test_recut_keeps_the_tokens_and_draws_the_lengths() -> None:
    store = make_store([7] * 400)
    drawn = recut(store, median=20, spread=0.4)
    assert len(drawn.lengths) == 400
    assert np.median(drawn.lengths) == pytest.approx(20, abs=2)
    assert drawn.lengths.min() >= 4
    assert drawn.lengths.max() <= 128
    assert np.array_equal(drawn.input_ids[: len(store.input_ids)], store.input_ids)
    assert set(recut(store, median=128, spread=0.0).lengths) == {128}


def test_windows_are_whole_steps_from_short_to_long() -> None:
    plan = make_plan(WANTED | {"accumulation": 2, "micro_batch_size": 2}, 2, 0, Machine())
    lengths = np.arange(1, 42)
    batches = [[row, row + 1] for row in range(0, 40, 2)] + [[40]]
    picked = pick_windows(batches, lengths, plan, 3)
    assert all(sum(map(len, window)) == 4 for window in picked)
    tokens = [sum(lengths[rows].sum() for rows in window) for window in picked]
    assert tokens == sorted(tokens)
    assert tokens[0] < 40 < 120 < tokens[-1]


def test_ratios_compare_within_a_repeat() -> None:
    runs = []
    for ours, theirs in ((1.0, 4.0), (2.0, 4.0), (1.0, 3.0)):  # a slow second: the ratio of medians would be 4
        runs.append({"name": "train.py", "seconds": ours})
        runs += [{"name": f"hf_{name}", "seconds": theirs} for name in ("default", "best", "fixed_padding")]
    assert _ratios(runs)["ours_vs_hf_default"] == 3.0


def test_rungs_end_at_the_default() -> None:
    everything = [change for _, changes in RUNGS for change in changes]
    default, climbed = compose("train", []), compose("train", everything)
    assert default == climbed
    assert len(RUNGS) == 8
    assert all(compose("train", [*everything, *changes]) != default for _, changes in BEYOND)


def test_figures_are_written_with_their_spread() -> None:
    assert mean_sd([1.0, 2.0, 3.0], 1) == "2.0 ± 1.0"
    assert mean_sd([2.0], 2) == "2.00"
    assert median_range([3.0, 1.0, 2.0], 0) == "2 (1 - 3)"
    assert table(["a", "b"], [["1", "2"]]) == ["| a | b |", "| --- | --- |", "| 1 | 2 |"]
    assert "with local changes" in commit_line([{"commit": "abc", "dirty": True}])
