"""Word embeddings that train only the rows in use. Legend: V vocabulary, U rows in use, K rows saved, D hidden size."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
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
    full table would shrink them by weight decay.

    A ``state_dict`` contains the full table under the usual name, so checkpoints do not depend on this class; or, with
    ``save_all=False``, the rows that may differ from the pretrained table (``weight`` [K, D], ``rows`` [K]) and the
    SHA-256 of that table (``base`` [32]). Then the full table is not kept in memory.

    Source: vocabulary trimming as in Abdaoui et al. 2020, Load What You Need, but undone when saved.
    Cost: 4 V bytes for the positions; with ``save_all`` the full table once, without gradient or optimizer state.
    Alternatives: ``frozen`` trains no row; ``all`` trains every row.

    Args:
        full: The embedding with all rows; its memory is reused.
        used: [U] distinct token ids that may occur.
        save_all: A ``state_dict`` contains all rows.
    """

    def __init__(self, full: nn.Embedding, used: np.ndarray, save_all: bool = True) -> None:
        super().__init__()
        rows = torch.from_numpy(np.asarray(used, dtype=np.int64))
        positions = torch.full((full.num_embeddings,), -1, dtype=torch.int32)
        positions[rows] = torch.arange(len(rows), dtype=torch.int32)
        self.rows = rows  # neither this nor the table is a buffer, so that they stay in main memory
        self.table = full.weight.detach() if save_all else None
        self.base = None if save_all else hash_of(full.weight.detach())
        self.others: tuple[Tensor, Tensor] | None = None  # rows and values that an earlier run trained, not in use here
        self.register_buffer("positions", positions, persistent=False)
        padding = None if full.padding_idx is None else int(positions[full.padding_idx])
        self.padding_idx = None if padding == -1 else padding
        self.weight = nn.Parameter(full.weight.detach()[rows], requires_grad=full.weight.requires_grad)

    def forward(self, input_ids: Tensor) -> Tensor:
        """[B, T] token ids -> [B, T, D]; a token id that is not in ``used`` raises an index error."""
        return F.embedding(self.positions[input_ids], self.weight, self.padding_idx)  # type: ignore[index]

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        own = whole(self.weight.detach())
        if self.table is not None:
            table = self.table.clone()
            table[self.rows] = own.to(table)
            destination[f"{prefix}weight"] = table
            return
        rows, values = self.rows, own
        if self.others is not None:
            rows, values = torch.cat([rows, self.others[0]]), torch.cat([own, self.others[1].to(own)])
        destination |= {f"{prefix}weight": values, f"{prefix}rows": rows.int(), f"{prefix}base": self.base}

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        saved, rows = state_dict.get(f"{prefix}weight"), state_dict.get(f"{prefix}rows")
        if rows is not None and saved is not None:
            errors: list[str] = args[-1]
            if not torch.equal(state_dict[f"{prefix}base"].cpu(), self._hash()):
                errors.append(f"{prefix}weight was trained from other pretrained word embeddings than these")
                return
        elif saved is not None and saved.dim() == 2 and len(saved) == len(self.positions):  # type: ignore[arg-type]
            rows = torch.arange(len(saved))
        own = {name: value for name, value in state_dict.items() if name not in (f"{prefix}rows", f"{prefix}base")}
        if rows is not None and saved is not None:
            own[f"{prefix}weight"] = part_like(self._taken(rows.long().cpu(), saved), self.weight)
        super()._load_from_state_dict(own, prefix, *args)

    def _taken(self, rows: Tensor, values: Tensor) -> Tensor:
        """Return the parameter with rows of a checkpoint in it; keep rows that are not in use for the next one."""
        places = self.positions.cpu()[rows].long()  # type: ignore[index]
        is_used = places >= 0
        taken = whole(self.weight.detach()).clone()
        taken[places[is_used]] = values[is_used.to(values.device)].to(taken)
        if self.table is not None:
            self.table = self.table.clone()
            self.table[rows] = values.detach().to(self.table)
        else:
            self.others = None if is_used.all() else (rows[~is_used], values[~is_used].detach().clone())
        return taken

    def _hash(self) -> Tensor:
        if self.base is None:
            assert self.table is not None
            self.base = hash_of(self.table)
        return self.base


def hash_of(table: Tensor) -> Tensor:
    """Return the SHA-256 [32] of a table of word embeddings, as bytes of its fp32 values."""
    values = table.detach().cpu().float().contiguous().numpy()
    return torch.from_numpy(np.frombuffer(hashlib.sha256(values.data).digest(), np.uint8).copy())


def with_full_tables(state: Mapping[str, Tensor], load_table: Callable[[], Tensor]) -> dict[str, Tensor]:
    """Return a state dict in which saved rows of word embeddings are put into the pretrained table.

    Args:
        state: State dict of a checkpoint; without saved rows it is returned as it is.
        load_table: Returns the pretrained table [V, D]; called only where it is needed.

    Raises:
        ValueError: The rows were trained from another table.
    """
    full = dict(state)
    for name in [name for name in state if name.endswith(".rows") and f"{name[:-4]}base" in state]:
        prefix = name.removesuffix("rows")
        table = load_table()
        if not torch.equal(hash_of(table), state[f"{prefix}base"]):
            raise ValueError("trained from other pretrained word embeddings than those of model.pretrained now")
        table[full.pop(name).long()] = full[f"{prefix}weight"].to(table)
        full[f"{prefix}weight"] = table
        del full[f"{prefix}base"]
    return full
