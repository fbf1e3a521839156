"""Smaller chunks when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from lit_humor.core.batch import Batch, chunks, row_tokens
from lit_humor.core.errors import UserError
from lit_humor.objectives.objective import Objective, Outcome


def halve_chunks(
    batches: Sequence[Batch],
    max_tokens: int | None,
    *,
    can_halve: bool = True,
    announce: Callable[[str], object] = lambda line: None,
) -> int:
    """Return half the tokens of the largest chunk of some batches, as the new ``max_tokens``.

    Args:
        batches: Micro-batches that did not fit into memory.
        max_tokens: Most tokens of a chunk so far; None if every batch was one chunk.
        can_halve: Whether the size of chunks may change; not if other processes must have as many chunks.
        announce: Called with a message for the user.

    Raises:
        UserError: The chunks cannot be smaller: the largest has one row, or ``can_halve`` is False.
    """
    sizes = [(len(chunk["row_weights"]), row_tokens(chunk)) for batch in batches for chunk in chunks(batch, max_tokens)]
    fewer = max(rows * width for rows, width in sizes) // 2
    is_a_row_less = fewer >= max(width for _, width in sizes)
    if not (is_a_row_less and can_halve):
        width = max(width for _, width in sizes)
        smaller = f"set model.network.gradient_checkpointing=true, or set data.max_length={max(width // 2, 2)}"
        raise UserError(
            "memory",
            found=f"too little for a chunk of {2 * fewer} tokens",
            expected="a chunk that fits",
            fix=f"set trainer.max_tokens={fewer}" if is_a_row_less else smaller,
        )
    announce(f"Out of memory: continuing with smaller chunks, of {fewer} tokens; a step has as many rows as before.")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return fewer


def outcome_in_chunks(
    model: nn.Module,
    objective: Objective,
    batch: Batch,
    max_tokens: int | None,
    *,
    can_halve: bool,
    announce: Callable[[str], object],
) -> tuple[Outcome, int | None]:
    """Compute the outcome of an evaluation batch, in smaller chunks if memory runs out.

    Args:
        model: The network.
        objective: (model, batch) -> losses and outputs.
        batch: The batch.
        max_tokens: Most tokens of a chunk; None makes the batch one chunk.
        can_halve: Whether the size of chunks may change.
        announce: Called with a message for the user when memory runs out.

    Returns:
        The outcome of all rows, and the ``max_tokens`` that fitted.

    Raises:
        UserError: One row does not fit.
    """
    while True:
        try:
            return Outcome.joined([objective(model, chunk) for chunk in chunks(batch, max_tokens)]), max_tokens
        except torch.OutOfMemoryError:
            pass  # memory of the failed chunk is freed only after this block
        max_tokens = halve_chunks([batch], max_tokens, can_halve=can_halve, announce=announce)


def smaller(first: int | None, second: int | None) -> int | None:
    """Return the smaller of two limits; None means no limit."""
    return min((bound for bound in (first, second) if bound is not None), default=None)
