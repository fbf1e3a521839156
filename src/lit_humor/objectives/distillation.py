"""Distillation: learns from the probabilities of trained models. Legend: B rows, C classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lit_humor.core.errors import UserError
from lit_humor.objectives.cross_entropy import CrossEntropy
from lit_humor.objectives.objective import Model, Outcome, Shared


class Distillation(CrossEntropy):
    """Cross-entropy against the probabilities of teachers, and against the labels.

    Formula, for a row with logits z, probabilities q of the teachers (their mean, if there are several), temperature T
    and weight w: ``w * T ** 2 * -sum_c softmax(log q / T)_c * log softmax(z / T)_c + (1 - w) * cross_entropy``, where
    ``cross_entropy`` is that of ``CrossEntropy``, with class weights and smoothing.

    Rows have ``soft_labels`` in training and in the validations of a training; ``inference.soft_labels`` computes them
    before. Without them, as in all other scores, the loss is ``cross_entropy`` alone.

    Source: Hinton et al. 2015, Distilling the Knowledge in a Neural Network, section 2.
    Cost: one pass of each teacher over the rows, once; then none.
    Alternatives: label smoothing softens labels without a teacher.

    Args:
        num_classes: C.
        teachers: Folders of the runs whose probabilities are learned.
        temperature: T, above 0; above 1 the small probabilities count more.
        weight: w, from 0 to 1.
        class_weights: As in ``CrossEntropy``.
        label_smoothing: As in ``CrossEntropy``.
        beta: As in ``CrossEntropy``.

    Raises:
        UserError: A value is out of range.
    """

    def __init__(
        self,
        num_classes: int,
        teachers: Sequence[str] = (),
        temperature: float = 2.0,
        weight: float = 0.5,
        class_weights: str | list[float] = "none",
        label_smoothing: float = 0.0,
        beta: float = 0.999,
    ) -> None:
        super().__init__(num_classes, class_weights, label_smoothing, beta)
        if temperature <= 0:
            fix = "set objective.temperature=2"
            raise UserError("objective.temperature", found=str(temperature), expected="a number above 0", fix=fix)
        if not 0 <= weight <= 1:
            fix = "set objective.weight=0.5"
            raise UserError("objective.weight", found=str(weight), expected="0 <= value <= 1", fix=fix)
        self.teachers, self.temperature, self.weight = tuple(teachers), temperature, weight

    def forward(self, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None) -> Outcome:
        """Return ``distillation`` [B] (``cross_entropy`` without soft labels), and ``probabilities`` [B, C]."""
        outputs = model(batch)
        outcome = super().forward(lambda _: outputs, batch, shared)
        if "soft_labels" not in batch:
            return outcome
        log_shares = batch["soft_labels"].float().clamp(min=torch.finfo(torch.float32).tiny).log()
        targets = (log_shares / self.temperature).softmax(dim=-1)
        log_probabilities = (outputs["logits"].float() / self.temperature).log_softmax(dim=-1)
        of_teachers = -(targets * log_probabilities).sum(dim=-1) * self.temperature**2
        return Outcome(
            {"distillation": torch.lerp(outcome.losses["cross_entropy"], of_teachers, self.weight)}, outcome.outputs
        )
