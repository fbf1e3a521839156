"""Positions of the tokens of a prompt with one picture. Legend: B rows, T tokens."""

from __future__ import annotations

import torch
from torch import Tensor


def picture_positions(mask: Tensor, is_picture: Tensor, grid: Tensor) -> Tensor:
    """Return the position of each token in time, height and width.

    Tokens of a text count on in all three. Those of a picture share one time and stand at their place in the grid; what
    follows goes on behind the longer side of it. Computed for all rows at once, without a look at their values: those
    of transformers, ``Qwen3VLModel.get_rope_index``, wait for the device once a row.

    Source: Wang et al. 2024, Qwen2-VL, section 2.1 (multimodal rotary position embedding).

    Args:
        mask: [B, T] int64, 1 on tokens, 0 on padding at either end.
        is_picture: [B, T] bool, True on the tokens of the row's picture, which stand side by side.
        grid: [B, 2] int64, height and width of the picture in tokens; 0, 0 where there is none.

    Returns:
        [3, B, T] int64; padding has any position.
    """
    rank = (mask.cumsum(dim=1) - 1).clamp(min=0)
    place = is_picture.cumsum(dim=1) - 1
    count = is_picture.sum(dim=1, keepdim=True)
    first = (rank * (is_picture & (place == 0))).sum(dim=1, keepdim=True)
    is_behind = ~is_picture & (place == count - 1)
    text = rank + (grid.amax(dim=1, keepdim=True) - count) * is_behind
    width = grid[:, 1:].clamp(min=1)
    of_picture = torch.stack([torch.zeros_like(place), place // width, place % width]) + first
    return torch.where(is_picture, of_picture, text)
