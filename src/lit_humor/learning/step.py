"""Computes the gradient of an optimizer step in chunks that fit into memory, and checks that it is finite."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lit_humor.core.batch import Batch, chunks
from lit_humor.learning.coupled import CoupledLosses
from lit_humor.learning.finite import FiniteGuard
from lit_humor.learning.memory import halve_chunks
from lit_humor.models.sharding import whole
from lit_humor.objectives.objective import Objective


class OptimizerStep:
    """Computes the gradient of an optimizer step: that of the sum of its rows' losses / ``global_batch_size``.

    The divisor is constant, so the gradient does not depend on how rows are divided into micro-batches, chunks and
    processes, equally or not. A step, with or without Lightning, is::

        for batch in micro_batches:
            step.backward(step.scale(step.loss(batch)))
        norm = step.clip(1.0)
        step.check_finite(norm, optimizer, "step 7")
        optimizer.step()
        step.close(optimizer)

    Args:
        model: The network.
        objective: (model, batch) -> losses and outputs.
        global_batch_size: Rows of an optimizer step over all processes and micro-batches.
        max_tokens: Most tokens of a chunk, with padding; None makes every micro-batch one chunk.
        announce: Called with a message for the user when memory runs out.

    Attributes:
        max_tokens: As given; halved each time memory ran out.
        totals: [2] sum of losses and number of rows since it was last set to 0. Not a metric, which would synchronize
            with the device in every step, and not a buffer, which DDP would overwrite with the first process's.
        last_loss: [] mean loss of the last micro-batch.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        global_batch_size: int = 1,
        max_tokens: int | None = None,
        announce: Callable[[str], object] = lambda line: None,
    ) -> None:
        self.model, self.objective = model, objective
        self.global_batch_size, self.max_tokens, self.announce = global_batch_size, max_tokens, announce
        self.totals, self.last_loss = torch.zeros(2), torch.tensor(float("nan"))
        self.guard = FiniteGuard()
        self._batches: list[Batch] = []  # micro-batches of the current step
        self._totals_before = self.totals
        self.connect()

    def connect(
        self,
        world_size: int = 1,
        scale: Callable[[Tensor], Tensor] = lambda loss: loss,
        autocast: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
    ) -> None:
        """Set processes, gradient scaler and precision.

        Args:
            world_size: Number of processes; DDP averages the gradients over them.
            scale: Method of a gradient scaler; the loss given to ``backward`` must be scaled already.
            autocast: Context of a forward pass.
        """
        self.world_size, self.scale, self.autocast = world_size, scale, autocast

    def load_totals(self, totals: Tensor | None, rank: int, world_size: int) -> None:
        """Restore ``totals`` of P processes, [P, 2]; if there are not P processes now, the first one gets the sum."""
        if totals is not None and len(totals) == world_size:
            self.totals = totals[rank]
        elif totals is not None and rank == 0:
            self.totals = totals.sum(dim=0)

    def loss(self, batch: Batch) -> Tensor:
        """Run the chunks of a micro-batch; return the loss of the last one, for ``backward``.

        The gradients of the other chunks have been added then. DDP averages gradients only after the last chunk.
        """
        if not self._batches:
            self._totals_before = self.totals
        self._batches.append(batch)
        try:
            return self._loss(batch)
        except torch.OutOfMemoryError:
            pass  # memory of the failed chunk is freed only after this block
        return self._loss_again()

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a loss; if memory runs out, compute the whole step again in smaller chunks."""
        try:
            return loss.backward()
        except torch.OutOfMemoryError:
            pass
        del loss
        while True:
            try:
                return self._add_gradient(self._loss_again())
            except torch.OutOfMemoryError:
                continue

    def clip(self, most: float | None) -> Tensor:
        """Scale the gradient so that its norm is at most ``most`` (0 or None: no limit); return the norm before."""
        parameters = self._parameters()
        norm = whole(
            nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        )
        if most:
            nn.utils.clip_grads_with_norm_(parameters, most, norm)
        return norm

    def check_finite(self, norm: Tensor, optimizer: torch.optim.Optimizer, place: str) -> None:
        """Check that the norm of the gradient is finite.

        Raises:
            NonFiniteRowsError: It is not, in this step or the one before; see ``FiniteGuard``.
        """
        self.guard.check(norm, optimizer, torch.cat([batch["rows"] for batch in self._batches]), place)

    def close(self, optimizer: torch.optim.Optimizer) -> None:
        """Drop the gradients after the optimizer step, since the next chunk adds its own."""
        optimizer.zero_grad()
        self._batches = []

    def row_losses(self, batch: Batch) -> Tensor:
        """Return the losses [B] of the objective, 0 for padding rows."""
        return self.objective(self.model, batch).total * batch["row_weights"]

    def _loss(self, batch: Batch) -> Tensor:
        """Run forward and backward passes of all chunks but the last; return the loss of the last chunk."""
        *first, last = self._row_losses(batch)
        totals = batch["row_weights"].new_zeros(2)
        for chunk, row_losses in first:
            self._add_gradient(self._chunk_loss(chunk, row_losses, totals))
        loss = self._chunk_loss(*last, totals)
        self.last_loss = totals[0] / totals[1].clamp(min=1)
        self.totals = self.totals.to(totals) + totals
        return loss

    def _row_losses(self, batch: Batch) -> list[tuple[Batch, Callable[[], Tensor]]]:
        """Return the chunks of a micro-batch, each with a function that computes its row losses."""
        parts = chunks(batch, self.max_tokens)
        if not self.objective.couples_rows or (len(parts) == self.world_size == 1):
            return [(part, functools.partial(self.row_losses, part)) for part in parts]
        coupled = CoupledLosses(self.model, self.objective, batch, parts, self.world_size, self.autocast)
        return [(part, functools.partial(coupled.row_losses, index)) for index, part in enumerate(parts)]

    def _chunk_loss(self, chunk: Batch, row_losses: Callable[[], Tensor], totals: Tensor) -> Tensor:
        """Return the sum of a chunk's row losses / ``global_batch_size``.

        ``totals`` [2] is increased in place by the sum of the losses and the number of rows.
        """
        with self.autocast():
            loss = row_losses().sum()
        totals += torch.stack((loss.detach(), chunk["row_weights"].sum()))
        loss = loss * torch.where(loss.detach().isfinite(), 1.0, float("nan"))  # NaN reaches the guard of every process
        return loss * (self.world_size / self.global_batch_size)

    def _add_gradient(self, loss: Tensor) -> None:
        with torch.autocast(loss.device.type, enabled=False):  # Lightning's autocast is around training_step
            self.scale(loss).backward()

    def _loss_again(self) -> Tensor:
        """Compute the step again in chunks of half the tokens; return the loss of its last chunk."""
        while True:
            for parameter in self._parameters():
                parameter.grad = None
            self.totals = self._totals_before
            is_alone = self.world_size == 1  # other processes would wait for chunks that never come
            self.max_tokens = halve_chunks(self._batches, self.max_tokens, can_halve=is_alone, announce=self.announce)
            try:
                for batch in self._batches[:-1]:
                    self._add_gradient(self._loss(batch))
                return self._loss(self._batches[-1])
            except torch.OutOfMemoryError:
                continue

    def _parameters(self) -> list[nn.Parameter]:
        return [*self.model.parameters(), *self.objective.parameters()]
