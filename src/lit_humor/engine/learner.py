"""The one LightningModule: joins a model, an objective, an optimizer and metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric

from lit_humor.core.batch import Batch, passes
from lit_humor.core.errors import UserError
from lit_humor.metrics.classification import ClassificationMetrics
from lit_humor.objectives.objective import Objective, Outcome
from lit_humor.optim.groups import LayerwiseAdamW


class Learner(pl.LightningModule):
    """Trains and evaluates a model under an objective.

    The gradient of an optimizer step is the sum of its rows' losses divided by ``window_size``, a constant: it does
    not matter over how many micro-batches and processes the rows are spread, nor how unequal these are.

    Args:
        model: Tensors in, named tensors out; has ``parameter_depths()``.
        objective: (model, batch) -> losses and outputs.
        metrics: Metrics of validation and of test; ``metrics[stage]``.
        optimizer: Makes the parameter groups, the optimizer and its schedule; None for evaluation only.
        window_size: Rows of an optimizer step over all processes and micro-batches.
        schedule_epochs: Epochs until the rate is back at zero; the trainer's epochs where these are fewer.
        max_tokens: Tokens of a training pass at most, padding included; None passes every micro-batch whole.
    """

    metrics: Mapping[str, ClassificationMetrics]
    mean_losses: Mapping[str, MeanMetric]

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        metrics: dict[str, ClassificationMetrics],
        optimizer: LayerwiseAdamW | None = None,
        window_size: int = 1,
        schedule_epochs: int | None = None,
        max_tokens: int | None = None,
    ) -> None:
        super().__init__()
        self.model, self.objective = model, objective
        self.metrics = nn.ModuleDict(metrics)  # type: ignore[assignment]
        self.mean_losses = nn.ModuleDict({stage: _mean_loss() for stage in metrics})  # type: ignore[assignment]
        # Sum of losses and rows since the last validation; a metric object would cost a host sync every step.
        # No buffer: DDP would overwrite it with that of the first process.
        self.train_totals = torch.zeros(2)
        self.optimizer, self.window_size, self.schedule_epochs = optimizer, window_size, schedule_epochs
        self.max_tokens = max_tokens
        self.num_warmup_steps = 0
        self.last_loss = torch.tensor(float("nan"))
        self.results: dict[str, dict[str, Any]] = {}

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the loss such that Lightning's and DDP's own divisions leave sum / window_size.

        A micro-batch of more than ``max_tokens`` is passed in parts; Lightning sees the last of them, the others have
        added their gradients by then. DDP averages gradients after the last alone, as it does under accumulation.
        """
        *first, last = passes(batch, self.max_tokens)
        scale = self.trainer.world_size / self.window_size
        totals = batch["row_weights"].new_zeros(2)
        for part in first:
            loss = self._training_loss(part, totals)
            with torch.autocast(self.device.type, enabled=False):  # Lightning's own backward pass is outside, too
                self.trainer.strategy.backward(loss * scale, None)
        loss = self._training_loss(last, totals)
        self.last_loss = totals[0] / totals[1].clamp(min=1)
        self.train_totals = self.train_totals.to(totals) + totals
        return loss * (scale * self.trainer.accumulate_grad_batches)

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """Take the step, and drop the gradients at once: the next pass may add its own before Lightning would."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        optimizer.zero_grad()

    def optimizer_zero_grad(self, *args: Any) -> None:
        """Keep the gradients: Lightning asks for this after the first passes of a step."""

    def validation_step(self, batch: Batch, batch_index: int) -> Outcome:  # type: ignore[override]
        """Score a validation batch with the training objective."""
        return self._evaluate("val", batch)

    def on_validation_epoch_end(self) -> None:
        """Compute and log the validation metrics and the mean training loss."""
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            self._finish_training_loss()
        self._finish("val")

    def test_step(self, batch: Batch, batch_index: int) -> Outcome:  # type: ignore[override]
        """Score a test batch with the training objective."""
        return self._evaluate("test", batch)

    def on_test_epoch_end(self) -> None:
        """Compute and log the metrics of the evaluated split, under its own name."""
        self._finish("test", split=getattr(self.trainer.datamodule, "test_split", "test"))  # type: ignore[attr-defined]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Run the model alone."""
        return self.model(batch)

    def _losses(self, batch: Batch) -> tuple[Outcome, Tensor]:
        """The objective's outcome and the loss of each row [B], zero for fillers."""
        outcome: Outcome = self.objective(self.model, batch)
        losses = torch.stack(tuple(outcome.losses.values())).sum(dim=0)
        return outcome, losses * batch["row_weights"]

    def _training_loss(self, batch: Batch, totals: Tensor) -> Tensor:
        """Sum of the losses of a pass; adds it, and the number of rows, to ``totals`` [2]."""
        _, losses = self._losses(batch)
        totals += torch.stack((losses.detach().sum(), batch["row_weights"].sum()))
        return losses.sum()

    def _evaluate(self, stage: str, batch: Batch) -> Outcome:
        outcome, losses = self._losses(batch)
        counts = batch["row_weights"] > 0
        self.metrics[stage].update(outcome.outputs["probabilities"], batch["labels"], counts, batch["slices"])
        if counts.any():
            self.mean_losses[stage].update(losses[counts])
        return outcome

    def _finish(self, stage: str, split: str | None = None) -> None:
        results = self.metrics[stage].compute()
        results["loss"] = self.mean_losses[stage].compute().item()
        self.results[stage] = results
        self.metrics[stage].reset()
        self.mean_losses[stage].reset()
        # compute() has already gathered the rows of all processes: every rank logs the same numbers.
        self.log_dict(
            {f"{split or stage}/{name}": value for name, value in results.items() if isinstance(value, float)}
        )

    def _finish_training_loss(self) -> None:
        """Log the mean loss of the rows trained on since the last validation, over all processes."""
        total, num_rows = self.trainer.strategy.reduce(self.train_totals.clone(), reduce_op="sum").tolist()
        self.train_totals.zero_()
        loss = total / num_rows
        if not math.isfinite(loss):
            raise UserError(
                "train/loss",
                found=f"{loss} in epoch {self.current_epoch}",
                expected="a finite number in every step",
                fix="lower optim.learning_rate, or set trainer.precision=32-true; last.ckpt holds the epoch before",
            )
        self.log("train/loss", loss)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups of the optimizer; parameters of the objective itself learn like the head."""
        assert self.optimizer is not None, "a learner for evaluation has no optimizer"
        depths: dict[str, int] = self.model.parameter_depths()  # type: ignore[operator]
        own = {f"objective.{name}": parameter for name, parameter in self.objective.named_parameters()}
        named = [*self.model.named_parameters(), *own.items()]
        return self.optimizer.groups(named, depths | dict.fromkeys(own, max(depths.values())))

    def configure_optimizers(self) -> Any:
        """Build the optimizer and a schedule that is stepped after every optimizer step."""
        assert self.optimizer is not None
        num_steps = self._num_schedule_steps()
        self.num_warmup_steps = self.optimizer.schedule.num_warmup_steps(num_steps)
        # A fused update cannot wait for fp16's gradient scaler to unscale first.
        optimizer = self.optimizer.build(self.parameter_groups(), fused=self.trainer.precision != "16-mixed")
        scheduler = self.optimizer.schedule.build(optimizer, num_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _num_schedule_steps(self) -> int:
        total = self.trainer.estimated_stepping_batches
        max_epochs = self.trainer.max_epochs or 1
        if not math.isfinite(total) or max_epochs < 0:
            raise UserError(
                "trainer.max_epochs",
                found=str(max_epochs),
                expected="a number above 0",
                fix="set trainer.max_epochs=10",
            )
        return max(1, round(total * min(self.schedule_epochs or max_epochs, max_epochs) / max_epochs))

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the global norm in one pass; Lightning's own clipping refuses fused optimizers."""
        if gradient_clip_val:
            nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)


def _mean_loss() -> MeanMetric:
    """A mean in which one value that is not a number shows; by default torchmetrics leaves such values out."""
    return MeanMetric(nan_strategy=float("inf"))
