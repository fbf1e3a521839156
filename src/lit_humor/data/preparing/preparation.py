"""The preparation contract: rows as the inputs of a model. Legend: N rows of a split, B rows of a batch.

Imports no library that is slow to load, since loader processes import this module.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from lit_humor.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from lit_humor.data.examples import Examples
    from lit_humor.data.preparing.changes import TextChanges
    from lit_humor.data.settings import DataSettings


class Reading(Protocol):
    """The parts of a pretrained model that a preparation uses; see ``Pretrained`` in ``models``."""

    @property
    def config(self) -> Any:
        """Its configuration."""

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""

    @property
    def longest_input(self) -> int:
        """Most tokens of a row."""


class Digest(Protocol):
    """A hash that is being computed."""

    def update(self, data: Any, /) -> object:
        """Add bytes."""


class Prepared(ABC):
    """The rows of a split as inputs of a model.

    Loader processes receive it by pickle. If it is kept in files, only their name is sent, and they are mapped there.

    Attributes:
        changes: How training rows may be changed; None: they are not.
    """

    changes: TextChanges | None = None

    @property
    @abstractmethod
    def lengths(self) -> np.ndarray:
        """[N] int64, the tokens that each row costs, with those of a target text or a picture."""

    @property
    @abstractmethod
    def num_truncated(self) -> int:
        """Number of rows that were too long and were truncated."""

    @property
    def mean_target_tokens(self) -> float | None:
        """Mean number of target tokens of a row; None if rows have no target texts."""
        return None

    @abstractmethod
    def collate(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Return the input tensors of rows [B], in their order; the first dimension of every tensor is B."""

    def collate_changed(self, rows: np.ndarray, seeds: Sequence[int]) -> dict[str, Tensor]:
        """Return the input tensors of training rows [B] that are changed, each drawn from its seed."""
        return self.collate(rows)

    @abstractmethod
    def update_digest(self, digest: Digest) -> None:
        """Add everything that the model may read to a hash, which shows whether a resumed run has the same rows."""


class Preparation(ABC):
    """Makes inputs of a model from examples.

    Args:
        pretrained: The pretrained model.
        settings: Settings of batches.

    Attributes:
        changes_rows: Whether it can change training rows (``data.augment``).

    Raises:
        UserError: Rows are to be changed, and it cannot.
    """

    changes_rows: ClassVar[bool] = False

    def __init__(self, pretrained: Reading, settings: DataSettings) -> None:
        if settings.augment and not self.changes_rows:
            expected = f"[], since {type(self).__name__} does not change what it reads"
            raise UserError("data.augment", found=str(settings.augment), expected=expected, fix="set data.augment=[]")
        self.pretrained, self.settings = pretrained, settings

    @abstractmethod
    def prepare(self, examples: Examples, cache_dir: str | Path | None) -> Prepared:
        """Prepare the rows of a split.

        Args:
            examples: The rows.
            cache_dir: Folder of prepared rows, which are used again; None keeps the rows in memory.
        """

    def used_tokens(self, splits: Iterable[Prepared]) -> np.ndarray | None:
        """Return [U] int64, the token ids that may occur; None if they are not counted."""
        return None
