"""Computes gradients of losses that depend on several rows at once (contrastive losses), chunk by chunk.

Legend: B rows of a chunk or micro-batch, N rows of an optimizer step over all processes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lit_humor.core.batch import Batch
from lit_humor.core.errors import UserError
from lit_humor.objectives.objective import Objective, Shared


class CoupledLosses:
    """Row losses of the chunks of a micro-batch, which contains all rows that this process has in the optimizer step.

    The constructor makes a first forward pass: it computes the vectors that rows share, without gradients, gathers them
    from all processes, and computes the gradient of the losses of all rows with respect to them. The second pass is
    one call of ``row_losses`` for each chunk: it computes the chunk's vectors again, with gradients and from the same
    random state, and adds ``shared * gradient`` to the losses. The sum of the chunks' gradients is the gradient of the
    whole step, in the memory of one chunk.

    Source: Gao et al. 2021, Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup (GradCache).
    Cost: one more forward pass.
    Alternatives: a step that fits into memory as one chunk in one process needs no second pass.

    Args:
        model: The network.
        objective: An objective with ``shared`` and ``coupled``.
        batch: The micro-batch.
        chunks: Its chunks, in order.
        world_size: Number of processes, which each have a part of the step.
        autocast: Context of a forward pass.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        batch: Batch,
        chunks: Sequence[Batch],
        world_size: int = 1,
        autocast: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
    ) -> None:
        self.model, self.objective, self.chunks = model, objective, chunks
        self._states = []
        parts = []
        device = batch["row_weights"].device
        for chunk in chunks:
            self._states.append(_random_state(device))
            with torch.no_grad(), autocast():
                parts.append(_shared(objective, model, chunk))
        own = torch.cat(parts)  # the vectors of this process's rows
        counts = batch["row_weights"] > 0
        values, offset = _gather(own[counts], world_size)
        values.requires_grad_()
        places = (offset + counts.cumsum(0) - 1).clamp(min=0)
        marks = objective.marks(batch)  # type: ignore[arg-type]
        marks = None if marks is None else _gather(marks[counts], world_size)[0]
        with torch.enable_grad(), autocast():
            losses = objective.coupled(Shared(values, places, marks), batch)  # type: ignore[arg-type]
            total = (torch.stack(tuple(losses.values())).sum(dim=0) * batch["row_weights"]).sum()
        (gradient,) = torch.autograd.grad(total, values)
        if world_size > 1:  # losses of rows in other processes depend on them, too
            torch.distributed.all_reduce(gradient)
        of_own = torch.zeros_like(own)
        of_own[counts] = gradient[offset : offset + int(counts.sum())]
        sizes = [len(chunk["row_weights"]) for chunk in chunks]
        self._gradients = of_own.split(sizes)
        self._shared = [Shared(values.detach(), part, marks) for part in places.split(sizes)]

    def row_losses(self, index: int) -> Tensor:
        """Return the losses [B] of a chunk, 0 for padding rows; their gradient is the chunk's part of the step's."""
        chunk, gradient = self.chunks[index], self._gradients[index]
        _set_random_state(self._states[index], gradient.device)
        own = _shared(self.objective, self.model, chunk)
        losses = self.objective(self.model, chunk, self._shared[index]).total * chunk["row_weights"]
        return losses + ((own - own.detach()) * gradient).flatten(1).sum(
            dim=1
        )  # adds 0 to the values, and a term to the gradient


def check_accumulation(objective: Objective, accumulation: int) -> None:
    """Check that a step has one micro-batch if its losses depend on several rows at once.

    Raises:
        UserError: The objective couples rows, and a step has several micro-batches.
    """
    if objective.couples_rows and accumulation > 1:
        raise UserError(
            "trainer.accumulation",
            found=str(accumulation),
            expected=f"1: {type(objective).__name__} compares all rows of a step with each other",
            fix="set trainer.accumulation=1; trainer.max_tokens cuts a step that is too large for memory into chunks",
        )


def _shared(objective: Objective, model: nn.Module, batch: Batch) -> Tensor:
    values = objective.shared(model, batch)  # type: ignore[arg-type]
    assert values is not None, "an objective that couples rows"
    return values


def _gather(own: Tensor, world_size: int) -> tuple[Tensor, int]:
    """Return [N, ...] of all processes, without gradients, and the number of rows before this process's own."""
    if world_size == 1:
        return own.clone(), 0
    sizes = [torch.zeros(1, dtype=torch.int64, device=own.device) for _ in range(world_size)]
    torch.distributed.all_gather(sizes, torch.tensor([len(own)], device=own.device))
    lengths = [int(size) for size in sizes]
    padded = own.new_zeros(max(lengths), *own.shape[1:])
    padded[: len(own)] = own
    parts = [torch.empty_like(padded) for _ in range(world_size)]
    torch.distributed.all_gather(parts, padded)
    values = torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])
    return values, sum(lengths[: torch.distributed.get_rank()])


def _random_state(device: torch.device) -> list[Tensor]:
    """Return the states of the random generators of a forward pass."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    elif device.type == "mps":
        states.append(torch.mps.get_rng_state())
    return states


def _set_random_state(states: Sequence[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states[1])
