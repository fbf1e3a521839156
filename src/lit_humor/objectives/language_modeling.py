"""Loss of written texts: the next token of each answer. Legend: B rows, U tokens of the longest answer, V words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from lit_humor.core.errors import UserError
from lit_humor.core.rows import TrainingRows
from lit_humor.objectives.objective import Model, Objective, Outcome, Shared

TOKEN, ROW = "token", "row"
_EMBEDDED = ("query_ids", "passage_ids")  # of texts that the writing does not read


class LanguageModeling(Objective):
    """Negative log-likelihood of the answer's tokens, given what the row is and the tokens before.

    Any network fits that gives ``answer_logits`` [B, U, V] for a batch with ``answer_ids``, ``answer_mask`` and
    ``writing_weights``.

    ``per=token``: the sum over a row's tokens divided by the mean number of tokens of the training answers. Every token
    weighs the same, and the divisor is a constant, so the loss does not depend on how rows are divided into batches.
    ``per=row``: the mean over a row's tokens, so that every row weighs the same. A mean over the tokens of a batch
    ("mixed") is not offered: it would depend on which rows share a chunk or a process.

    Source: Muennighoff et al. 2024, GritLM, section 3.2, whose loss "token" is this one up to its constant.
    Cost: [B, U, V] logits in fp32.
    Alternatives: ``Contrastive`` for embeddings.

    Args:
        per: ``token`` or ``row``.

    Raises:
        UserError: ``per`` is something else.
    """

    outputs: ClassVar[tuple[str, ...]] = ("nll", "answer_tokens")
    reads_answers = True
    mean_tokens: Tensor

    def __init__(self, per: str = TOKEN) -> None:
        super().__init__()
        if per not in (TOKEN, ROW):
            expected = f"{TOKEN} or {ROW}; a mean over the tokens of a batch depends on which rows share it"
            raise UserError("objective.per", found=per, expected=expected, fix=f"set objective.per={TOKEN}")
        self.per = per
        self.register_buffer("mean_tokens", torch.ones(()))  # checkpoints have it: eval.py gives the loss of training

    def prepare(self, training: TrainingRows) -> None:
        """Take the mean number of tokens of the training answers."""
        self.mean_tokens.fill_(training.mean_target_tokens or 1.0)

    def forward(self, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None) -> Outcome:
        """Return ``language_modeling``, ``nll`` (sum over tokens), ``answer_tokens``, [B]; nothing without answers."""
        if "prompt_ids" not in batch and "query_ids" in batch and "passage_ids" in batch:
            expected = "some: objective.language_modeling reads answers"
            fix = "set model.preparation.parts=[embedding,writing]"
            raise UserError("model.preparation.parts", found="no writing", expected=expected, fix=fix)
        if "answer_ids" not in batch:
            return Outcome({})
        logits = model({name: value for name, value in batch.items() if name not in _EMBEDDED}).get("answer_logits")
        if logits is None:
            key, expected = "model.network.decoder_layers", "a decoder, which objective.language_modeling trains"
            raise UserError(key, found="0", expected=expected, fix=f"set {key}=3")
        mask = batch["answer_mask"]
        losses = nn.functional.cross_entropy(logits.float().transpose(1, 2), batch["answer_ids"], reduction="none")
        nll, tokens = (losses * mask).sum(dim=1), mask.sum(dim=1)
        loss = nll / (tokens.clamp(min=1) if self.per == ROW else self.mean_tokens)
        outputs = {"nll": nll.detach(), "answer_tokens": tokens}
        return Outcome({"language_modeling": loss * batch["writing_weights"]}, outputs)
