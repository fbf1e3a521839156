"""What is done where memory runs out."""

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
    """Half the tokens of the largest chunk that these batches were cut into.

    Args:
        batches: Micro-batches that did not fit.
        max_tokens: Tokens of a chunk at most so far; None passed every batch whole.
        can_halve: Whether this process may take other chunks than planned.
        announce: Called with a line that says so.

    Raises:
        UserError: A chunk of one row would not be smaller.
    """
    sizes = [(len(chunk["row_weights"]), row_tokens(chunk)) for batch in batches for chunk in chunks(batch, max_tokens)]
    fewer = max(rows * width for rows, width in sizes) // 2
    is_a_row_less = fewer >= max(width for _, width in sizes)
    if not (is_a_row_less and can_halve):
        width = max(width for _, width in sizes)
        smaller = f"set model.network.gradient_checkpointing=true, or set data.max_length={max(width // 2, 2)}"
        raise UserError(
            "memory",
            found=f"too little for a pass of {2 * fewer} tokens",
            expected="a pass that fits",
            fix=f"set trainer.max_tokens={fewer}" if is_a_row_less else smaller,
        )
    announce(f"Out of memory: going on in smaller passes, of {fewer} tokens; a step has as many rows as before.")
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
    """What an objective says of a batch without gradients, in one chunk, or in smaller ones where memory runs out.

    Args:
        model: Tensors in, named tensors out.
        objective: (model, batch) -> losses and outputs.
        batch: Of an evaluation.
        max_tokens: Tokens of a chunk at most; None takes the batch whole.
        can_halve: Whether this process may take other chunks than planned.
        announce: Called with a line where memory runs out.

    Returns:
        The outcome of all rows, and the tokens of a chunk that fitted.

    Raises:
        UserError: One row does not fit.
    """
    while True:
        try:
            return Outcome.joined([objective(model, chunk) for chunk in chunks(batch, max_tokens)]), max_tokens
        except torch.OutOfMemoryError:
            pass  # what failed is freed only behind this block
        max_tokens = halve_chunks([batch], max_tokens, can_halve=can_halve, announce=announce)


def smaller(first: int | None, second: int | None) -> int | None:
    """The smaller of two bounds, of which None bounds nothing."""
    return min((bound for bound in (first, second) if bound is not None), default=None)
