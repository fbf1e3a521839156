"""Cross-entropy of several labels for each row, each of which is 0 or 1. Legend: B rows, K labels."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from lit_humor.objectives.objective import Model, Objective, Outcome, Shared


class BinaryCrossEntropy(Objective):
    """Mean of the binary cross-entropies of a row's labels.

    Formula, for a row with targets y in {0, 1} and logits z: ``mean_k log(1 + exp(-z_k)) + (1 - y_k) z_k``.

    Source: Bishop 2006, section 4.3.2.
    Cost: not measurable.
    Alternatives: cross-entropy where exactly one label is right for each row.

    Args:
        num_classes: K.
    """

    outputs = ("label_probabilities",)

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_labels = num_classes

    def forward(self, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None) -> Outcome:
        """Return ``binary_cross_entropy`` [B], if rows have targets, and ``label_probabilities`` [B, K]."""
        logits = model(batch)["logits"].float()
        losses = {}
        if "targets" in batch:
            of_labels = F.binary_cross_entropy_with_logits(logits, batch["targets"], reduction="none")
            losses["binary_cross_entropy"] = of_labels.mean(dim=1)
        return Outcome(losses, {"label_probabilities": logits.sigmoid()})
