"""What is done where memory runs out."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lit_humor.core.batch import Batch, passes
from lit_humor.core.errors import UserError
from lit_humor.runs import screen


def halve_passes(batches: Sequence[Batch], max_tokens: int | None, *, can_halve: bool = True) -> int:
    """Half the tokens of the largest pass that these batches were cut into; says so.

    Args:
        batches: Micro-batches that did not fit.
        max_tokens: Tokens of a pass at most so far; None passed every batch whole.
        can_halve: Whether this process may pass others than planned.

    Raises:
        UserError: A pass of one row would not be smaller.
    """
    sizes = [part["input_ids"].shape for batch in batches for part in passes(batch, max_tokens)]
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
    screen.show(f"Out of memory: going on in smaller passes, of {fewer} tokens; a step has as many rows as before.")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return fewer
