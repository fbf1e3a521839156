from typing import Any

import numpy as np
import pytest
import torch

from lit_humor.benchmarking.suites.ladder import PROFILES, recut
from lit_humor.data.batches.batching import GlobalBatchSampler
from tests.unit.building import make_collator, make_store, rows_of

LENGTHS = np.random.default_rng(0).integers(3, 60, 101)


def _sampler(**options: object) -> GlobalBatchSampler:
    given = {"global_batch_size": 32, "micro_batch_size": 8, "seed": 7, "length_grouped": True}
    return GlobalBatchSampler(LENGTHS, **(given | options))  # type: ignore[arg-type]


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_each_row_once_and_equal_work(grouped: bool, world_size: int) -> None:
    dealt = [
        rows_of(
            _sampler(length_grouped=grouped, rank=rank, world_size=world_size, global_batch_size=24, micro_batch_size=4)
        )
        for rank in range(world_size)
    ]
    rows = [row for batches in dealt for batch in batches for row in batch]
    assert sorted(row for row in rows if row >= 0) == list(range(101))
    assert len({len(batches) for batches in dealt}) == 1, "DDP hangs if one process has fewer batches"
    assert all(max(map(len, batches)) <= 4 for batches in dealt)


def test_padding_rows_stand_in_where_rows_run_out() -> None:
    dealt = [
        rows_of(
            GlobalBatchSampler(
                np.full(3, 5), global_batch_size=8, micro_batch_size=1, seed=None, rank=rank, world_size=2
            )
        )
        for rank in range(2)
    ]
    padding_rows = [row for batches in dealt for batch in batches for row in batch if row < 0]
    assert len(dealt[0]) == len(dealt[1]) == 2
    assert len(padding_rows) == 1


@pytest.mark.parametrize("grouped", [True, False])
def test_global_batches_are_the_same_however_they_are_dealt(grouped: bool) -> None:
    one = _sampler(length_grouped=grouped)
    other = _sampler(length_grouped=grouped, micro_batch_size=4, rank=1, world_size=2)
    for first, second in zip(one.global_batches(), other.global_batches(), strict=True):
        assert set(first) == set(second)


def test_order_is_a_function_of_seed_and_epoch() -> None:
    sampler = _sampler()
    first = rows_of(sampler)
    assert rows_of(_sampler()) == first
    assert rows_of(sampler) == first, "iterating twice must not change the order"
    sampler.set_epoch(1)
    assert rows_of(sampler) != first
    assert rows_of(_sampler(seed=8)) != first


def test_grouping_shortens_padding_and_stays_random() -> None:
    lengths = np.random.default_rng(1).integers(3, 120, 4000)

    def waste(grouped: bool) -> float:
        sampler = GlobalBatchSampler(lengths, global_batch_size=32, micro_batch_size=32, seed=0, length_grouped=grouped)
        padded = sum(len(batch) * lengths[batch].max() for batch in map(np.array, sampler))
        return 1 - lengths.sum() / padded

    assert waste(True) < 0.1 < 0.4 < waste(False)
    sampler = GlobalBatchSampler(lengths, global_batch_size=32, micro_batch_size=32, seed=0, length_grouped=True)
    means = [lengths[batch].mean() for batch in map(np.array, sampler)]
    neighbours = np.corrcoef(means[:-2], means[1:-1])[0, 1]
    assert abs(neighbours) < 0.3, "short and long batches must alternate at random"


@pytest.mark.parametrize("profile", PROFILES)
def test_padding_is_at_most_three_percent_of_what_is_computed(profile: str) -> None:
    lengths = recut(make_store([10] * 8000), *PROFILES[profile]).lengths
    sampler = GlobalBatchSampler(lengths, global_batch_size=32, micro_batch_size=32, seed=0, length_grouped=True)
    padded = sum(len(batch) * lengths[batch].max() for batch in map(np.array, sampler))
    assert 1 - lengths.sum() / padded <= 0.03
    assert len(PROFILES) == 4


def test_rows_that_fill_no_global_batch_are_not_the_shortest() -> None:
    lengths = np.arange(1, 43)
    tails = [
        lengths[
            GlobalBatchSampler(
                lengths, global_batch_size=32, micro_batch_size=32, seed=s, length_grouped=True
            ).global_batches()[-1]
        ]
        for s in range(50)
    ]
    assert abs(np.mean(tails) - lengths.mean()) < 3


def test_skipping_continues_the_same_epoch() -> None:
    whole, rest = _sampler(), _sampler()
    rest.num_batches_to_skip = 5
    assert rows_of(rest) == rows_of(whole)[5:]
    assert rows_of(rest) == rows_of(whole), "the next epoch starts at its beginning"


def test_length_is_the_number_of_batches() -> None:
    for options in ({}, {"micro_batch_size": 5}, {"world_size": 2, "rank": 1}, {"length_grouped": False}):
        sampler = _sampler(**options)
        assert len(sampler) == len(rows_of(sampler))


def test_batch_is_as_wide_as_its_longest_row_and_padded_with_the_pad_id() -> None:
    batch = make_collator([3, 7, 5, 30])([0, 1, 2])
    assert batch["input_ids"].shape == (3, 7)
    assert batch["input_ids"][0].tolist() == [10, 10, 10, 1, 1, 1, 1]
    assert batch["attention_mask"].sum(1).tolist() == [3, 7, 5]
    assert batch["row_weights"].tolist() == [1, 1, 1]
    assert batch["rows"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(("multiple", "width"), [(1, 7), (8, 8), (5, 10)])
def test_width_is_rounded_up(multiple: int, width: int) -> None:
    assert make_collator([3, 7], pad_to_multiple_of=multiple)([0, 1])["input_ids"].shape[1] == width


def test_width_never_exceeds_max_length() -> None:
    assert make_collator([3, 12], max_length=12, pad_to_multiple_of=8)([0, 1])["input_ids"].shape[1] == 12


def test_v1_pads_to_max_length() -> None:
    assert make_collator([3, 7], padding="max_length")([0, 1])["input_ids"].shape[1] == 64


def test_padding_row_has_the_tokens_of_its_row_and_weight_zero() -> None:
    batch = make_collator([3, 7])([0, ~1])
    assert batch["row_weights"].tolist() == [1, 0]
    assert batch["input_ids"][1].tolist() == [11] * 7


def test_token_types_mark_the_second_text() -> None:
    collator: Any = make_collator([4, 6], with_token_types=True)
    collator.prepared.store.second_starts[1] = 2
    batch = collator([0, 1])
    assert torch.equal(batch["token_type_ids"], torch.tensor([[0] * 6, [0, 0, 1, 1, 1, 1]]))
