"""The objective contract: a model and a batch in, named losses and outputs out. Legend: B rows, C classes.

N rows of an optimizer step, over all processes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from lit_humor.core.rows import TrainingRows

Model = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Outcome:
    """What an objective returns.

    Attributes:
        losses: Named losses, one float32 value a row [B]; their sum is what training minimises. A loss per row,
            not a mean, lets the learner divide by the rows of the optimizer step, however they are spread over
            micro-batches and processes.
        outputs: Named tensors for metrics and predictions; classification has ``probabilities`` [B, C] float32.
    """

    losses: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        """[B] sum of the losses of each row."""
        return torch.stack(tuple(self.losses.values())).sum(dim=0)

    @classmethod
    def joined(cls, parts: Sequence[Outcome]) -> Outcome:
        """The outcome of a batch from those of its parts, in order; every tensor's first dimension is that of rows."""
        if len(parts) == 1:
            return parts[0]
        kinds = [(part.losses, part.outputs) for part in parts]
        joined = [
            {name: torch.cat([one[name] for one in kind]) for name in kind[0]} for kind in zip(*kinds, strict=True)
        ]
        return cls(*joined)


@dataclass(frozen=True)
class Shared:
    """What the rows of an optimizer step need of one another.

    Attributes:
        values: [N, ...] of every row that counts, the same on all processes.
        own: [B] int64, the place of each row of the batch among them; 0 for a padding row.
    """

    values: Tensor
    own: Tensor

    @classmethod
    def of_batch(cls, values: Tensor, row_weights: Tensor) -> Shared:
        """A batch whose rows [B, ...] are all there are; padding rows are left out."""
        counts = row_weights > 0
        return cls(values[counts], (counts.cumsum(0) - 1).clamp(min=0))


class Objective(nn.Module, ABC):
    """What training minimises; a new loss is a new subclass in a new file.

    Most losses of a row need that row alone: such an objective has ``forward``. Where rows need one another, as the
    negatives of a contrastive loss do, it has ``shared`` and ``coupled`` as well. Then the rows that see one another
    are those of the optimizer step, whatever memory and number of devices.

    Attributes:
        outputs: Names of the outputs, so that a task it does not serve is refused at once; empty says nothing of them.
    """

    outputs: ClassVar[tuple[str, ...]] = ()

    @property
    def couples_rows(self) -> bool:
        """Whether rows of an optimizer step need one another."""
        return type(self).shared is not Objective.shared

    def prepare(self, training: TrainingRows) -> None:
        """Look at the training rows before training; not called for evaluation."""

    def shared(self, model: Model, batch: Mapping[str, Tensor]) -> Tensor | None:
        """[B, ...] what other rows of the step need of each row, e.g. embeddings; None where rows are independent."""
        return None

    def coupled(self, shared: Shared, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Named losses [B] of the batch's rows that depend on the model through ``shared`` alone."""
        return {}

    @abstractmethod
    def forward(self, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None) -> Outcome:
        """Run the model on the batch and return the losses; the same in training and validation.

        Rows of ``predict.py`` have labels of zero and no ``targets``: a loss of targets is left out then.

        Args:
            model: The model.
            batch: A batch, or a chunk of one.
            shared: Of the whole step, where rows need one another; without it the batch's rows are all there are.
                Losses of ``coupled`` are part of the result.
        """
