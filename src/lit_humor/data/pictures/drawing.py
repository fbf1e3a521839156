"""Draws scenes: an actor with a prop in a place. Legend: S height and width of a picture in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from lit_humor.data.pictures.places import PLACES
from lit_humor.data.pictures.shapes import ACTORS, PROPS, Shape

_FINER = 4  # pixels that are drawn for each pixel and side
_UNIT = 100  # of the numbers of a shape
_LIGHTER = 0.12  # most that a colour becomes lighter or darker
_TINT = 10  # most that red, green or blue moves


class Scene(NamedTuple):
    """What is in a picture: names of ``shapes.py`` and ``places.py``."""

    actor: str
    place: str
    prop: str


class _Frame(NamedTuple):
    """Where the square of some shapes lies in a picture, in drawn pixels."""

    left: float
    top: float
    size: float
    is_mirrored: bool


def draw(scene: Scene, size: int, generator: np.random.Generator) -> np.ndarray:
    """Draw a scene; positions, sizes and colours vary, and the actor may stand on either side of the prop.

    Args:
        scene: What is drawn.
        size: S.
        generator: Draws what varies.

    Returns:
        [S, S, 3] uint8.
    """
    whole = size * _FINER
    image = Image.new("RGB", (whole, whole))
    pen = ImageDraw.Draw(image)
    is_left = bool(generator.integers(2))
    wide = whole * generator.uniform(1.0, 1.15)
    left, top = generator.uniform(whole - wide, 0, 2)
    behind = _Frame(left, top, wide, bool(generator.integers(2)))
    _paint(pen, PLACES[scene.place], behind, generator)
    for shapes, is_actor in ((PROPS[scene.prop], False), (ACTORS[scene.actor], True)):
        share = generator.uniform(0.46, 0.56) if is_actor else generator.uniform(0.34, 0.42)
        middle = (0.3 if is_left == is_actor else 0.74) + generator.uniform(-0.05, 0.05)
        bottom = generator.uniform(0.9, 0.98)
        frame = _Frame(whole * (middle - share / 2), whole * (bottom - share), whole * share, not is_left)
        _paint(pen, shapes, frame, generator)
    return np.asarray(image.reduce(_FINER))


def _paint(pen: ImageDraw.ImageDraw, shapes: Sequence[Shape], frame: _Frame, generator: np.random.Generator) -> None:
    """Paint shapes into a frame, all of them lighter or darker by the same share and moved by the same tint."""
    light, tint = 1 + generator.uniform(-_LIGHTER, _LIGHTER), generator.uniform(-_TINT, _TINT, 3)
    for kind, name, numbers in shapes:
        wanted = np.asarray(ImageColor.getrgb(name)[:3]) * light + tint
        red, green, blue = (int(value) for value in wanted.clip(0, 255))
        points = _placed(numbers[: len(numbers) // 2 * 2], frame)
        if kind == "line":
            width = max(1, round(numbers[-1] / _UNIT * frame.size))
            pen.line(points, (red, green, blue), width, joint="curve")
        elif kind == "polygon":
            pen.polygon(points, (red, green, blue))
        else:
            (left, top), (right, bottom) = points
            box = (min(left, right), top, max(left, right), bottom)
            (pen.ellipse if kind == "ellipse" else pen.rectangle)(box, (red, green, blue))


def _placed(numbers: Sequence[float], frame: _Frame) -> list[tuple[float, float]]:
    """Return points in drawn pixels."""
    points = [*zip(numbers[::2], numbers[1::2], strict=True)]
    flipped = [(_UNIT - x, y) if frame.is_mirrored else (x, y) for x, y in points]
    return [(frame.left + x / _UNIT * frame.size, frame.top + y / _UNIT * frame.size) for x, y in flipped]
