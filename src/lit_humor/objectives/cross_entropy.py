"""Cross-entropy with class weights and label smoothing. Legend: B rows, C classes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from lit_humor.core.errors import UserError
from lit_humor.core.rows import TrainingRows
from lit_humor.objectives.class_weights import check_class_weights, compute_class_weights
from lit_humor.objectives.objective import Model, Objective, Outcome, Shared


class CrossEntropy(Objective):
    """Cross-entropy with class weights and label smoothing.

    Formula, for a row of class y with log-probabilities log p:
    ``w[y] * ((1 - eps) * -log p[y] + eps / C * sum_c -log p[c])``.

    The weight of the row's class scales the whole loss of the row. ``torch.nn.CrossEntropyLoss`` instead applies the
    weights of *all* classes to the smoothing term, which moves the targets towards the rare class. Weights have mean 1
    over the training rows, so the loss can be divided by the number of rows.

    Source: smoothing: Szegedy et al. 2016, section 7; effective number: Cui et al. 2019, equation 3.
    Cost: not measurable.
    Alternatives: no weights if the metric is accuracy and classes have similar sizes; no smoothing if the
    probabilities are used without calibration.

    Args:
        num_classes: C.
        class_weights: ``none``, ``balanced`` (N / (C n_c)), ``effective_number``, or one number for each class.
        label_smoothing: eps in [0, 1) as in torch: the target of the true class is 1 - eps + eps / C.
        beta: Beta of the effective number, in [0, 1).

    Raises:
        UserError: Weights or smoothing are out of range.
    """

    outputs = ("probabilities",)
    class_weights: Tensor

    def __init__(
        self,
        num_classes: int,
        class_weights: str | list[float] = "none",
        label_smoothing: float = 0.0,
        beta: float = 0.999,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise UserError(
                "objective.label_smoothing",
                found=str(label_smoothing),
                expected="0 <= value < 1",
                fix="set objective.label_smoothing=0.1",
            )
        if not 0 <= beta < 1:
            raise UserError(
                "objective.beta", found=str(beta), expected="0 <= value < 1", fix="set objective.beta=0.999"
            )
        check_class_weights(class_weights, num_classes)
        self.scheme, self.label_smoothing, self.beta = class_weights, label_smoothing, beta
        self.register_buffer("class_weights", torch.ones(num_classes))

    def prepare(self, training: TrainingRows) -> None:
        """Compute the weights from the training rows of each class."""
        weights = compute_class_weights(self.scheme, training.class_counts, self.beta)
        self.class_weights.copy_(torch.from_numpy(weights))

    def forward(self, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None) -> Outcome:
        """Return ``cross_entropy`` [B] and ``probabilities`` [B, C]."""
        logits = model(batch)["logits"].float()  # bf16 logits would lose digits and refuse fp32 weights
        log_probabilities = F.log_softmax(logits, dim=-1)
        labels = batch["labels"]
        of_label = -log_probabilities.gather(1, labels[:, None]).squeeze(1)
        smoothed = torch.lerp(of_label, -log_probabilities.mean(dim=1), self.label_smoothing)
        losses = {"cross_entropy": self.class_weights[labels] * smoothed}
        return Outcome(losses, {"probabilities": log_probabilities.exp()})
