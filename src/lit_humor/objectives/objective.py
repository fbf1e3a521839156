"""The objective contract: a model and a batch in, named losses and outputs out. Legend: B rows, C classes.

N rows of an optimizer step, over all processes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lit_humor.core.rows import TrainingRows

Model = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]

_RECORDED = ("gate",)  # outputs of networks that are kept for predictions, whatever the loss


@dataclass(frozen=True)
class Outcome:
    """The result of an objective.

    Attributes:
        losses: Named losses [B] float32, one value for each row; training minimises their sum. They are not means, so
            that the learner can divide by the rows of the optimizer step, however these are divided into micro-batches
            and processes.
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
        """Join the outcomes of a batch's chunks, in order; the first dimension of every tensor is rows."""
        if len(parts) == 1:
            return parts[0]
        kinds = [(part.losses, part.outputs) for part in parts]
        joined = [
            {name: torch.cat([tensors[name] for tensors in kind]) for name in kind[0]}
            for kind in zip(*kinds, strict=True)
        ]
        return cls(*joined)


@dataclass(frozen=True)
class Shared:
    """The vectors that the losses of all rows of an optimizer step use.

    Attributes:
        values: [N, ...] vectors of all rows but padding rows, the same in all processes.
        own: [B] int64, the index in ``values`` of each row of the batch; 0 for a padding row.
        marks: [N, ...] int64, the marks of the same rows; None if the objective has no marks.
    """

    values: Tensor
    own: Tensor
    marks: Tensor | None = None

    @classmethod
    def of_batch(cls, values: Tensor, row_weights: Tensor, marks: Tensor | None = None) -> Shared:
        """Return the vectors [B, ...] and marks of a batch as those of a whole step, without padding rows."""
        counts = row_weights > 0
        places = counts.nonzero().squeeze(1)  # once: each use of a mask would wait for a GPU
        return cls(values[places], (counts.cumsum(0) - 1).clamp(min=0), None if marks is None else marks[places])


class _Recorded:
    """A model that keeps those of its outputs which predictions have; otherwise the model itself."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.kept: dict[str, Tensor] = {}

    def __call__(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        given = self.model(batch)
        self.kept |= {name: given[name].detach() for name in _RECORDED if name in given}
        return given

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


class Objective(nn.Module, ABC):
    """A loss; a new loss is a new subclass in a new file.

    Most losses of a row depend only on that row: such an objective has ``forward``. If a loss depends on other rows, as
    a contrastive loss on its negatives, the objective also has ``shared`` and ``coupled``. The other rows are those of
    the optimizer step, whatever the memory and the number of devices.

    Attributes:
        outputs: Names of the outputs, which are compared with those that the tasks need; empty: not compared.
        reads_answers: Whether it reads ``answer_logits``; if not, the network is given no answers and computes none.
    """

    outputs: ClassVar[tuple[str, ...]] = ()
    reads_answers: bool = False

    def __call__(self, model: Model, batch: Mapping[str, Any], shared: Shared | None = None) -> Outcome:
        """Run ``forward``, and keep those outputs of the network that predictions have, such as its ``gate`` [B]."""
        recorded = _Recorded(model)
        unread = () if self.reads_answers else ("answer_ids",)
        there = {name: value for name, value in batch.items() if name not in unread}
        outcome: Outcome = super().__call__(recorded, there, *(() if shared is None else (shared,)))
        return replace(outcome, outputs={**outcome.outputs, **recorded.kept})

    @property
    def couples_rows(self) -> bool:
        """Whether the loss of a row depends on other rows of the optimizer step."""
        return type(self).shared is not Objective.shared

    def prepare(self, training: TrainingRows) -> None:
        """Adapt to the training rows, before training; not called for evaluation."""

    def shared(self, model: Model, batch: Mapping[str, Tensor]) -> Tensor | None:
        """Return the vectors [B, ...] that losses of other rows use, e.g. embeddings; None if rows are independent."""
        return None

    def marks(self, batch: Mapping[str, Tensor]) -> Tensor | None:
        """Return numbers [B, ...] int64 of rows that losses of other rows use, e.g. which texts are equal; or None."""
        return None

    def coupled(self, shared: Shared, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return named losses [B] that depend on the model only through ``shared``."""
        return {}

    @abstractmethod
    def forward(self, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None) -> Outcome:
        """Run the model and return losses and outputs, in training and validation alike.

        Rows of ``predict.py`` have labels of 0 and no ``targets``: losses that need targets are left out then.

        Args:
            model: The model.
            batch: A batch, or a chunk of one.
            shared: Vectors of the whole step, if the objective couples rows; None means those of the batch.

        Returns:
            Losses, with those of ``coupled``, and outputs.
        """
