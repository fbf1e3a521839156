"""The arithmetic of the benchmarks; their figures are nobody's business here."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from lit_humor.benchmarking.ladder import BEYOND, RUNGS, pick_windows, recut
from lit_humor.benchmarking.output import commit_line, mean_sd, median_range, table
from lit_humor.benchmarking.peers import _overhead_ms, _ratios
from lit_humor.benchmarking.plots import bars
from lit_humor.benchmarking.stepping import build
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
    assert pick_windows(batches, lengths, plan, 1, longest=True) == [batches[18:20]]


def test_ratios_compare_within_a_repeat() -> None:
    runs = []
    for ours, theirs in ((1.0, 4.0), (2.0, 4.0), (1.0, 3.0)):  # a slow second: the ratio of medians would be 4
        runs.append({"name": "train.py", "seconds": ours})
        runs += [{"name": f"hf_{name}", "seconds": theirs} for name in ("default", "best", "fixed_padding")]
    assert _ratios(runs)["ours_vs_hf_default"] == 3.0


def test_overhead_is_the_difference_within_a_repeat() -> None:
    pairs = ((2.0, 1.0), (3.0, 2.9), (9.0, 8.8))
    runs = [
        {"name": name, "seconds": seconds, "steps": 100}
        for pair in pairs
        for name, seconds in zip(("train.py", "raw_loop"), pair, strict=True)
    ]
    assert _overhead_ms(runs) == pytest.approx(2.0)


def test_bars_are_drawn(tmp_path: Path) -> None:
    bars(tmp_path / "bars.png", {"one": [1.0, 3.0, 2.0], "other": [5.0]}, "seconds", "title")
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")


def test_a_step_moves_the_weights() -> None:
    setup = build(["debug=tiny"])
    loader = setup.datamodule.train_dataloader()
    window = [setup.take(batch) for batch in islice(loader, setup.plan.accumulation)]
    before = setup.learner.model.head.out_proj.weight.clone()
    setup.step(setup.build_optimizer(), window)
    assert not torch.equal(before, setup.learner.model.head.out_proj.weight)


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
