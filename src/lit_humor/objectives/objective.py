"""The objective contract: a model and a batch in, named losses and outputs out. Legend: B rows, C classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

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


class Objective(nn.Module, ABC):
    """What training minimises; a new loss is a new subclass in a new file.

    Attributes:
        outputs: Names of the outputs, so that a task it does not serve is refused at once; empty says nothing of them.
    """

    outputs: ClassVar[tuple[str, ...]] = ()

    def prepare(self, class_counts: np.ndarray) -> None:
        """Look at the training rows of each class [C] before training; not called for evaluation."""

    @abstractmethod
    def forward(self, model: Model, batch: Mapping[str, Tensor]) -> Outcome:
        """Run the model on the batch and return the losses; the same in training and validation."""
