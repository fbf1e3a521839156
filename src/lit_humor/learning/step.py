"""How an optimizer step is made: of chunks that fit into memory, and never of a gradient that is not finite."""

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
    """Makes the gradient of an optimizer step: the sum of its rows' losses divided by ``global_batch_size``.

    The divisor is a constant: it does not matter over how many micro-batches, chunks and processes the rows are spread,
    nor how unequal these are. With or without Lightning a step reads::

        for batch in micro_batches:
            step.backward(step.scale(step.loss(batch)))
        norm = step.clip(1.0)
        step.check_finite(norm, optimizer, "step 7")
        optimizer.step()
        step.close(optimizer)

    Args:
        model: Tensors in, named tensors out.
        objective: (model, batch) -> losses and outputs.
        global_batch_size: Rows of an optimizer step over all processes and micro-batches.
        max_tokens: Tokens of a chunk at most, padding included; None passes every micro-batch whole.
        announce: Called with a line where memory runs out.

    Attributes:
        max_tokens: As given, or half and half again where memory ran out.
        totals: [2] sum of losses and number of rows since somebody last set it to zero. A metric object would cost a
            host sync every step, and DDP would overwrite a buffer with that of the first process.
        last_loss: [] mean loss of the rows of the last micro-batch.
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
        self._batches: list[Batch] = []  # micro-batches of the step that is being made
        self._totals_before = self.totals
        self.connect()

    def connect(
        self,
        world_size: int = 1,
        scale: Callable[[Tensor], Tensor] = lambda loss: loss,
        autocast: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
    ) -> None:
        """Say where the step is made.

        Args:
            world_size: Processes, over which gradients are averaged afterwards.
            scale: Of a gradient scaler; what is given to ``backward`` is scaled already.
            autocast: Context of a forward pass.
        """
        self.world_size, self.scale, self.autocast = world_size, scale, autocast

    def load_totals(self, totals: Tensor | None, rank: int, world_size: int) -> None:
        """Go on with the sums that each process had [P, 2]; on another number of processes the first has all."""
        if totals is not None and len(totals) == world_size:
            self.totals = totals[rank]
        elif totals is not None and rank == 0:
            self.totals = totals.sum(dim=0)

    def loss(self, batch: Batch) -> Tensor:
        """Add a micro-batch; return the loss of its last chunk, for ``backward``.

        The other chunks have added their gradients by then. DDP averages gradients after the last alone, as it does
        under accumulation.
        """
        if not self._batches:
            self._totals_before = self.totals
        self._batches.append(batch)
        try:
            return self._loss(batch)
        except torch.OutOfMemoryError:
            pass  # what failed is freed only behind this block
        return self._loss_again()

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of a loss; where memory runs out, that of the whole step anew, in smaller chunks."""
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
        """Scale the whole gradient to a norm of at most ``most``, in one pass; return the norm it had."""
        parameters = self._parameters()
        norm = whole(nn.utils.get_total_norm([one.grad for one in parameters if one.grad is not None]))
        if most:
            nn.utils.clip_grads_with_norm_(parameters, most, norm)
        return norm

    def check_finite(self, norm: Tensor, optimizer: torch.optim.Optimizer, place: str) -> None:
        """Refuse a gradient whose norm is not finite.

        Raises:
            NonFiniteRowsError: It is this step's or the one's before; see ``FiniteGuard``.
        """
        self.guard.check(norm, optimizer, torch.cat([batch["rows"] for batch in self._batches]), place)

    def close(self, optimizer: torch.optim.Optimizer) -> None:
        """Drop the gradients once the optimizer has taken them: the next chunk adds its own at once."""
        optimizer.zero_grad()
        self._batches = []

    def row_losses(self, batch: Batch) -> Tensor:
        """[B] loss of each row under the objective, zero for padding rows."""
        return self.objective(self.model, batch).total * batch["row_weights"]

    def _loss(self, batch: Batch) -> Tensor:
        """Run the backward pass of all chunks but the last, and return the loss of that one."""
        *first, last = self._row_losses(batch)
        totals = batch["row_weights"].new_zeros(2)
        for chunk, row_losses in first:
            self._add_gradient(self._chunk_loss(chunk, row_losses, totals))
        loss = self._chunk_loss(*last, totals)
        self.last_loss = totals[0] / totals[1].clamp(min=1)
        self.totals = self.totals.to(totals) + totals
        return loss

    def _row_losses(self, batch: Batch) -> list[tuple[Batch, Callable[[], Tensor]]]:
        """The chunks of a micro-batch, each with what computes its row losses."""
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
        loss = loss * torch.where(loss.detach().isfinite(), 1.0, float("nan"))  # for the guard, on every process
        return loss * (self.world_size / self.global_batch_size)

    def _add_gradient(self, loss: Tensor) -> None:
        with torch.autocast(loss.device.type, enabled=False):  # Lightning's is around all of training_step
            self.scale(loss).backward()

    def _loss_again(self) -> Tensor:
        """Make the step anew of chunks of half the tokens, up to the loss of its last chunk."""
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
