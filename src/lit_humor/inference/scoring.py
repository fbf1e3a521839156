"""Scores texts with a trained run. Legend: N texts, K numbers of a text."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lit_humor.config.saved import SavedRun, open_run
from lit_humor.core.precision import PRECISIONS
from lit_humor.data.batches.batching import Collator, GlobalBatchSampler
from lit_humor.data.examples import Examples
from lit_humor.data.preparing.preparation import Preparation
from lit_humor.data.settings import DataSettings
from lit_humor.engine import factory
from lit_humor.engine.machine import look_at_machine
from lit_humor.inference.loading import load_learner
from lit_humor.learning.learner import Learner
from lit_humor.tasks.answers import answers_of, only_exported
from lit_humor.tasks.task import Task


@dataclass(frozen=True)
class Scorer:
    """Scores texts as evaluation does: sorted by length, longest first, without gradients.

    Attributes:
        learner: The learner in evaluation mode, on ``device``.
        preparation: Makes inputs of the model from texts.
        tokenizer: Tokenizer of the run.
        max_length: Most tokens of a text.
        batch_size: Rows of a batch.
        with_token_types: Whether the model has token types.
        device: A GPU if there is one.
        dtype: Type of matrix products.
        calibration: Temperature and threshold that were fitted on validation; empty if the run has none.
        folder: The run folder.
    """

    learner: Learner
    preparation: Preparation
    tokenizer: Any
    max_length: int
    batch_size: int
    with_token_types: bool
    device: torch.device
    dtype: torch.dtype
    calibration: Mapping[str, float]
    folder: Path

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks of the run by name."""
        return self.learner.tasks

    def score(self, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> np.ndarray:
        """Return [N, K] float64, the numbers behind the answers of a run with one task.

        Args:
            texts: Texts that are not blank.
            text_pairs: Second texts, for a model that was trained on pairs.

        Raises:
            UserError: The run has several tasks, or one without such numbers.
        """
        task = only_exported(self.tasks.values(), f"run={self.folder}", "take answer() instead")
        return task.numbers(self.outputs(texts, text_pairs), self.calibration)

    def answer(
        self,
        texts: Sequence[str],
        text_pairs: Sequence[str] | None = None,
        on_batch: Callable[[int], None] | None = None,
        thresholds: Mapping[str, float | None] | None = None,
    ) -> dict[str, dict[str, list[Any]]]:
        """Return the answers of each task by its name; see ``Task.answers``, and ``outputs`` for the arguments."""
        return answers_of(self.tasks, self.outputs(texts, text_pairs, on_batch), self.calibration, thresholds or {})

    def outputs(
        self,
        texts: Sequence[str],
        text_pairs: Sequence[str] | None = None,
        on_batch: Callable[[int], None] | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the outputs of the objective, in the order of the texts; the first dimension is N.

        Args:
            texts: Texts that are not blank.
            text_pairs: Second texts, for a model that was trained on pairs.
            on_batch: Called with the number of rows of each finished batch.
        """
        return self.outputs_of(Examples.unlabelled(texts, text_pairs), on_batch)

    def outputs_of(
        self, examples: Examples, on_batch: Callable[[int], None] | None = None, *, answered: bool = True
    ) -> dict[str, np.ndarray]:
        """Return the outputs for rows that may have answers; see ``outputs``.

        Args:
            examples: N rows.
            on_batch: Called with the number of rows of each finished batch.
            answered: Whether tasks add what costs more, such as written texts.
        """
        prepared, count = self.preparation.prepare(examples, None), len(examples)
        collator = Collator(prepared, examples.labels, np.zeros((count, 0), dtype=np.int64))
        size = self.batch_size
        sampler = GlobalBatchSampler(prepared.lengths, global_batch_size=size, micro_batch_size=size, seed=None)
        parts, order = [], []
        with torch.inference_mode(), self._autocast():
            for rows in sampler:
                batch: Any = {name: value.to(self.device) for name, value in collator(rows).items()}  # type: ignore[attr-defined]
                outputs = (self.learner.answered(batch, None) if answered else self.learner.outcome(batch)).outputs
                parts.append({name: value.double().cpu().numpy() for name, value in outputs.items()})
                order.append(rows)
                if on_batch:
                    on_batch(len(rows))
        places = np.concatenate(order).argsort()
        return {name: np.concatenate([part[name] for part in parts])[places] for name in parts[0]}

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)


def load_scorer(run: str | SavedRun, checkpoint: str | None = None) -> Scorer:
    """Load a run to score texts with; needs neither its data nor the hub.

    Args:
        run: The run, or its folder or name.
        checkpoint: Checkpoint file; None takes the best of the run.

    Raises:
        UserError: There is no such run or checkpoint.
    """
    saved = open_run(run)
    learner, pretrained = load_learner(saved, checkpoint), factory.open_pretrained(saved.config, saved.backbone)
    settings = replace(DataSettings.of(saved.config.data), padding="longest", pad_to_multiple_of=1)
    preparation = factory.build_preparation(saved.config, pretrained, settings)
    machine = look_at_machine()
    device = torch.device("cuda" if machine.gpu_names else "cpu")
    native = machine.gpu_bf16 if machine.gpu_names else machine.cpu_bf16 is not None
    is_bf16 = PRECISIONS[saved.plan["precision"]].computes_in == "bfloat16"
    return Scorer(
        learner=learner.to(device),
        preparation=preparation,
        tokenizer=pretrained.tokenizer,
        max_length=saved.config.data.max_length,
        batch_size=saved.config.data.eval_batch_size,
        with_token_types=getattr(preparation, "with_token_types", False),
        device=device,
        dtype=torch.bfloat16 if is_bf16 and native else torch.float32,
        calibration=saved.calibration,
        folder=saved.folder,
    )
