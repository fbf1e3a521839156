"""The preparation contract: rows as a model reads them. Legend: N rows of a split, B rows of a batch.

No library that a loader process would have to wait for: it imports this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from lit_humor.data.examples import Examples
    from lit_humor.data.settings import DataSettings


class Reading(Protocol):
    """What a preparation asks of a pretrained model; see ``Pretrained`` of the room of models."""

    @property
    def config(self) -> Any:
        """Its configuration."""

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""


class Digest(Protocol):
    """A hash that is being computed."""

    def update(self, data: Any, /) -> object:
        """Add bytes."""


class Prepared(ABC):
    """The rows of a split as a model reads them.

    Loader processes get it by pickle: one that lies in files is sent as their name, and maps them there.
    """

    @property
    @abstractmethod
    def lengths(self) -> np.ndarray:
        """[N] int64, tokens that a row costs, those of a target or a picture included."""

    @property
    @abstractmethod
    def num_truncated(self) -> int:
        """Rows that were too long and lost a part."""

    @property
    def mean_target_tokens(self) -> float | None:
        """Target tokens of a row on average; None where rows have no target texts."""
        return None

    @abstractmethod
    def collate(self, rows: np.ndarray) -> dict[str, Tensor]:
        """What the model reads of rows [B], in their order; every tensor's first dimension is rows."""

    @abstractmethod
    def update_digest(self, digest: Digest) -> None:
        """Add all that the model may read to a hash: a run goes on with the same rows only."""


class Preparation(ABC):
    """From examples to what a model reads.

    Args:
        pretrained: What the model is loaded from.
        settings: How rows become batches.
    """

    def __init__(self, pretrained: Reading, settings: DataSettings) -> None:
        self.pretrained, self.settings = pretrained, settings

    @abstractmethod
    def prepare(self, examples: Examples, cache_dir: str | Path | None) -> Prepared:
        """Prepare the rows of a split.

        Args:
            examples: The rows.
            cache_dir: Where files of prepared rows are kept, and found again; None keeps the rows in memory.
        """

    def used_tokens(self, splits: Iterable[Prepared]) -> np.ndarray | None:
        """[U] int64, the token ids that may occur; None where nobody counts them."""
        return None
