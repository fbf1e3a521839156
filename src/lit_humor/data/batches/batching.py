"""Which rows form a batch, in which order, and how they become tensors.

Legend: N rows of a split, B rows of a batch, S slice columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from lit_humor.core.batch import Batch
from lit_humor.core.seeds import derive_seed
from lit_humor.data.preparing.preparation import Prepared

_GLOBAL_BATCHES_PER_POOL = 100


class GlobalBatchSampler(Sampler[list[int]]):
    """Deals the micro-batches of one process.

    A *global batch* is the rows of one optimizer step over all processes. Global batches are drawn from (seed, epoch)
    alone. Each is then cut into micro-batches, which are dealt to processes, so that 1 x 32, 4 x 8 and 2 processes
    x 2 x 8 train on the same rows in every step. A negative row index ``~i`` stands for a *padding row*: row ``i``
    with weight 0, put in where a global batch has too few rows for equally many micro-batches in every process.

    Args:
        lengths: [N] tokens of each row.
        global_batch_size: Rows of an optimizer step over all processes.
        micro_batch_size: Rows of a micro-batch at most.
        seed: Seed of the run; None orders rows by length, longest first, for evaluation.
        length_grouped: Put rows of similar length into each global batch: rows are sorted within pools of 100 global
            batches, which are then shuffled. The order stays random, and there is little padding.
        fixed_order: [N] rows in the order of every epoch, instead of a random one; rows are then grouped by length
            only within a global batch.
        rank: Number of this process.
        world_size: Number of processes.

    Attributes:
        epoch: The epoch of the next iteration.
        tells_epoch: Whether it gives ``(epoch, row index)`` in place of a row index, for rows that change.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        *,
        global_batch_size: int,
        micro_batch_size: int,
        seed: int | None,
        length_grouped: bool = False,
        fixed_order: np.ndarray | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.lengths = lengths
        self.global_batch_size, self.micro_batch_size = global_batch_size, micro_batch_size
        self.seed, self.length_grouped, self.fixed_order = seed, length_grouped, fixed_order
        self.rank, self.world_size = rank, world_size
        self.epoch, self.tells_epoch = 0, False
        self.num_batches_to_skip = 0

    @property
    def sampler(self) -> GlobalBatchSampler:
        """This object: Lightning calls ``set_epoch`` of the attribute with this name when an epoch starts."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that the next iteration gives the batches of."""
        self.epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(len(self.lengths), self.global_batch_size)
        return whole * self._num_micro_batches(self.global_batch_size) + self._num_micro_batches(rest)

    def __iter__(self) -> Iterator[list[int]]:
        skip, self.num_batches_to_skip = self.num_batches_to_skip, 0
        for global_batch in self.global_batches():
            for batch in self._deal(global_batch):
                if skip:
                    skip -= 1
                else:
                    yield [(self.epoch, row) for row in batch] if self.tells_epoch else batch  # type: ignore[misc]

    def global_batches(self) -> list[np.ndarray]:
        """Return the rows of each optimizer step of this epoch, the same in every process."""
        if self.fixed_order is not None:
            return self._cut(self.fixed_order)
        if self.seed is None:
            order = np.argsort(-self.lengths, kind="stable")
            return self._cut(order)
        generator = np.random.default_rng(derive_seed(self.seed, "order", self.epoch))
        order = generator.permutation(len(self.lengths))
        if not self.length_grouped:
            return self._cut(order)
        # The rows of the last, smaller step are random ones, not the shortest or longest of a pool.
        num_whole = len(order) - len(order) % self.global_batch_size
        pool_size = self.global_batch_size * _GLOBAL_BATCHES_PER_POOL
        pools = [order[start : min(start + pool_size, num_whole)] for start in range(0, num_whole, pool_size)]
        ordered = [pool[np.argsort(-self.lengths[pool], kind="stable")] for pool in pools]
        complete = [rows for pool in ordered for rows in self._cut(pool)]
        return [complete[index] for index in generator.permutation(len(complete))] + self._cut(order[num_whole:])

    def _cut(self, order: np.ndarray) -> list[np.ndarray]:
        return [order[start : start + self.global_batch_size] for start in range(0, len(order), self.global_batch_size)]

    def _num_micro_batches(self, num_rows: int) -> int:
        return math.ceil(math.ceil(num_rows / self.world_size) / self.micro_batch_size)

    def _deal(self, rows: np.ndarray) -> list[list[int]]:
        """Return the micro-batches of this process from a global batch; rows of similar length share a micro-batch."""
        count = self._num_micro_batches(len(rows)) * self.world_size
        if self.length_grouped:
            rows = rows[np.argsort(-self.lengths[rows], kind="stable")]
        parts = np.array_split(rows, count)[self.rank :: self.world_size]
        return [[int(row) for row in part] or [~int(rows[0])] for part in parts]


class RowIndices(Dataset[int]):
    """A data set whose items are the row indices themselves, also negative ones (padding rows)."""

    def __init__(self, num_rows: int) -> None:
        self.num_rows = num_rows

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, index: int) -> int:
        return index


@dataclass(frozen=True)
class Collator:
    """Makes a batch from row indices: the tensors that the model reads, and those that every batch has.

    Attributes:
        prepared: The rows as the model reads them.
        labels: [N] int64, classes.
        slices: [N, S] int64, codes of language, genre, ...; -1 where unknown.
        targets: [N] numbers to predict; None in a data set without them.
        seed: Seed of the run, where training rows are changed in each epoch; None leaves rows as they are.
        weights: [N] above 0, how much each row counts; None: all the same.
    """

    prepared: Prepared
    labels: np.ndarray
    slices: np.ndarray
    targets: np.ndarray | None = None
    seed: int | None = None
    weights: np.ndarray | None = None

    def __call__(self, drawn: list[Any]) -> Batch:
        """Make one batch; ``~i`` gives row ``i`` with weight 0. With ``seed`` it is called with (epoch, index)."""
        indices = drawn if self.seed is None else [index for _, index in drawn]
        rows = np.asarray([index if index >= 0 else ~index for index in indices], dtype=np.int64)
        batch = {
            **(self.prepared.collate(rows) if self.seed is None else self._changed(rows, self.seed, drawn[0][0])),
            "labels": torch.from_numpy(self.labels[rows]),
            "row_weights": torch.tensor([self._weight(index) if index >= 0 else 0.0 for index in indices]),
            "rows": torch.from_numpy(rows),
            "slices": torch.from_numpy(self.slices[rows]),
        }
        if self.targets is not None:
            batch["targets"] = torch.from_numpy(self.targets[rows]).float()
        return batch  # type: ignore[return-value]  # its other tensors are those that the model reads

    def _weight(self, index: int) -> float:
        return 1.0 if self.weights is None else float(self.weights[index])

    def _changed(self, rows: np.ndarray, seed: int, epoch: int) -> dict[str, torch.Tensor]:
        return self.prepared.collate_changed(rows, [derive_seed(seed, "augment", epoch, int(row)) for row in rows])
