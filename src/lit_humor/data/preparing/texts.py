"""Texts, or pairs of texts, as token ids. Legend: B rows of a batch, T tokens of its longest row (rounded up).

NumPy and torch only: loader processes import it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from lit_humor.data.batches.store import TokenStore, used_tokens
from lit_humor.data.batches.tokens import encode, tokenize
from lit_humor.data.preparing.preparation import Digest, Preparation, Prepared, Reading

if TYPE_CHECKING:
    from lit_humor.data.examples import Examples
    from lit_humor.data.settings import DataSettings


@dataclass(frozen=True)
class PreparedTexts(Prepared):
    """Token ids; a batch is as wide as its longest row.

    Attributes:
        store: Token ids of the rows.
        pad_token_id: The tokenizer's pad id (XLM-R: 1).
        padding: ``longest`` pads to the longest row of the batch, ``max_length`` always to ``max_length``.
        max_length: Width under ``padding="max_length"``.
        pad_to_multiple_of: The width is rounded up to a multiple of this.
        with_token_types: Give ``token_type_ids`` (0 on the first text, 1 on the second).
    """

    store: TokenStore
    pad_token_id: int
    padding: Literal["longest", "max_length"]
    max_length: int
    pad_to_multiple_of: int
    with_token_types: bool

    @property
    def lengths(self) -> np.ndarray:
        """[N] int64, tokens of each row."""
        return self.store.lengths

    @property
    def num_truncated(self) -> int:
        """Rows that were longer than ``max_length`` and lost their end."""
        return self.store.num_truncated

    def collate(self, rows: np.ndarray) -> dict[str, Tensor]:
        """``input_ids``, ``attention_mask`` and perhaps ``token_type_ids``, [B, T] int64 each."""
        lengths = self.lengths[rows]
        width = self.width(int(lengths.max()))
        input_ids = np.full((len(rows), width), self.pad_token_id, dtype=np.int64)
        for position, row in enumerate(rows):
            input_ids[position, : lengths[position]] = self.store.row(row)
        columns = np.arange(width)
        is_token = columns < lengths[:, None]
        tensors = {"input_ids": input_ids, "attention_mask": is_token.astype(np.int64)}
        if self.with_token_types:
            is_second = (columns >= self.store.second_starts[rows][:, None]) & is_token
            tensors["token_type_ids"] = is_second.astype(np.int64)
        return {name: torch.from_numpy(values) for name, values in tensors.items()}

    def width(self, longest: int) -> int:
        """Tokens that each row of a batch takes whose longest row has ``longest``."""
        width = self.max_length if self.padding == "max_length" else longest
        rounded = math.ceil(width / self.pad_to_multiple_of) * self.pad_to_multiple_of
        return min(rounded, self.max_length)

    def update_digest(self, digest: Digest) -> None:
        """Add every token in its place."""
        for array in (self.store.input_ids, self.store.offsets):
            digest.update(np.ascontiguousarray(array).data)


class TextPreparation(Preparation):
    """What every encoder of texts reads."""

    def __init__(self, pretrained: Reading, settings: DataSettings) -> None:
        super().__init__(pretrained, settings)
        self.tokenizer = pretrained.tokenizer
        self.with_token_types = getattr(pretrained.config, "type_vocab_size", 0) > 1  # BERT has them, XLM-R has not

    def prepare(self, examples: Examples, cache_dir: str | Path | None) -> PreparedTexts:
        """Tokenize the texts, or map the files of a run before."""
        settings = self.settings
        if cache_dir is None:
            store = encode(examples.texts, examples.text_pairs, self.tokenizer, settings.max_length)
        else:
            store = tokenize(examples, self.tokenizer, settings.max_length, cache_dir)
        return PreparedTexts(
            store,
            pad_token_id=self.tokenizer.pad_token_id,
            padding=settings.padding,
            max_length=settings.max_length,
            pad_to_multiple_of=settings.pad_to_multiple_of,
            with_token_types=self.with_token_types,
        )

    def used_tokens(self, splits: Iterable[Prepared]) -> np.ndarray:
        """[U] int64, the token ids that occur in any split, and the special ones."""
        stores = [one.store for one in splits if isinstance(one, PreparedTexts)]
        return used_tokens(stores, len(self.tokenizer), self.tokenizer.all_special_ids)
