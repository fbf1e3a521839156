"""R-Drop: two passes with other dropout masks are to predict alike. Legend: B rows, C classes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lit_humor.core.errors import UserError
from lit_humor.objectives.objective import Model, Objective, Outcome, Shared
from lit_humor.objectives.regularized import Forward, Regularizer, check_above


class RDrop(Regularizer):
    """Mean of the losses of two passes, and the divergence of their class probabilities.

    Formula, for a row with the probabilities p and q of the two passes:
    ``(loss_p + loss_q) / 2 + alpha * (KL(p || q) + KL(q || p)) / 2``.

    The paper adds the two losses instead of taking their mean: its alpha is twice this one.

    Source: Wu et al. 2021, R-Drop: Regularized Dropout for Neural Networks, equation 4.
    Cost: a second forward and backward pass, and memory for the activations of both.
    Alternatives: ``MultiSampleDropout`` repeats the head alone; label smoothing costs nothing.

    Args:
        alpha: Factor of the divergence, above 0.

    Raises:
        UserError: ``alpha`` is out of range.
    """

    def __init__(self, alpha: float | None) -> None:
        check_above("regularizers.r_drop.alpha", alpha, 0, 1)
        self.alpha = alpha or 0.0

    def check(self, objective: Objective) -> None:
        """Check that the objective gives class probabilities.

        Raises:
            UserError: It does not.
        """
        if "probabilities" not in objective.outputs:
            given, expected = ", ".join(objective.outputs) or "no outputs", "one that gives class probabilities"
            fix = "set regularizers.r_drop.alpha=null"
            raise UserError("regularizers.r_drop", found=f"a loss that gives {given}", expected=expected, fix=fix)

    def forward(
        self, inner: Forward, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None
    ) -> Outcome:
        """Return the mean losses, ``r_drop`` [B], and the outputs of the first pass."""
        first, second = inner(model, batch, shared), inner(model, batch, shared)
        p, q = (one.outputs["probabilities"].clamp(min=torch.finfo(torch.float32).tiny) for one in (first, second))
        divergence = ((p - q) * (p.log() - q.log())).sum(dim=1) / 2
        losses = {name: (loss + second.losses[name]) / 2 for name, loss in first.losses.items()}
        return Outcome(losses | {"r_drop": self.alpha * divergence}, first.outputs)
