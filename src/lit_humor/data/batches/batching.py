"""Which rows form a batch, in which order, and how they become tensors.

Legend: N rows of a split, B rows of a batch, S slice columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from lit_humor.core.batch import Batch
from lit_humor.core.seeds import derive_seed
from lit_humor.data.preparing.preparation import Prepared

_WINDOWS_PER_POOL = 100


class WindowSampler(Sampler[list[int]]):
    """Deals the micro-batches of one process.

    A *window* is the rows of one optimizer step over all processes. Windows are drawn from (seed, epoch) alone;
    only then is each cut into micro-batches and dealt to processes, so that 1 x 32, 4 x 8 and 2 processes x 2 x 8
    train on the same rows, step by step. A row index ``~i`` (negative) stands for a *filler*: row ``i`` with weight
    zero, put in where the last window cannot give every process equally many micro-batches.

    Args:
        lengths: [N] tokens of each row.
        window_size: Rows of a window.
        micro_batch_size: Rows of a micro-batch at most.
        seed: Seed of the run; None keeps the rows in order of length, longest first, for evaluation.
        length_grouped: Draw each window from rows of like length: pools of 100 windows are sorted, and the
            windows shuffled, so that the order stays random and padding is short.
        fixed_order: [N] rows in the order of every epoch, in place of one that is drawn; then only rows of the same
            window are grouped by length.
        rank: This process.
        world_size: Number of processes.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        *,
        window_size: int,
        micro_batch_size: int,
        seed: int | None,
        length_grouped: bool = False,
        fixed_order: np.ndarray | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.lengths = lengths
        self.window_size, self.micro_batch_size = window_size, micro_batch_size
        self.seed, self.length_grouped, self.fixed_order = seed, length_grouped, fixed_order
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self.num_batches_to_skip = 0

    @property
    def sampler(self) -> WindowSampler:
        """The object whose ``set_epoch`` the Trainer calls at the start of each epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration deals."""
        self.epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(len(self.lengths), self.window_size)
        return whole * self._num_micro_batches(self.window_size) + self._num_micro_batches(rest)

    def __iter__(self) -> Iterator[list[int]]:
        skip, self.num_batches_to_skip = self.num_batches_to_skip, 0
        for window in self.windows():
            for batch in self._deal(window):
                if skip:
                    skip -= 1
                else:
                    yield batch

    def windows(self) -> list[np.ndarray]:
        """The rows of each optimizer step of this epoch, the same for every process."""
        if self.fixed_order is not None:
            return self._cut(self.fixed_order)
        if self.seed is None:
            order = np.argsort(-self.lengths, kind="stable")
            return self._cut(order)
        generator = np.random.default_rng(derive_seed(self.seed, "order", self.epoch))
        order = generator.permutation(len(self.lengths))
        if not self.length_grouped:
            return self._cut(order)
        # Rows that fill no window are set aside at random, not the shortest or longest of a pool.
        num_whole = len(order) - len(order) % self.window_size
        pool_size = self.window_size * _WINDOWS_PER_POOL
        pools = [order[start : min(start + pool_size, num_whole)] for start in range(0, num_whole, pool_size)]
        windows = [w for pool in pools for w in self._cut(pool[np.argsort(-self.lengths[pool], kind="stable")])]
        return [windows[index] for index in generator.permutation(len(windows))] + self._cut(order[num_whole:])

    def _cut(self, order: np.ndarray) -> list[np.ndarray]:
        return [order[start : start + self.window_size] for start in range(0, len(order), self.window_size)]

    def _num_micro_batches(self, num_rows: int) -> int:
        return math.ceil(math.ceil(num_rows / self.world_size) / self.micro_batch_size)

    def _deal(self, window: np.ndarray) -> list[list[int]]:
        """Cut a window into this process's micro-batches; rows of like length share one."""
        count = self._num_micro_batches(len(window)) * self.world_size
        if self.length_grouped:
            window = window[np.argsort(-self.lengths[window], kind="stable")]
        parts = np.array_split(window, count)[self.rank :: self.world_size]
        return [[int(row) for row in part] or [~int(window[0])] for part in parts]


class RowIndices(Dataset[int]):
    """Hands indices through, negative ones (fillers) included."""

    def __init__(self, num_rows: int) -> None:
        self.num_rows = num_rows

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, index: int) -> int:
        return index


@dataclass(frozen=True)
class Collator:
    """Makes a batch of row indices: what the model reads, and what every batch has beside it.

    Attributes:
        prepared: The rows as the model reads them.
        labels: [N] int64.
        slices: [N, S] int64, codes of language, genre, ...; -1 where unknown.
        targets: [N] numbers to predict; None where there are none.
    """

    prepared: Prepared
    labels: np.ndarray
    slices: np.ndarray
    targets: np.ndarray | None = None

    def __call__(self, indices: list[int]) -> Batch:
        """Make one batch; ``~i`` gives row ``i`` with weight zero."""
        rows = np.asarray([index if index >= 0 else ~index for index in indices], dtype=np.int64)
        batch = {
            **self.prepared.collate(rows),
            "labels": torch.from_numpy(self.labels[rows]),
            "row_weights": torch.tensor([1.0 if index >= 0 else 0.0 for index in indices]),
            "rows": torch.from_numpy(rows),
            "slices": torch.from_numpy(self.slices[rows]),
        }
        if self.targets is not None:
            batch["targets"] = torch.from_numpy(self.targets[rows]).float()
        return batch  # type: ignore[return-value]  # its other tensors are the model's own
