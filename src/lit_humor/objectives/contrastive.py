"""Contrastive loss: a query lies nearer to its own passage than to those of other rows.

Legend: B rows, G passages of a row, N rows of an optimizer step over all processes, D size of a vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from lit_humor.core.errors import UserError
from lit_humor.objectives.objective import Model, Objective, Outcome, Shared

_PASSAGES = ("passage_ids", "passage_mask", "passage_pooled")
_TENSORS = ("query_ids", "query_mask", "query_pooled", *_PASSAGES, "text_keys")


class Contrastive(Objective):
    """Cross-entropy of the row's own passage among all passages of the optimizer step (InfoNCE).

    For a query q, its passage p and the other passages n: ``-log(exp(qp / t) / (exp(qp / t) + sum exp(qn / t)))``, with
    vectors of length 1. A passage with the text of the row's own passage, or of its query, is no negative. Rows with
    weight 0 have no loss, and their passages are no negatives.

    ``positive_share`` above 0 is the debiased loss: some of the negatives are positives that nobody marked, so their
    expected part is taken off. In place of the sum over K negatives stands
    ``K (mean exp(qn / t) - share exp(qp / t)) / (1 - share)``, at least ``K exp(-1 / t)``.

    Source: van den Oord et al. 2018 (InfoNCE); Chuang et al. 2020, Debiased Contrastive Learning, equation 8.
    Cost: all vectors of a step; a step that is cut into chunks runs forward twice (``learning/coupled.py``).
    Alternatives: none of the losses of single rows compares texts.

    Args:
        temperature: t, above 0.
        positive_share: Share of positives among other rows' passages, from 0 to below 1.

    Raises:
        UserError: An argument is out of range.
    """

    outputs: ClassVar[tuple[str, ...]] = ("query_embeddings", "passage_embeddings")

    def __init__(self, temperature: float = 0.02, positive_share: float = 0.0) -> None:
        super().__init__()
        if temperature <= 0:
            fix = "set objective.temperature=0.02"
            raise UserError("objective.temperature", found=str(temperature), expected="a number above 0", fix=fix)
        if not 0 <= positive_share < 1:
            expected, fix = "0 <= share < 1", "set objective.positive_share=0"
            raise UserError("objective.positive_share", found=str(positive_share), expected=expected, fix=fix)
        self.temperature, self.positive_share = temperature, positive_share

    def shared(self, model: Model, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the vectors [B, 1 + G, D] of query and passages."""
        return _vectors(_embedded(model, batch))

    def marks(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the keys of texts [B, 1 + G]; passages of rows with weight 0 are marked as not there."""
        keys = batch["text_keys"].clone()
        keys[:, 1:] = keys[:, 1:].masked_fill(batch["embedding_weights"][:, None] == 0, -1)
        return keys

    def coupled(self, shared: Shared, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the loss of each row, [B]."""
        assert shared.marks is not None, "marks() gives some"
        vectors, keys = shared.values.float(), shared.marks
        queries, passages = vectors[shared.own, 0], vectors[:, 1:].flatten(0, 1)
        query_keys, own_keys = keys[shared.own, 0], keys[shared.own, 1]
        passage_keys = keys[:, 1:].flatten()
        scores = queries @ passages.T / self.temperature
        own = (queries * vectors[shared.own, 1]).sum(dim=-1) / self.temperature
        is_negative = (passage_keys >= 0) & (passage_keys != own_keys[:, None]) & (passage_keys != query_keys[:, None])
        negatives = scores.masked_fill(~is_negative, -torch.inf).logsumexp(dim=1)
        if self.positive_share:
            negatives = self._debiased(negatives, own, is_negative.sum(dim=1))
        return {"contrastive": (torch.logaddexp(own, negatives) - own) * batch["embedding_weights"]}

    def _debiased(self, negatives: Tensor, own: Tensor, count: Tensor) -> Tensor:
        """Return log of the debiased sum over negatives; -inf where there are none."""
        number, share, top = count.clamp(min=1).float(), self.positive_share, 1 / self.temperature
        difference = ((negatives - top).exp() / number - share * (own - top).exp()) / (1 - share)
        least = torch.full_like(own, -2 * top).exp()  # all as shares of exp(1 / t), the largest there can be
        return torch.where(count > 0, number.log() + torch.maximum(difference, least).log() + top, -torch.inf)

    def forward(self, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None) -> Outcome:
        """Return ``contrastive`` [B], and the vectors; rows without passages have vectors alone."""
        if shared is not None:
            return Outcome(self.coupled(shared, batch))
        outputs = _embedded(model, batch)
        if "passage_ids" not in batch:
            return Outcome({}, outputs)
        own = Shared.of_batch(_vectors(outputs), batch["row_weights"], self.marks(batch))
        return Outcome(self.coupled(own, batch), outputs)


def _embedded(model: Model, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    if "query_ids" not in batch:
        expected = "some: objective.contrastive compares embeddings"
        raise UserError(
            "model.preparation.parts",
            found="no embedding",
            expected=expected,
            fix="set model.preparation.parts=[embedding,writing]",
        )
    return model({name: batch[name] for name in _TENSORS if name in batch})


def _vectors(outputs: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([outputs["query_embeddings"][:, None], outputs["passage_embeddings"]], dim=1)
