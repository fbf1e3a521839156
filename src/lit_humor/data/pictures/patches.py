"""Cuts pictures into patches, as Qwen's vision encoders read them.

Legend: H height, W width of a picture in pixels, h, w the same in patches, D numbers of a patch.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from PIL import Image

MOST_LENGTHY = 200  # times that a picture may be longer than wide


class Cut(NamedTuple):
    """How pictures are cut.

    Attributes:
        patch: Height and width of a patch in pixels.
        merge: Patches of a square, in height and in width, that the encoder makes one token of.
        min_pixels: Least pixels of a picture; a smaller one is enlarged.
        max_pixels: Most pixels; a larger one is shrunk.
    """

    patch: int
    merge: int
    min_pixels: int
    max_pixels: int

    @property
    def square(self) -> int:
        """Height and width of the pixels of a token."""
        return self.patch * self.merge


def is_too_lengthy(picture: np.ndarray) -> bool:
    """Whether a picture [H, W, 3] is too narrow to be cut."""
    return max(picture.shape[:2]) > MOST_LENGTHY * min(picture.shape[:2])


def cut(picture: np.ndarray, how: Cut) -> tuple[np.ndarray, tuple[int, int]]:
    """Resize a picture to whole squares within the limits, nearly of its own shape, and cut it into patches.

    The patches are those of transformers' ``Qwen2VLImageProcessorPil``, before it scales and normalises them, and of
    one frame, where it repeats each.

    Args:
        picture: [H, W, 3] uint8.
        how: How it is cut.

    Returns:
        [h w, D] uint8, D = 3 patch patch: those of a square one behind the other, row by row; in a patch red, green,
        blue, each row by row. And (h, w).
    """
    height, width, _ = picture.shape
    height, width = fitting(height, width, how)
    resized = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
    rows, columns = height // how.patch, width // how.patch
    squares = np.asarray(resized).reshape(
        rows // how.merge, how.merge, how.patch, columns // how.merge, how.merge, how.patch, 3
    )
    return squares.transpose(0, 3, 1, 4, 6, 2, 5).reshape(rows * columns, -1), (rows, columns)


def fitting(height: int, width: int, how: Cut) -> tuple[int, int]:
    """Return the height and width in pixels that a picture is resized to.

    Source: ``smart_resize`` of transformers' Qwen2-VL.
    """
    square = how.square
    tall, wide = round(height / square) * square, round(width / square) * square
    if tall * wide > how.max_pixels:
        share = math.sqrt(height * width / how.max_pixels)
        tall, wide = (max(square, math.floor(side / share / square) * square) for side in (height, width))
    elif tall * wide < how.min_pixels:
        share = math.sqrt(how.min_pixels / (height * width))
        tall, wide = (math.ceil(side * share / square) * square for side in (height, width))
    return tall, wide
