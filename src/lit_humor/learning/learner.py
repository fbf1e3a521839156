"""The LightningModule, which joins a network, an objective, an optimizer and the tasks that measure it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from lit_humor.core.batch import TRAIN, Batch
from lit_humor.learning.coupled import check_accumulation
from lit_humor.learning.finite import check_mean_loss, rows_named, scaler_of, way_to_finite
from lit_humor.learning.measuring import StageMetrics
from lit_humor.learning.memory import outcome_in_chunks, smaller
from lit_humor.learning.step import OptimizerStep
from lit_humor.models.network import Network
from lit_humor.models.sharding import shard
from lit_humor.objectives.objective import Objective, Outcome
from lit_humor.optim.groups import LayerwiseAdamW
from lit_humor.optim.schedules import num_schedule_steps
from lit_humor.tasks.task import Task, join_results


class Learner(pl.LightningModule):
    """Trains and evaluates a network with an objective; ``OptimizerStep`` computes the gradient of a step.

    Args:
        model: The network: a batch in, named tensors out.
        objective: (model, batch) -> losses and outputs.
        tasks: The tasks by name; each computes its own metrics on validation and test.
        optimizer: Makes the parameter groups, the optimizer and its schedule; None only for evaluation.
        global_batch_size: Rows of an optimizer step over all processes and micro-batches.
        schedule_epochs: Epochs until the learning rate is 0 again, at most those of the Trainer; None takes those.
        max_tokens: Most tokens of a training chunk, with padding; None makes every micro-batch one chunk.
        slice_values: Names of slice columns with their values; metrics are also computed for each value.
        announce: Called with a message for the user when memory runs out.
    """

    metrics: Mapping[str, StageMetrics]

    def __init__(
        self,
        model: Network,
        objective: Objective,
        tasks: Mapping[str, Task],
        optimizer: LayerwiseAdamW | None = None,
        global_batch_size: int = 1,
        schedule_epochs: int | None = None,
        max_tokens: int | None = None,
        slice_values: Mapping[str, Sequence[str]] | None = None,
        announce: Callable[[str], object] = lambda line: None,
    ) -> None:
        super().__init__()
        self.model, self.objective, self.tasks = model, objective, dict(tasks)
        metrics = {stage: StageMetrics(tasks, slice_values or {}) for stage in ("val", "test")}
        self.metrics = nn.ModuleDict(metrics)  # type: ignore[assignment]
        self.step = OptimizerStep(model, objective, global_batch_size, max_tokens, announce)
        self.optimizer, self.schedule_epochs = optimizer, schedule_epochs
        self.num_warmup_steps = 0
        self.eval_max_tokens: int | None = None  # of a chunk in evaluation, after memory ran out
        self.results: dict[str, dict[str, Any]] = {}

    def on_fit_start(self) -> None:
        """Check that accumulation and objective fit together."""
        check_accumulation(self.objective, self.trainer.accumulate_grad_batches)

    def on_train_start(self) -> None:
        """Tell ``OptimizerStep`` about processes, gradient scaler and precision."""
        scaler = scaler_of(self.trainer)
        named = {} if scaler is None else {"scale": scaler.scale}
        self.step.connect(self.trainer.world_size, autocast=self.trainer.precision_plugin.forward_context, **named)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the sum of row losses / ``global_batch_size``: its gradient is this micro-batch's part of the step's.

        Lightning divides the loss by the number of micro-batches of a step; the factor undoes this.
        """
        return self.step.loss(batch) * self.trainer.accumulate_grad_batches

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Add the gradient of a loss to that of the step."""
        self.step.backward(loss)

    def configure_gradient_clipping(
        self, optimizer: torch.optim.Optimizer, gradient_clip_val: float | None = None, *args: Any, **kwargs: Any
    ) -> None:
        """Clip the global norm and check that it is finite; Lightning's own clipping refuses fused optimizers."""
        norm = self.step.clip(gradient_clip_val)
        if scaler_of(self.trainer) is None:  # a gradient scaler skips such steps itself
            with self.naming_rows():
                place = f"epoch {self.current_epoch}, step {self.trainer.global_step}"
                self.step.check_finite(norm, optimizer, place)

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """Take the step, then drop the gradients."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.step.close(optimizer)

    def optimizer_zero_grad(self, *args: Any) -> None:
        """Keep the gradients: Lightning calls this after the first chunks of a step; ``close`` drops them."""

    def naming_rows(self) -> AbstractContextManager[None]:
        """Return a context in which the error for a gradient that is not finite names its rows and a remedy."""
        ids = self.trainer.datamodule.splits[TRAIN].ids  # type: ignore[attr-defined]
        return rows_named(ids, self.trainer.world_size, self.way_to_finite())

    def way_to_finite(self) -> str:
        """Return the remedy for a training whose numbers do not stay finite."""
        assert self.optimizer is not None
        return way_to_finite(self.optimizer.learning_rate, str(self.trainer.precision))

    def validation_step(self, batch: Batch, batch_index: int) -> Outcome:  # type: ignore[override]
        """Score a validation batch with the training objective."""
        outcome = self.outcome(batch)
        self.metrics["val"].update(outcome, batch)
        return outcome

    def on_validation_epoch_end(self) -> None:
        """Compute and log the validation metrics and the mean training loss."""
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            self._finish_training_loss()
        self._finish("val")

    def test_step(self, batch: Batch, batch_index: int) -> Outcome:  # type: ignore[override]
        """Score a test batch with the training objective, and have the tasks answer."""
        outcome = self.answered(batch, getattr(self.trainer.datamodule, "test_split", "test"))  # type: ignore[attr-defined]
        self.metrics["test"].update(outcome, batch)
        return outcome

    def on_test_epoch_end(self) -> None:
        """Compute and log the metrics of the evaluated split, under its own name."""
        self._finish("test", split=getattr(self.trainer.datamodule, "test_split", "test"))  # type: ignore[attr-defined]

    def outcome(self, batch: Batch) -> Outcome:
        """Compute losses and outputs of an evaluation batch, in chunks if memory runs out.

        Raises:
            UserError: One row does not fit into memory.
        """
        can_halve = self.device_mesh is None  # under FSDP others would wait for chunks that never come
        outcome, self.eval_max_tokens = outcome_in_chunks(
            self.model, self.objective, batch, self.eval_max_tokens, can_halve=can_halve, announce=self.step.announce
        )
        return outcome

    def answered(self, batch: Batch, split: str | None) -> Outcome:
        """Return the outcome of a batch, with what tasks add to it; see ``Task.extra_outputs``."""
        outcome = self.outcome(batch)
        extra = [task.extra_outputs(self.model, batch, split) for task in self.tasks.values()]  # type: ignore[arg-type]
        return Outcome(outcome.losses, join_results([outcome.outputs, *extra]))

    def _finish(self, stage: str, split: str | None = None) -> None:
        results = self.results[stage] = self.metrics[stage].finish()
        # finish() has already gathered the rows of all processes: every rank logs the same numbers.
        self.log_dict(
            {f"{split or stage}/{name}": value for name, value in results.items() if isinstance(value, float)}
        )

    def _finish_training_loss(self) -> None:
        """Log the mean loss of the rows trained on since the last validation, over all processes."""
        with self.naming_rows():
            self.step.guard.settle()
        total, num_rows = self.trainer.strategy.reduce(self.step.totals.clone(), reduce_op="sum").tolist()
        self.step.totals.zero_()
        loss = total / num_rows
        check_mean_loss(loss, f"epoch {self.current_epoch}", self.way_to_finite())
        self.log("train/loss", loss)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the limits of chunks, and the sum of losses of an epoch that is not finished."""
        totals = self.trainer.strategy.all_gather(self.step.totals.to(self.device)).cpu().reshape(-1, 2)
        checkpoint["train_totals"] = totals  # of each process: another order of the sum changes the last digits
        checkpoint["max_tokens"], checkpoint["eval_max_tokens"] = self.step.max_tokens, self.eval_max_tokens

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore limits and sums, each process its own."""
        self.step.load_totals(checkpoint.get("train_totals"), self.trainer.global_rank, self.trainer.world_size)
        self.step.max_tokens = smaller(self.step.max_tokens, checkpoint.get("max_tokens"))
        self.eval_max_tokens = smaller(self.eval_max_tokens, checkpoint.get("eval_max_tokens"))

    def configure_model(self) -> None:
        """Shard the network over the devices under FSDP."""
        if self.device_mesh is not None:
            shard(self.model, self.device_mesh["data_parallel"])

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameter groups of the optimizer."""
        assert self.optimizer is not None, "a learner for evaluation has no optimizer"
        return self.optimizer.groups_of(self.model, self.objective)

    def configure_optimizers(self) -> Any:
        """Build the optimizer and a schedule that is stepped after every optimizer step."""
        assert self.optimizer is not None
        total, max_epochs = self.trainer.estimated_stepping_batches, self.trainer.max_epochs
        num_steps = num_schedule_steps(total, max_epochs, self.schedule_epochs)
        self.num_warmup_steps = self.optimizer.schedule.num_warmup_steps(num_steps)
        optimizer = self.optimizer.build(self.parameter_groups(), is_scaled=scaler_of(self.trainer) is not None)
        scheduler = self.optimizer.schedule.build(optimizer, num_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
