"""Makes token ids from texts or pairs of texts. Legend: B rows of a batch, T tokens of its longest row (rounded up).

Imports only NumPy and torch, since loader processes import this module.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from lit_humor.data.batches.store import TokenStore, used_tokens
from lit_humor.data.batches.tokens import MOST_CHARACTERS, encode, second_start, tokenize
from lit_humor.data.preparing.changes import TextChanges
from lit_humor.data.preparing.preparation import Digest, Preparation, Prepared, Reading

if TYPE_CHECKING:
    from lit_humor.data.examples import Examples
    from lit_humor.data.settings import DataSettings


@dataclass(frozen=True)
class PreparedTexts(Prepared):
    """The token ids of a split.

    Attributes:
        store: Token ids of the rows.
        pad_token_id: The tokenizer's pad id (XLM-R: 1).
        padding: ``longest`` pads to the longest row of the batch, ``max_length`` to ``max_length`` tokens.
        max_length: Most tokens of a row.
        pad_to_multiple_of: The width is rounded up to a multiple of this.
        with_token_types: Make ``token_type_ids`` (0 for the first text, 1 for the second).
        changes: How training rows may be changed.
    """

    store: TokenStore
    pad_token_id: int
    padding: Literal["longest", "max_length"]
    max_length: int
    pad_to_multiple_of: int
    with_token_types: bool
    changes: TextChanges | None = None

    @property
    def lengths(self) -> np.ndarray:
        """[N] int64, the tokens of each row."""
        return self.store.lengths

    @property
    def num_truncated(self) -> int:
        """Number of rows that were longer than ``max_length`` and were truncated."""
        return self.store.num_truncated

    def collate(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Return ``input_ids``, ``attention_mask`` and, if asked for, ``token_type_ids``, each [B, T] int64."""
        return self._padded([self.store.row(row) for row in rows], self.store.second_starts[rows])

    def collate_changed(self, rows: np.ndarray, seeds: Sequence[int]) -> dict[str, Tensor]:
        """Return the same tensors of rows that are changed and tokenized anew."""
        assert self.changes is not None
        encodings = self.changes.tokenize(rows, seeds)
        starts = [second_start(one.sequence_ids) if self.changes.text_pairs else len(one.ids) for one in encodings]
        return self._padded([np.asarray(one.ids) for one in encodings], np.asarray(starts))

    def _padded(self, tokens: Sequence[np.ndarray], second_starts: np.ndarray) -> dict[str, Tensor]:
        lengths = np.asarray([len(row) for row in tokens])
        width = self.width(int(lengths.max()))
        input_ids = np.full((len(tokens), width), self.pad_token_id, dtype=np.int64)
        for position, row in enumerate(tokens):
            input_ids[position, : len(row)] = row
        columns = np.arange(width)
        is_token = columns < lengths[:, None]
        tensors = {"input_ids": input_ids, "attention_mask": is_token.astype(np.int64)}
        if self.with_token_types:
            is_second = (columns >= second_starts[:, None]) & is_token
            tensors["token_type_ids"] = is_second.astype(np.int64)
        return {name: torch.from_numpy(values) for name, values in tensors.items()}

    def width(self, longest: int) -> int:
        """Return T, the padded tokens of each row, for a batch whose longest row has ``longest`` tokens."""
        width = self.max_length if self.padding == "max_length" else longest
        rounded = math.ceil(width / self.pad_to_multiple_of) * self.pad_to_multiple_of
        return min(rounded, self.max_length)

    def update_digest(self, digest: Digest) -> None:
        """Add the token ids and the starts of rows to a hash."""
        for array in (self.store.input_ids, self.store.offsets):
            digest.update(np.ascontiguousarray(array).data)


class TextPreparation(Preparation):
    """Makes the inputs of an encoder of texts."""

    changes_rows = True

    def __init__(self, pretrained: Reading, settings: DataSettings) -> None:
        super().__init__(pretrained, settings)
        self.tokenizer = pretrained.tokenizer
        self.with_token_types = getattr(pretrained.config, "type_vocab_size", 0) > 1  # BERT has them, XLM-R has not

    def prepare(self, examples: Examples, cache_dir: str | Path | None) -> PreparedTexts:
        """Tokenize the texts, or map the files of an earlier run."""
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
            changes=self._changes(examples) if settings.augment else None,
        )

    def _changes(self, examples: Examples) -> TextChanges:
        settings = self.settings
        return TextChanges(
            settings.augment,
            settings.augment_rate,
            examples.texts,
            examples.text_pairs,
            self.tokenizer.backend_tokenizer,
            settings.max_length,
            settings.max_length * MOST_CHARACTERS,
        )

    def used_tokens(self, splits: Iterable[Prepared]) -> np.ndarray:
        """Return [U] int64, the token ids that occur in any split, and the special ones; all if rows are changed."""
        if self.settings.augment:
            return np.arange(len(self.tokenizer))
        stores = [prepared.store for prepared in splits if isinstance(prepared, PreparedTexts)]
        return used_tokens(stores, len(self.tokenizer), self.tokenizer.all_special_ids)
