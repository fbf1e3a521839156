"""How an optimizer step is made: of passes that fit into memory, and never of a gradient that is not finite."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from lit_humor.core.batch import TRAIN, Batch, passes
from lit_humor.core.errors import NonFiniteStepError
from lit_humor.learning.finite import FiniteGuard, NonFiniteRowsError
from lit_humor.learning.memory import halve_passes
from lit_humor.models.sharding import whole
from lit_humor.runs import record

_USUAL_RATE = 3e-5


class SteppingModule(pl.LightningModule):
    """The training half of a LightningModule.

    The gradient of an optimizer step is the sum of its rows' losses divided by ``window_size``, a constant: it does
    not matter over how many micro-batches, passes and processes the rows are spread, nor how unequal these are.

    Args:
        window_size: Rows of an optimizer step over all processes and micro-batches.
        max_tokens: Tokens of a training pass at most, padding included; None passes every micro-batch whole.
    """

    def __init__(self, window_size: int = 1, max_tokens: int | None = None) -> None:
        super().__init__()
        self.window_size, self.max_tokens = window_size, max_tokens
        # Sum of losses and rows since the last validation; a metric object would cost a host sync every step.
        # No buffer: DDP would overwrite it with that of the first process.
        self.train_totals = torch.zeros(2)
        self.last_loss = torch.tensor(float("nan"))
        self.guard = FiniteGuard()
        self._step_batches: list[Batch] = []  # micro-batches of the optimizer step that is being made
        self._totals_before_step = self.train_totals
        self._is_inner = False

    @property
    @abstractmethod
    def peak_rate(self) -> float:
        """Learning rate of the recipe."""

    @abstractmethod
    def row_losses(self, batch: Batch) -> Tensor:
        """[B] loss of each row, zero for fillers."""

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Return the loss such that Lightning's and DDP's own divisions leave sum / window_size.

        A micro-batch of more than ``max_tokens`` is passed in parts; Lightning sees the last of them, the others have
        added their gradients by then. DDP averages gradients after the last alone, as it does under accumulation.
        """
        if not self._step_batches:
            self._totals_before_step = self.train_totals
        self._step_batches.append(batch)
        try:
            return self._last_loss(batch)
        except torch.OutOfMemoryError:
            pass  # what failed is freed only behind this block
        return self._step_again()

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Run the backward pass; where memory runs out, take the whole step again in smaller passes."""
        try:
            return loss.backward(*args, **kwargs)
        except torch.OutOfMemoryError:
            if self._is_inner:
                raise
        del loss
        while True:
            try:
                return self._inner_backward(self._step_again() / self.trainer.accumulate_grad_batches)
            except torch.OutOfMemoryError:
                continue

    def _last_loss(self, batch: Batch) -> Tensor:
        """Pass a micro-batch in parts; run the backward pass of all but the last, and return the loss of that one."""
        *first, last = passes(batch, self.max_tokens)
        scale = self.trainer.world_size / self.window_size
        totals = batch["row_weights"].new_zeros(2)
        for part in first:
            self._inner_backward(self._summed_loss(part, totals) * scale)
        loss = self._summed_loss(last, totals)
        self.last_loss = totals[0] / totals[1].clamp(min=1)
        self.train_totals = self.train_totals.to(totals) + totals
        return loss * (scale * self.trainer.accumulate_grad_batches)

    def _inner_backward(self, loss: Tensor) -> None:
        """A backward pass that Lightning does not know of."""
        self._is_inner = True
        try:
            with torch.autocast(self.device.type, enabled=False):  # Lightning's own is outside, too
                self.trainer.strategy.backward(loss, None)
        finally:
            self._is_inner = False

    def _step_again(self) -> Tensor:
        """Take the step anew in passes of half the tokens, up to the loss of its last pass."""
        while True:
            for parameter in self.parameters():
                parameter.grad = None
            self.train_totals = self._totals_before_step
            is_alone = self.trainer.world_size == 1  # others would wait for passes that never come
            self.max_tokens = halve_passes(self._step_batches, self.max_tokens, can_halve=is_alone)
            try:
                for batch in self._step_batches[:-1]:
                    self._inner_backward(self._last_loss(batch) / self.trainer.accumulate_grad_batches)
                return self._last_loss(self._step_batches[-1])
            except torch.OutOfMemoryError:
                continue

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """Take the step, and drop the gradients at once: the next pass may add its own before Lightning would."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        optimizer.zero_grad()
        self._step_batches = []

    def optimizer_zero_grad(self, *args: Any) -> None:
        """Keep the gradients: Lightning asks for this after the first passes of a step."""

    def _summed_loss(self, batch: Batch, totals: Tensor) -> Tensor:
        """Sum of the losses of a pass; adds it, and the number of rows, to ``totals`` [2]."""
        loss = self.row_losses(batch).sum()
        totals += torch.stack((loss.detach(), batch["row_weights"].sum()))
        return loss * torch.where(loss.detach().isfinite(), 1.0, float("nan"))  # for the guard, on every process

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the global norm in one pass, and refuse one that is not finite; Lightning refuses fused optimizers."""
        norm = self.clip_gradients_to(gradient_clip_val)
        if self.trainer.precision != "16-mixed":  # where the gradient scaler leaves such steps out, as it should
            rows = torch.cat([batch["rows"] for batch in self._step_batches])
            place = f"epoch {self.current_epoch}, step {self.trainer.global_step}"
            self.guarded(lambda: self.guard.check(norm, optimizer, rows, place))

    def clip_gradients_to(self, most: float | None) -> Tensor:
        """Scale the whole gradient to a norm of at most ``most``; return the norm it had."""
        parameters = list(self.parameters())
        norm = whole(nn.utils.get_total_norm([one.grad for one in parameters if one.grad is not None]))
        if most:
            nn.utils.clip_grads_with_norm_(parameters, most, norm)
        return norm

    def guarded(self, check: Callable[[], None]) -> None:
        """Tell which rows a gradient came from that is not finite."""
        try:
            check()
        except NonFiniteRowsError as error:
            found: list[list[int]] = [error.rows.tolist()]
            if self.trainer.world_size > 1:
                found = [[] for _ in range(self.trainer.world_size)]
                torch.distributed.all_gather_object(found, error.rows.tolist())
            ids = self.trainer.datamodule.splits[TRAIN].ids  # type: ignore[attr-defined]
            told = ", ".join(str(ids[row]) for row in sorted(row for rows in found for row in rows))
            raise NonFiniteStepError(
                "train/loss",
                found=f"a gradient that is not finite in {error.place}, in a step of the rows {told}",
                expected="finite numbers in every step",
                fix=f"{self.way_to_finite()}; checkpoints/{record.FINITE} holds the weights before that step",
            ) from None

    def way_to_finite(self) -> str:
        """What to set where the numbers of a training do not stay finite."""
        rate = f"set optim.learning_rate={min(self.peak_rate / 2, _USUAL_RATE):g}"
        return rate if str(self.trainer.precision) == "32-true" else f"set trainer.precision=32-true, or {rate}"
