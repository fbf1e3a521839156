"""Focal loss. Legend: B rows, C classes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lit_humor.core.errors import UserError
from lit_humor.objectives.cross_entropy import CrossEntropy
from lit_humor.objectives.objective import Model, Outcome, Shared

_LEAST = 1e-6  # of 1 - p: below, the gradient of a power under 1 is infinite


class Focal(CrossEntropy):
    """Cross-entropy that counts less for rows which the model classifies well already.

    Formula, for a row of class y with probabilities p: ``(1 - p[y]) ** gamma * cross_entropy``, where
    ``cross_entropy`` is that of ``CrossEntropy``, with class weights and smoothing. Without smoothing this is the loss
    of the paper, whose alpha are the class weights.

    Source: Lin et al. 2017, Focal Loss for Dense Object Detection, equation 5.
    Cost: not measurable.
    Alternatives: class weights alone where classes differ in size, not in difficulty; gamma 0 is cross-entropy.

    Args:
        num_classes: C.
        gamma: At least 0.
        class_weights: As in ``CrossEntropy``.
        label_smoothing: As in ``CrossEntropy``.
        beta: As in ``CrossEntropy``.

    Raises:
        UserError: A value is out of range.
    """

    def __init__(
        self,
        num_classes: int,
        gamma: float = 2.0,
        class_weights: str | list[float] = "none",
        label_smoothing: float = 0.0,
        beta: float = 0.999,
    ) -> None:
        super().__init__(num_classes, class_weights, label_smoothing, beta)
        if gamma < 0:
            expected, fix = "a number of at least 0", "set objective.gamma=2"
            raise UserError("objective.gamma", found=str(gamma), expected=expected, fix=fix)
        self.gamma = gamma

    def forward(self, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None) -> Outcome:
        """Return ``focal`` [B] and ``probabilities`` [B, C]."""
        outcome = super().forward(model, batch, shared)
        of_label = outcome.outputs["probabilities"].gather(1, batch["labels"][:, None]).squeeze(1)
        factor = (1 - of_label).clamp(min=_LEAST) ** self.gamma
        return Outcome({"focal": factor * outcome.losses["cross_entropy"]}, outcome.outputs)
