"""Gradients of losses whose rows need one another, chunk by chunk.

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
    """Row losses of the chunks of a micro-batch that is a process's whole part of an optimizer step.

    The first pass, made here, computes without gradients what rows share, gathers it over all processes, and computes
    the gradient of the losses of all rows of the step with regard to it. The second pass, one call of ``row_losses``
    for each chunk, computes the chunk's part again, with gradients and from the same random state, and adds
    ``shared * gradient`` to its losses: the gradients of all chunks add up to those of the whole, in the memory of one.

    Source: Gao et al. 2021, Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup (GradCache).
    Price: a forward pass more.

    Args:
        model: Tensors in, named tensors out.
        objective: Has ``shared`` and ``coupled``.
        batch: The micro-batch.
        chunks: Its parts, in order.
        world_size: Processes, each with a part of the step.
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
        own = torch.cat(parts)
        counts = batch["row_weights"] > 0
        values, offset = _gather(own[counts], world_size)
        values.requires_grad_()
        places = (offset + counts.cumsum(0) - 1).clamp(min=0)
        with torch.enable_grad(), autocast():
            losses = objective.coupled(Shared(values, places), batch)  # type: ignore[arg-type]
            total = (torch.stack(tuple(losses.values())).sum(dim=0) * batch["row_weights"]).sum()
        (gradient,) = torch.autograd.grad(total, values)
        if world_size > 1:  # the rows of others look at these, too
            torch.distributed.all_reduce(gradient)
        of_own = torch.zeros_like(own)
        of_own[counts] = gradient[offset : offset + int(counts.sum())]
        sizes = [len(chunk["row_weights"]) for chunk in chunks]
        self._gradients = of_own.split(sizes)
        self._shared = [Shared(values.detach(), part) for part in places.split(sizes)]

    def row_losses(self, index: int) -> Tensor:
        """Return the losses [B] of a chunk, 0 for padding rows; their gradient is the chunk's part of the step's."""
        chunk, gradient = self.chunks[index], self._gradients[index]
        _set_random_state(self._states[index], gradient.device)
        own = _shared(self.objective, self.model, chunk)
        losses = self.objective(self.model, chunk, self._shared[index]).total * chunk["row_weights"]
        return losses + ((own - own.detach()) * gradient).flatten(1).sum(dim=1)  # adds a gradient, and zero


def check_accumulation(objective: Objective, accumulation: int) -> None:
    """Refuse micro-batches that would not see one another.

    Raises:
        UserError: Rows of a step need one another, and a step has several micro-batches.
    """
    if objective.couples_rows and accumulation > 1:
        raise UserError(
            "trainer.accumulation",
            found=str(accumulation),
            expected=f"1: rows of a step need one another under {type(objective).__name__}",
            fix="set trainer.accumulation=1; trainer.max_tokens cuts a step that does not fit into memory",
        )


def _shared(objective: Objective, model: nn.Module, batch: Batch) -> Tensor:
    values = objective.shared(model, batch)  # type: ignore[arg-type]
    assert values is not None, "an objective whose rows need one another"
    return values


def _gather(own: Tensor, world_size: int) -> tuple[Tensor, int]:
    """Rows [N, ...] of all processes, in their order, and how many come before the own ones; without gradients."""
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
    """Of the generators that a forward pass draws from."""
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
