"""Token ids of a split, in memory or in memory-mapped files. NumPy only: loader processes import it.

Legend: N rows of a split, T tokens of all rows together, in a batch of the longest; B rows of a batch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

_CHUNK_TOKENS = 2**22


@dataclass(frozen=True)
class TokenStore:
    """Token ids of a split in one array, with the index where each row starts.

    Attributes:
        input_ids: [T] int32.
        offsets: [N + 1] int64; row ``i`` is ``input_ids[offsets[i]:offsets[i + 1]]``.
        second_starts: [N] int32, tokens of a row before its second text; the row's length if it has no second text.
        num_truncated: Rows that were longer than ``max_length`` and lost their end.
    """

    input_ids: np.ndarray
    offsets: np.ndarray
    second_starts: np.ndarray
    num_truncated: int

    def __reduce__(self) -> tuple[Callable[..., TokenStore], tuple[Any, ...]]:
        """Pickle the folder name instead of the arrays if these are mapped from files."""
        if isinstance(self.input_ids, np.memmap):
            return open_store, (Path(str(self.input_ids.filename)).parent,)
        return TokenStore, (self.input_ids, self.offsets, self.second_starts, self.num_truncated)

    @cached_property
    def lengths(self) -> np.ndarray:
        """[N] int64, tokens of each row."""
        return np.diff(self.offsets)

    def row(self, index: int) -> np.ndarray:
        """Return the token ids of one row, a view."""
        return self.input_ids[self.offsets[index] : self.offsets[index + 1]]

    def mark_used(self, used: np.ndarray) -> None:
        """Set ``used[i]`` to True for every token id ``i`` that occurs."""
        for start in range(0, len(self.input_ids), _CHUNK_TOKENS):
            used[self.input_ids[start : start + _CHUNK_TOKENS]] = True


def store_of(rows: Sequence[Sequence[int] | np.ndarray], num_truncated: int = 0) -> TokenStore:
    """Return a store of some rows of token ids, one at least, which have no second texts."""
    lengths = [len(row) for row in rows]
    ids = np.concatenate([np.asarray(row, dtype=np.int32) for row in rows])
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return TokenStore(ids, offsets, np.asarray(lengths, dtype=np.int32), num_truncated)


def padded(
    store: TokenStore, rows: np.ndarray, pad_token_id: int, width: int | None = None, *, left: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return token ids of some rows, and 1 on tokens and 0 on padding, both [B, T] int64.

    Args:
        store: Token ids.
        rows: [B] int64.
        pad_token_id: What stands where a row has no token.
        width: T; None takes the longest of the rows.
        left: Pad on the left.
    """
    lengths = store.lengths[rows]
    ids = np.full((len(rows), width or int(lengths.max())), pad_token_id, dtype=np.int64)
    mask = np.zeros_like(ids)
    for position, row in enumerate(rows):
        place = slice(ids.shape[1] - lengths[position], None) if left else slice(lengths[position])
        ids[position, place], mask[position, place] = store.row(row), 1
    return ids, mask


def open_store(folder: Path) -> TokenStore:
    """Map the files of ``tokens.tokenize``, read-only."""
    names = ("input_ids", "offsets", "second_starts")
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}
    return TokenStore(**arrays, num_truncated=json.loads((folder / "meta.json").read_text())["num_truncated"])


def used_tokens(stores: Iterable[TokenStore], vocabulary_size: int, special_ids: Sequence[int]) -> np.ndarray:
    """Return [U] int64, the token ids that occur in any store, and the special ones."""
    used = np.zeros(max(vocabulary_size, *special_ids) + 1, dtype=bool)
    used[list(special_ids)] = True
    for store in stores:
        store.mark_used(used)
    return np.flatnonzero(used)
