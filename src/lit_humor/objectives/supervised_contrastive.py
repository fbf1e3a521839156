"""Supervised contrastive loss: rows of a class lie near each other. Legend: B rows of a batch, D size of a vector.

N rows of an optimizer step, over all processes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from lit_humor.core.errors import UserError
from lit_humor.objectives.objective import Model, Objective, Outcome, Shared


class SupervisedContrastive(Objective):
    """Cross-entropy of the rows of the same class among all other rows of the optimizer step, a part of ``Joint``.

    Formula, for a row i with the pooled vector z_i of length 1 and P the other rows of its class:
    ``-1/|P| sum_{p in P} log(exp(z_i z_p / t) / sum_{a != i} exp(z_i z_a / t))``; 0 if there is no other row of the
    class. The rows are those of the step, whatever the memory and the number of devices.

    Source: Khosla et al. 2020, Supervised Contrastive Learning, equation 2 (L_out); as a term beside cross-entropy:
    Gunel et al. 2021, Supervised Contrastive Learning for Pre-trained Language Model Fine-tuning, equation 1.
    Cost: a step that is cut into chunks runs forward twice (``learning/coupled.py``); accumulation is refused.
    Alternatives: cross-entropy alone, above all where steps have few rows of a class.

    Args:
        temperature: t, above 0.

    Raises:
        UserError: ``temperature`` is out of range.
    """

    def __init__(self, temperature: float = 0.3) -> None:
        super().__init__()
        if temperature <= 0:
            fix = "set objective.temperature=0.3"
            raise UserError("objective.temperature", found=str(temperature), expected="a number above 0", fix=fix)
        self.temperature = temperature

    def shared(self, model: Model, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the pooled vectors of rows, of length 1, [B, D] float32."""
        return F.normalize(model(batch)["embeddings"].float(), dim=-1)

    def marks(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the classes [B]."""
        return batch["labels"]

    def coupled(self, shared: Shared, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss of each row, [B]."""
        assert shared.marks is not None, "marks() gives some"
        places = torch.arange(len(shared.values), device=shared.values.device)
        is_other = places != shared.own[:, None]
        is_positive = is_other & (shared.marks == batch["labels"][:, None])
        scores = (shared.values[shared.own] @ shared.values.T).float() / self.temperature
        log_shares = scores - scores.masked_fill(~is_other, -torch.inf).logsumexp(dim=1, keepdim=True)
        counts = is_positive.sum(dim=1)
        losses = -log_shares.masked_fill(~is_positive, 0).sum(dim=1) / counts.clamp(min=1)
        return {"supervised_contrastive": losses.masked_fill(counts == 0, 0)}

    def forward(self, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None) -> Outcome:
        """Return ``supervised_contrastive`` [B]; among the rows of the batch, if there are none of a step."""
        shared = shared or Shared.of_batch(self.shared(model, batch), batch["row_weights"], self.marks(batch))
        return Outcome(self.coupled(shared, batch))
