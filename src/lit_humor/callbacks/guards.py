"""Detects trainings that went wrong: gradients that are not finite, models that collapsed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from lit_humor.core.errors import CollapsedError, NonFiniteStepError
from lit_humor.runs import record


class FiniteWeights(pl.Callback):
    """Saves the last finite weights as ``checkpoints/finite.ckpt`` if a gradient is not finite.

    Args:
        run_dir: The run folder.
    """

    def __init__(self, run_dir: str) -> None:
        self.path = Path(run_dir) / record.CHECKPOINTS / record.FINITE

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Save the weights before the step that was not taken."""
        if isinstance(exception, NonFiniteStepError):
            trainer.save_checkpoint(self.path)


class CollapseGuard(pl.Callback):
    """Detects a model that gives the same answer to every text, with the loss of a constant answer, after the warm-up.

    This happens to large pretrained encoders now and then; they rarely recover.
    Source: Mosbach et al. 2021, On the Stability of Fine-tuning BERT.

    Args:
        patience: Number of such validations in a row until the guard acts.
        recover: Whether to restart the training once, at half the learning rate; otherwise it only warns.
    """

    def __init__(self, patience: int = 2, recover: bool = False) -> None:
        self.patience, self.recover = patience, recover
        self.checks = 0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the last validation; all processes see the same numbers.

        Raises:
            CollapsedError: The model has collapsed, and ``recover`` is set.
        """
        warmup: int = getattr(pl_module, "num_warmup_steps", 0)
        if trainer.sanity_checking or trainer.global_step < warmup:
            return
        results: Any = pl_module.results["val"]  # type: ignore[index]
        tasks: Any = pl_module.tasks
        collapsed = [task for task in tasks.values() if task.is_collapsed(results, pl_module.objective)]
        self.checks = self.checks + 1 if collapsed else 0
        if self.checks != self.patience:
            return
        problem = f"{collapsed[0].constant_answer} in {self.checks} validations, with the loss of a constant answer"
        if self.recover:
            raise CollapsedError(problem)
        if trainer.is_global_zero:
            trainer.progress_bar_callback.print(  # type: ignore[union-attr]
                f"The model has collapsed: {problem}. Lower optim.learning_rate, try another seed, or set recover=true."
            )

    def state_dict(self) -> dict[str, int]:
        """The number of such validations in a row."""
        return {"checks": self.checks}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Continue to count from a checkpoint."""
        self.checks = state_dict["checks"]
