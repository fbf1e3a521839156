"""Makes inputs of a model that reads a text, with a picture if there is one, and writes an answer.

Legend: B rows of a batch, N of a split, T tokens of the longest text, A of the longest answer, S size of a picture.
Imports only NumPy and torch, since loader processes import this module.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lit_humor.core.errors import UserError
from lit_humor.data.batches.store import TokenStore, padded, used_tokens
from lit_humor.data.pictures.store import Pictures, PictureStore
from lit_humor.data.preparing.pairs import answer_tokens
from lit_humor.data.preparing.preparation import Digest, Preparation, Prepared, Reading
from lit_humor.data.preparing.texts import PreparedTexts, TextPreparation

if TYPE_CHECKING:
    from lit_humor.data.examples import Examples
    from lit_humor.data.settings import DataSettings


@dataclass(frozen=True)
class PreparedPictures(Prepared):
    """Texts, pictures and answers of a split.

    Attributes:
        texts: The texts.
        pictures: The pictures, or None.
        answers: Token ids of the answers, or None.
        writes: [N] float32, 1 if the row trains the writing, else 0.
        pad_token_id: The tokenizer's pad id.
        answer_width: Tokens that answers are padded to; None: those of the longest in the batch.
        patches: What a picture costs, in tokens.
    """

    texts: PreparedTexts
    pictures: Pictures | None
    answers: TokenStore | None
    writes: np.ndarray
    pad_token_id: int
    answer_width: int | None
    patches: int

    @cached_property
    def lengths(self) -> np.ndarray:
        """[N] int64, the tokens of text and answer of each row, and the patches of its picture."""
        lengths = self.texts.lengths + (0 if self.pictures is None else self.patches)
        return lengths if self.answers is None else lengths + self.answers.lengths

    @property
    def num_truncated(self) -> int:
        """Number of texts and answers that were too long and were truncated."""
        return self.texts.num_truncated + (0 if self.answers is None else self.answers.num_truncated)

    @property
    def mean_target_tokens(self) -> float | None:
        """Mean number of tokens of an answer, with the end, over the rows that train the writing."""
        return None if self.answers is None else float(self.answers.lengths[self.writes > 0].mean())

    def collate(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Return the tensors of a ``FusedBatch``: those of the texts, ``pictures`` if any, those of answers if any."""
        tensors = self.texts.collate(rows)
        if self.pictures is not None:
            tensors["pictures"] = torch.from_numpy(self.pictures.of_rows(rows))
            tensors["patch_ids"] = torch.arange(self.patches).expand(len(rows), -1)
        if self.answers is None:
            return tensors
        ids, mask = padded(self.answers, rows, self.pad_token_id, self.answer_width)
        named = {"answer_ids": ids, "answer_mask": mask, "writing_weights": self.writes[rows]}
        return tensors | {name: torch.from_numpy(values) for name, values in named.items()}

    def update_digest(self, digest: Digest) -> None:
        """Add texts, pictures, answers and uses to a hash."""
        self.texts.update_digest(digest)
        arrays = [self.writes] if self.pictures is None else [self.pictures.keys, self.writes]
        if self.answers is not None:
            arrays += [self.answers.input_ids, self.answers.offsets]
        for array in arrays:
            digest.update(np.ascontiguousarray(array).data)


class PicturePreparation(Preparation):
    """Makes the inputs of a model of texts and pictures.

    Args:
        pretrained: The pretrained model.
        settings: Settings of batches; ``max_length`` is the most tokens of a text.
        answer_tokens: Most tokens of an answer, with the end.
        patches: What a picture costs, in tokens: the patches that the encoder cuts it into.

    Raises:
        UserError: A number is below 1.
    """

    def __init__(
        self, pretrained: Reading, settings: DataSettings, *, answer_tokens: int = 48, patches: int = 64
    ) -> None:
        super().__init__(pretrained, settings)
        for key, value in (("answer_tokens", answer_tokens), ("patches", patches)):
            if value < 1:
                where = f"model.preparation.{key}"
                raise UserError(where, found=str(value), expected="at least 1", fix=f"set {where}=1")
        self.texts = TextPreparation(pretrained, settings)
        self.answer_tokens, self.patches = answer_tokens, patches

    @property
    def with_token_types(self) -> bool:
        """Whether the model has token types."""
        return self.texts.with_token_types

    def prepare(self, examples: Examples, cache_dir: str | Path | None) -> PreparedPictures:
        """Tokenize texts and answers; pictures stay where they are.

        Raises:
            UserError: Pictures are of any size.
        """
        if examples.pictures is not None and not isinstance(examples.pictures.store, PictureStore):
            expected = "pixels, as this model reads pictures of one size"
            raise UserError("data.size", found="null", expected=expected, fix="set data.size=64")
        answers, tokenizer = examples.answers, self.texts.tokenizer
        writes = np.ones(len(examples)) if answers is None or answers.writes is None else answers.writes
        return PreparedPictures(
            self.texts.prepare(examples, cache_dir),
            examples.pictures,
            answers=None if answers is None else answer_tokens(answers.texts, tokenizer, self.answer_tokens),
            writes=writes.astype(np.float32),
            pad_token_id=tokenizer.pad_token_id,
            answer_width=self.answer_tokens if self.settings.padding == "max_length" else None,
            patches=self.patches,
        )

    def used_tokens(self, splits: Iterable[Prepared]) -> np.ndarray:
        """Return [U] int64, the token ids that occur in texts or answers of any split, and the special ones."""
        there = [one for one in splits if isinstance(one, PreparedPictures)]
        stores = [one.texts.store for one in there] + [one.answers for one in there if one.answers is not None]
        tokenizer = self.texts.tokenizer
        return used_tokens(stores, len(tokenizer), tokenizer.all_special_ids)
