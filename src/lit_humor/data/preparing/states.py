"""Outputs of frozen layers beside the tokens of a split. Legend: B rows of a batch, T tokens of all rows.

D is the hidden size.

Imports only NumPy and torch, since loader processes import this module.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lit_humor.data.preparing.preparation import Digest, Prepared
from lit_humor.data.preparing.texts import PreparedTexts

_FILE = "states.npy"


class PreparedStates(Prepared):
    """The token ids of a split, and what the frozen layers of an encoder compute of them.

    The states [T, D] are kept as bf16, in a memory-mapped file: numbers are rounded to 8 significant bits, a relative
    error of at most 2^-9.

    Args:
        texts: The token ids.
        folder: Folder of the file; it may be set later, before the first batch.
    """

    def __init__(self, texts: PreparedTexts, folder: Path = Path()) -> None:
        self.texts, self.folder = texts, folder

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the name of the file instead of the states."""
        return PreparedStates, (self.texts, self.folder)

    @cached_property
    def states(self) -> np.ndarray:
        """[T, D] int16, the bits of the bf16 numbers."""
        return np.load(self.folder / _FILE, mmap_mode="r")

    @property
    def is_there(self) -> bool:
        """Whether the states have been computed."""
        return (self.folder / _FILE).is_file()

    @property
    def lengths(self) -> np.ndarray:
        """[N] int64, the tokens of each row."""
        return self.texts.lengths

    @property
    def num_truncated(self) -> int:
        """Number of rows that were truncated."""
        return self.texts.num_truncated

    def collate(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Return the tensors of the texts, and ``states`` [B, width, D] bf16, zero on padding."""
        tensors = self.texts.collate(rows)
        states = np.zeros((*tensors["input_ids"].shape, self.states.shape[1]), dtype=np.int16)
        for position, row in enumerate(rows):
            start, end = self.texts.store.offsets[row : row + 2]
            states[position, : end - start] = self.states[start:end]
        return {**tensors, "states": torch.from_numpy(states).view(torch.bfloat16)}

    def update_digest(self, digest: Digest) -> None:
        """Add the token ids to a hash; the states follow from them."""
        self.texts.update_digest(digest)

    def write(self, size: int, num_rows: int, compute: Callable[[dict[str, Tensor]], Tensor]) -> None:
        """Compute the states of all rows; the folder appears by one rename.

        Args:
            size: D.
            num_rows: Rows of a batch.
            compute: Returns the states [B, width, D] of the tensors of a batch.
        """
        offsets, lengths = self.texts.store.offsets, self.texts.lengths
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=self.folder.parent))
        try:
            shape = (int(offsets[-1]), size)
            file = np.lib.format.open_memmap(temporary / _FILE, mode="w+", dtype=np.int16, shape=shape)
            order = np.argsort(-lengths, kind="stable")
            for start in range(0, len(order), num_rows):
                rows = order[start : start + num_rows]
                states = compute(self.texts.collate(rows)).to(torch.bfloat16).cpu().contiguous().view(torch.int16)
                for row, values in zip(rows, states.numpy(), strict=True):
                    file[offsets[row] : offsets[row + 1]] = values[: lengths[row]]
            file.flush()
            del file
            temporary.rename(self.folder)
        except OSError:
            if not self.is_there:  # otherwise another run wrote the same file first
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
