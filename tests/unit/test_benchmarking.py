"""The arithmetic of the benchmarks; their figures are nobody's business here."""

from itertools import islice
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from lit_humor.benchmarking.ladder_table import is_slower, slower_rungs
from lit_humor.benchmarking.output import commit_line, describe_here
from lit_humor.benchmarking.plots import bars
from lit_humor.benchmarking.raw_step import build
from lit_humor.benchmarking.suites.ladder import (
    BEYOND,
    PLAIN,
    RUNGS,
    climb,
    padding_waste,
    pick_global_batches,
    products,
    recut,
)
from lit_humor.benchmarking.suites.peers import _overheads_ms, _ratios
from lit_humor.benchmarking.suites.recipes import _check_same_run
from lit_humor.config.command import compose
from lit_humor.core.errors import UserError
from lit_humor.core.markdown import mean_sd, median_range, table
from lit_humor.engine.hardware import make_plan
from lit_humor.engine.machine import Machine
from lit_humor.runs import record
from tests.unit.building import TRAINER, make_store

WANTED = dict.fromkeys(
    ("accelerator", "devices", "precision", "micro_batch_size", "max_tokens", "num_workers", "attention", "compile"),
    "auto",
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


def test_global_batches_are_complete_and_from_short_to_long() -> None:
    plan = make_plan(WANTED | {"accumulation": 2, "micro_batch_size": 2}, 2, 0, Machine())
    lengths = np.arange(1, 42)
    batches = [[row, row + 1] for row in range(0, 40, 2)] + [[40]]
    picked = pick_global_batches(batches, lengths, plan, 3)
    assert all(sum(map(len, global_batch)) == 4 for global_batch in picked)
    tokens = [sum(lengths[rows].sum() for rows in global_batch) for global_batch in picked]
    assert tokens == sorted(tokens)
    assert tokens[0] < 40 < 120 < tokens[-1]
    ragged = lengths.copy()
    ragged[5] = 900  # with its neighbour, padded: more than the rows with the most tokens
    assert pick_global_batches(batches, ragged, plan, 1, longest=True) == [batches[2:4]]
    with pytest.raises(UserError, match="for a complete global batch"):
        pick_global_batches([[0, 1], [2]], lengths, plan, 1)


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
    assert _overheads_ms(runs) == pytest.approx([10.0, 1.0, 2.0])


@pytest.mark.parametrize(
    ("ratios", "slower"),
    [
        ([0.62, 0.60, 0.65], True),  # bf16 without instructions that are fast
        ([1.67, 1.70, 1.60], False),
        ([0.98, 0.90, 1.04], False),  # within the spread
        ([0.93, 0.70, 1.0], False),
        ([0.95, 0.94, 0.95], True),
        ([0.72, 0.64, 0.94], True),
        ([1.0, 1.0, 1.0], False),
        ([0.5], False),  # one repeat has no spread
    ],
)
def test_a_slower_rung_is_named_in_words(ratios: list[float], slower: bool) -> None:
    assert is_slower(ratios) is slower
    rungs = [
        {"name": name, "ratio_before": ratio, "is_slower": said}
        for name, ratio, said in (("a", 1.0, False), ("b", 0.62, slower), ("c", 0.7, True))
    ]
    lines = slower_rungs({"rungs": rungs, "default": 1})
    assert ("- **Slower than the rung before it**: b, 0.62 of its pace, below 1 in every repeat." in lines) is slower
    assert "- **Slower than the default**: c, 0.70 of its pace, below 1 in every repeat." in lines
    assert slower_rungs({"rungs": rungs[:1], "default": 0})[0].startswith("- No rung is slower")


def test_bars_are_drawn(tmp_path: Path) -> None:
    bars(tmp_path / "bars.png", {"one": [1.0, 3.0, 2.0], "other": [5.0]}, "seconds", "title")
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")


def test_steps_are_those_of_the_trainer() -> None:
    overrides = ["debug=tiny", "trainer=cpu", "trainer.micro_batch_size=8", "trainer.max_tokens=80"]
    overrides += ["optim.schedule.warmup_fraction=0"]
    overrides += ["model.network.dropout=0", "model.network.attention_dropout=0", "trainer.gradient_clip_val=0.01"]
    ours, theirs = build(overrides), build(overrides)
    batches, optimizer = iter(ours.datamodule.train_dataloader()), ours.build_optimizer()
    schedule = ours.learner.optimizer.schedule.build(optimizer, 2)  # type: ignore[union-attr]
    for _ in range(2):
        ours.step(optimizer, [ours.take(batch) for batch in islice(batches, ours.plan.accumulation)])
        schedule.step()
    trainer = pl.Trainer(**TRAINER, max_epochs=2, max_steps=2, accumulate_grad_batches=4, gradient_clip_val=0.01)
    trainer.fit(theirs.learner, theirs.datamodule)
    found = theirs.learner.state_dict()
    for name, value in ours.learner.state_dict().items():
        torch.testing.assert_close(value, found[name], msg=name)


def test_padding_waste_is_that_of_what_the_collator_makes() -> None:
    for padding, least in (("longest", 0.0), ("max_length", 0.5)):
        setup = build(["debug=tiny", f"data.padding={padding}"])
        batches = list(setup.datamodule.train_dataloader())
        real = sum(int(batch["attention_mask"].sum()) for batch in batches)
        waste = padding_waste(setup)
        assert waste == pytest.approx(1 - real / sum(batch["input_ids"].numel() for batch in batches))
        assert waste > least


def test_products_count_a_short_last_layer_once_for_the_rest() -> None:
    model = build(["debug=tiny"]).learner.model
    a_layer = 4 * 16 * 16 + 2 * 16 * 64  # queries, keys, values, output; feed-forward
    assert products(model, short_last_layer=False) == 2 * a_layer
    assert products(model, short_last_layer=True) == a_layer + 2 * 16 * 16


def test_rungs_that_change_nothing_are_left_out() -> None:
    names = [name for name, _ in climb([], Machine())]
    assert not any("precision" in name for name in names)
    assert sum(name.endswith("= default") for name in names) == 1
    on_gpu = [name for name, _ in climb([], Machine(gpu_names=("H200",), gpu_bf16=True, gpu_memory_bytes=139 * 2**30))]
    assert "precision as the plan chooses = default" in on_gpu
    assert not any(part in name for name in on_gpu for part in ("random bits", "attention as", "several passes"))
    assert any("fused AdamW" in name for name in names)
    on_small_gpu = [name for name, _ in climb([], Machine(gpu_names=("T4",), gpu_memory_bytes=16 * 2**30))]
    assert "long rows in several passes" in on_small_gpu


def test_a_finished_recipe_run_of_other_code_or_network_is_refused(tmp_path: Path) -> None:
    wanted = compose("train", ["data=csv", "data.train_path=a.csv", "data.val_path=b.csv"])
    record.write_text(tmp_path / record.CONFIG, OmegaConf.to_yaml(wanted))
    commit, cfg = describe_here()["commit"], compose("bench", ["train_path=a.csv", "val_path=b.csv"])
    _check_same_run(cfg, tmp_path, wanted, commit)
    with pytest.raises(UserError, match="other code"):
        _check_same_run(cfg, tmp_path, wanted, "abc")
    wanted.model.network.dropout = 0.3
    with pytest.raises(UserError, match="other network"):
        _check_same_run(cfg, tmp_path, wanted, commit)
    without = compose("train", ["data=csv", "data.train_path=a.csv"])
    with pytest.raises(UserError, match="other data"):
        _check_same_run(cfg, tmp_path, without, commit)


def test_rungs_end_at_the_default() -> None:
    everything = [change for _, changes in RUNGS for change in changes]
    default, climbed = compose("train", []), compose("train", [*PLAIN, *everything])
    assert default == climbed
    assert compose("train", list(PLAIN)) != default
    assert all(compose("train", [*everything, *changes]) != default for _, changes in BEYOND)


def test_figures_are_written_with_their_spread() -> None:
    assert mean_sd([1.0, 2.0, 3.0], 1) == "2.0 ± 1.0"
    assert mean_sd([2.0], 2) == "2.00"
    assert median_range([3.0, 1.0, 2.0], 0) == "2 (1 - 3)"
    assert table(["a", "b"], [["1", "2"]]) == ["| a | b |", "| --- | --- |", "| 1 | 2 |"]
    assert "with local changes" in commit_line([{"commit": "abc", "dirty": True}])
