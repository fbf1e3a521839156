"""Word embeddings that train only the rows in use. Legend: V vocabulary, U rows in use, D hidden size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_humor.models.sharding import part_like, whole


class UsedRowsEmbedding(nn.Module):
    """An embedding whose parameter has only the rows of tokens that occur; all other rows stay constant.

    XLM-R has 250,002 rows, of which a data set uses some thousands; the others cost memory and time in gradient,
    clipping and AdamW. Rows in use are trained as in the full table; the others keep their values, whereas AdamW on the
    full table would shrink them by weight decay. A ``state_dict`` contains the full table under the usual name, so
    checkpoints do not depend on this class.

    Source: vocabulary trimming as in Abdaoui et al. 2020, Load What You Need, but undone when saved.
    Cost: 4 V bytes for the positions; the full table is kept once, without gradient or optimizer state.
    Alternatives: ``frozen`` trains no row; ``all`` trains every row.

    Args:
        full: The embedding with all rows; its memory is reused.
        used: [U] distinct token ids that may occur.
    """

    def __init__(self, full: nn.Embedding, used: np.ndarray) -> None:
        super().__init__()
        rows = torch.from_numpy(np.asarray(used, dtype=np.int64))
        positions = torch.full((full.num_embeddings,), -1, dtype=torch.int32)
        positions[rows] = torch.arange(len(rows), dtype=torch.int32)
        self.rows, self.table = rows, full.weight.detach()  # not buffers, so that they stay in main memory
        self.register_buffer("positions", positions, persistent=False)
        padding = None if full.padding_idx is None else int(positions[full.padding_idx])
        self.padding_idx = None if padding == -1 else padding
        self.weight = nn.Parameter(self.table[rows])

    def forward(self, input_ids: Tensor) -> Tensor:
        """[B, T] token ids -> [B, T, D]; a token id that is not in ``used`` raises an index error."""
        return F.embedding(self.positions[input_ids], self.weight, self.padding_idx)  # type: ignore[index]

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        table = self.table.clone()
        table[self.rows] = whole(self.weight.detach()).to(table)
        destination[f"{prefix}weight"] = table

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        table = state_dict.get(f"{prefix}weight")
        if table is not None and table.shape == self.table.shape:
            self.table = table.detach().to(self.table, copy=True)
            state_dict = {**state_dict, f"{prefix}weight": part_like(table[self.rows], self.weight)}
        super()._load_from_state_dict(state_dict, prefix, *args)
