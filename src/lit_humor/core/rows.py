"""What a network and an objective may know of the training rows. Legend: C classes, U token ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class TrainingRows:
    """What is known of the training rows before training.

    Attributes:
        class_counts: [C] int64, rows of each class.
        mean_target_tokens: Target tokens of a row on average, where rows have target texts. A loss of tokens is the
            sum over a row's target tokens divided by this constant: one value a row, in which each token weighs the
            same, however rows are spread over micro-batches, chunks and processes.
        used_tokens: [U] int64, the token ids that may occur in any split, where they were counted.
    """

    class_counts: np.ndarray
    mean_target_tokens: float | None = None
    used_tokens: np.ndarray | None = None
