"""Multi-sample dropout: the head reads a row several times, with other dropout masks. Legend: B rows, D vector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lit_humor.core.errors import UserError
from lit_humor.objectives.objective import Model, Outcome, Shared
from lit_humor.objectives.regularized import Forward, Regularizer, check_above


class MultiSampleDropout(Regularizer):
    """Mean of the losses of several dropout masks of the head, for one pass of the encoder.

    Formula, for a row with pooled vector v: ``1/M sum_m loss(head_m(v))``, where head_m draws masks of its own.

    Source: Inoue 2019, Multi-Sample Dropout for Accelerated Training and Better Generalization, section 3.
    Cost: that of the head, samples times; the encoder runs once.
    Alternatives: ``RDrop`` runs the encoder twice, and has the two passes agree.

    Args:
        samples: M, number of masks, at least 2.

    Raises:
        UserError: ``samples`` is out of range.
    """

    def __init__(self, samples: int | None) -> None:
        check_above("regularizers.multi_sample_dropout.samples", samples, 1, 5)
        self.samples = samples or 1

    def forward(
        self, inner: Forward, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None
    ) -> Outcome:
        """Return the mean losses [B], and the outputs of the first mask.

        Raises:
            UserError: The network has no head that reads its ``embeddings`` [B, D].
        """
        first = _Remembering(model)
        outcomes = [inner(first, batch, shared)]
        head = getattr(model, "head", None)
        if head is None or not all({"logits", "embeddings"} <= set(outputs) for outputs in first.outputs):
            raise UserError(
                "regularizers.multi_sample_dropout",
                found="a network whose head reads more than a pooled vector",
                expected="an encoder with a classification head",
                fix="set regularizers.multi_sample_dropout.samples=null",
            )
        for _ in range(self.samples - 1):
            again = iter(first.outputs)
            outcomes.append(inner(lambda part: _with_new_mask(head, next(again)), batch, shared))  # noqa: B023  # used at once
        mean = {name: torch.stack([one.losses[name] for one in outcomes]).mean(dim=0) for name in outcomes[0].losses}
        return Outcome(mean, outcomes[0].outputs)


class _Remembering:
    """A model that keeps what it gave, in order."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.outputs: list[Mapping[str, Tensor]] = []

    def __call__(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        self.outputs.append(self.model(batch))
        return self.outputs[-1]


def _with_new_mask(head: Any, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {**outputs, "logits": head(outputs["embeddings"])}
