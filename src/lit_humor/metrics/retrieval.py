"""Metrics of retrieval, exact under several processes.

Legend: B rows of a batch, N of a split, G passages of a row, D dimensions, S slice columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lit_humor.metrics import ranks
from lit_humor.metrics.kept_rows import KeptRows
from lit_humor.metrics.task_metrics import TaskMetrics

_OF_SLICES = ("recall_at_10", "mrr")


class RetrievalMetrics(TaskMetrics):
    """All metrics of one stage, updated batch by batch.

    The candidates of every query are the own passages of all rows of the split, each different text once.

    Cost: a process keeps the vectors of all rows, 3 kB a row of 384 dimensions, and ranks all of them.

    Args:
        slice_values: Names of slice columns with their values, e.g. ``{"language": ["en", "es"]}``.
        synced: Whether ``compute`` takes the rows of all processes, which then all have to call it.
    """

    def __init__(self, slice_values: Mapping[str, Sequence[str]], *, synced: bool = True) -> None:
        super().__init__()
        self.slice_values = {name: list(values) for name, values in slice_values.items()}
        dtypes = {"queries": torch.float32, "passages": torch.float32, "numbers": torch.int64}
        self.kept = KeptRows(dtypes, sync_on_compute=synced)

    def update(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor], counts: Tensor) -> None:
        """Add a batch.

        Args:
            outputs: ``query_embeddings`` [B, D] and ``passage_embeddings`` [B, G, D] float32, all of length 1; the
                first passage is the row's own.
            batch: ``text_keys`` [B, 1 + G] int64, the keys of the query and of each passage, equal for equal texts, -1
                where there is no passage; ``slices`` [B, S] int64 codes, -1 where unknown.
            counts: [B] bool, False for padding rows, which are left out, as are rows without a passage of their own.
        """
        counts = counts & (batch["text_keys"][:, 1] != -1)
        if not counts.any():
            return
        numbers = torch.cat([batch["text_keys"][:, :2], batch["slices"]], dim=1)[counts]
        queries, passages = outputs["query_embeddings"][counts], outputs["passage_embeddings"][:, 0][counts]
        self.kept.update(queries=queries, passages=passages, numbers=numbers)

    def compute(self) -> dict[str, Any]:
        """Every number over the rows of all processes.

        Returns:
            ``recall_at_1``, ``recall_at_5``, ``recall_at_10``, ``mrr`` (see ``ranks.ranks_of`` for ties and equal
            texts), ``alignment``, ``uniformity``, each None without rows; ``rows``; and ``slices`` by column and value:
            ``rows``, ``recall_at_10`` and ``mrr`` among the candidates of the whole split.
        """
        queries, passages, numbers = self._rows()
        keys, codes = numbers[:, :2], numbers[:, 2:]
        found = ranks.scores_of_ranks(ranks.ranks_of(queries, passages, keys[:, 1]))
        has_rows = len(numbers) > 0
        return {
            **{name: float(values.mean()) if has_rows else None for name, values in found.items()},
            "alignment": ranks.alignment(queries, passages) if has_rows else None,
            "uniformity": ranks.uniformity(passages, keys[:, 0]),
            "rows": len(numbers),
            "slices": {
                name: {
                    value: _numbers_of_slice(found, codes[:, column] == code)
                    for code, value in enumerate(values)
                    if (codes[:, column] == code).any()
                }
                for column, (name, values) in enumerate(self.slice_values.items())
            },
        }

    def _rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Queries [N, D], own passages [N, D] and keys and slice codes [N, 2 + S] in an order of their own."""
        gathered = self.kept.gathered()
        numbers = gathered["numbers"].reshape(-1, 2 + len(self.slice_values))
        shape = (len(numbers), len(gathered["queries"]) // max(len(numbers), 1))
        queries, passages = gathered["queries"].reshape(shape), gathered["passages"].reshape(shape)
        # Equal texts may differ in the last bits of their vectors, which depend on the batch: those decide last.
        decides_last = [*numbers[:, 2:].T, queries[:, :1].sum(axis=1), passages[:, :1].sum(axis=1)]
        order = np.lexsort([*decides_last, numbers[:, 0], numbers[:, 1]])
        return queries[order], passages[order], numbers[order]

    def reset(self) -> None:
        """Forget all rows."""
        self.kept.reset()


def _numbers_of_slice(found: Mapping[str, np.ndarray], of_value: np.ndarray) -> dict[str, Any]:
    means = {name: float(found[name][of_value].mean()) for name in _OF_SLICES}
    return {"rows": int(of_value.sum()), **means}
