"""Squared error of one number for each row. Legend: B rows."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lit_humor.objectives.objective import Model, Objective, Outcome, Shared


class MeanSquaredError(Objective):
    """Squared error of a number.

    Formula, for a row with target y and logit z: ``(z - y)^2``.

    Source: Legendre 1805.
    Cost: not measurable.
    Alternatives: cross-entropy with ``data.label_threshold``, if only above or below a threshold matters.
    """

    outputs = ("values",)

    def forward(self, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None) -> Outcome:
        """Return ``squared_error`` [B], if rows have targets, and ``values`` [B]."""
        values = model(batch)["logits"].float().squeeze(-1)
        losses = {"squared_error": (values - batch["targets"]) ** 2} if "targets" in batch else {}
        return Outcome(losses, {"values": values})
