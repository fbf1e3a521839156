"""Metrics of generated texts, exact under several processes. Legend: B rows, S slice columns, P, U tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from lit_humor.metrics import ngrams
from lit_humor.metrics.generated_texts import TextRow, mean_f1, numbers_of, perplexity_of, row_of, share_exact
from lit_humor.metrics.kept_rows import KeptRows
from lit_humor.metrics.task_metrics import TaskMetrics


class GenerationMetrics(TaskMetrics):
    """All metrics of one stage, updated batch by batch.

    Args:
        slice_values: Names of slice columns with their values, e.g. ``{"language": ["en", "es"]}``.
        decode: Given token ids [B, *], returns B texts without special tokens and what follows the end.
        synced: Whether ``compute`` adds up the rows of all processes, which then all have to call it.
    """

    def __init__(
        self,
        slice_values: Mapping[str, Sequence[str]],
        decode: Callable[[Tensor], list[str]],
        *,
        synced: bool = True,
    ) -> None:
        super().__init__()
        self.slice_values = {name: list(values) for name, values in slice_values.items()}
        self.decode = decode
        self.kept = KeptRows({"nll": torch.float32, "rows": torch.int64}, sync_on_compute=synced)
        self.ngrams = NgramCounts(sync_on_compute=synced)

    def update(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor], counts: Tensor) -> None:
        """Add a batch.

        Args:
            outputs: Where the batch has answers, ``nll`` [B] float32, the sum over the tokens of the answer in nats,
                and ``answer_tokens`` [B] int64, their number, the end of the text included; where texts were
                generated, ``generated_ids`` [B, U] int64.
            batch: ``prompt_ids`` or ``input_ids`` [B, P] and, with answers, ``answer_ids`` [B, U] int64; ``slices``
                [B, S] int64 codes, -1 where unknown.
            counts: [B] bool, False for padding rows, which are left out.
        """
        slices = batch["slices"][counts]
        if len(slices) == 0:
            return
        has_nll = "nll" in outputs
        nll = outputs["nll"][counts] if has_nll else torch.zeros(len(slices), device=slices.device)
        tokens = outputs["answer_tokens"][counts].tolist() if has_nll else [0] * len(slices)
        none: list[str | None] = [None] * len(slices)
        prompts, answers, texts = [""] * len(slices), none, none
        if "generated_ids" in outputs:
            prompts = self.decode(batch["prompt_ids" if "prompt_ids" in batch else "input_ids"][counts])
            texts = [*self.decode(outputs["generated_ids"][counts])]
            answers = [*self.decode(batch["answer_ids"][counts])] if "answer_ids" in batch else none
            self.ngrams.update(answers, texts)
        rows = [row_of(*columns) for columns in zip(prompts, answers, texts, tokens, strict=True)]
        self.kept.update(nll=nll, rows=torch.cat([torch.tensor(rows, device=slices.device), slices], dim=1))

    def compute(self) -> dict[str, Any]:
        """Every number over the rows of all processes.

        Returns:
            The numbers of ``measure_texts``; and ``slices`` by column and value: ``rows``, ``perplexity`` and, where
            texts were generated, ``exact_match`` and ``token_f1``.
        """
        gathered, width = self.kept.gathered(), len(TextRow._fields)
        table = gathered["rows"].reshape(-1, width + len(self.slice_values)).tolist()
        rows, nll = [TextRow(*numbers[:width]) for numbers in table], gathered["nll"].tolist()
        slices: dict[str, dict[str, Any]] = {}
        for column, (name, values) in enumerate(self.slice_values.items(), start=width):
            members: list[list[int]] = [[] for _ in values]
            for index, numbers in enumerate(table):
                if numbers[column] >= 0:
                    members[numbers[column]].append(index)
            slices[name] = {
                value: _numbers_of_slice([rows[index] for index in indices], [nll[index] for index in indices])
                for value, indices in zip(values, members, strict=True)
                if indices
            }
        return {**numbers_of(rows, nll, self.ngrams.compute().tolist()), "slices": slices}

    def reset(self) -> None:
        """Forget all rows."""
        self.kept.reset()
        self.ngrams.reset()


def _numbers_of_slice(rows: Sequence[TextRow], nll: Sequence[float]) -> dict[str, Any]:
    compared = [row for row in rows if row.is_compared]
    scores = {"exact_match": share_exact(compared), "token_f1": mean_f1(compared)} if compared else {}
    return {"rows": len(rows), "perplexity": perplexity_of(rows, nll), **scores}


class NgramCounts(Metric):
    """Sums over rows of ``ngrams.counts_of``.

    Args:
        options: Of torchmetrics' ``Metric``.
    """

    full_state_update = False
    counts: Tensor  # [NUM_COUNTS] int64

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("counts", default=torch.zeros(ngrams.NUM_COUNTS, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, answers: Sequence[str | None], texts: Sequence[str | None]) -> None:
        """Add rows; those without an answer or a text are left out."""
        rows = [
            ngrams.counts_of(answer, text)
            for answer, text in zip(answers, texts, strict=True)
            if answer is not None and text is not None
        ]
        if rows:
            self.counts += torch.tensor(rows, device=self.counts.device).sum(dim=0)

    def compute(self) -> Tensor:
        """[NUM_COUNTS] int64."""
        return self.counts
