"""Reads pictures from files, whole. Legend: H height, W width, S both of them, of a picture in pixels."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from lit_humor.core.errors import UserError, one_line, shorten

_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")  # no vector formats, which other programs would draw
_MOVING = ("PNG", "GIF", "WEBP", "TIFF")  # of which a file may hold several pictures
_MOST_PIXELS = 2**26
_WHITE = 255
_REPLACE = "put another picture in its place"


def find_picture(value: Any, root: Path, place: str) -> Path:
    """Return the file that a row names.

    Args:
        value: Its path, below ``root``.
        root: Folder of all pictures.
        place: File, line and column, for messages.

    Raises:
        UserError: There is no such file, or it is outside of ``root``.
    """
    root, found = root.resolve(), shorten(value)
    if isinstance(value, str) and value.strip():
        try:
            path = (root / value).resolve()
            if path.is_relative_to(root) and path.is_file():
                return path
            found += ", which is no file" if path.is_relative_to(root) else f", which is outside of {root}"
        except (OSError, RuntimeError, ValueError):  # a name that no file can have, or links that lead to each other
            found += ", which is no file"
    expected = f"a file below {root} (data.picture_root)"
    fix = "set data.picture_root=<folder of all pictures>, or correct the name or delete the row"
    raise UserError(place, found=found, expected=expected, fix=fix)


def read_picture(path: Path, size: int | None, place: str) -> np.ndarray:
    """Read a picture, turned as its camera says; with a size shrunk or enlarged to fit whole, with white around it.

    Args:
        path: The file: PNG, JPEG, GIF, WebP, BMP or TIFF.
        size: S, or None to leave it as it is.
        place: File, line and column, for messages.

    Returns:
        [S, S, 3] uint8, or [H, W, 3].

    Raises:
        UserError: It cannot be read, has several frames, or too many pixels.
    """
    found, expected = f"'{path.name}', ", f"one picture of at most {_MOST_PIXELS:,} pixels"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of many pixels, which are counted here
            with Image.open(path, formats=_FORMATS) as image:
                width, height = image.size
                frames = getattr(image, "n_frames", 1) if image.format in _MOVING else 1
                if frames == 1 and width * height <= _MOST_PIXELS:
                    if size is None:
                        return np.array(_colored(ImageOps.exif_transpose(image)))
                    image.draft("RGB", (2 * size, 2 * size))
                    return _fitted(_colored(ImageOps.exif_transpose(image)), size)
        found += f"{frames} frames" if frames > 1 else f"{width} x {height} pixels"
    except MemoryError:
        raise
    except Exception as error:  # libraries of formats raise what they like
        found += f"which cannot be read ({one_line(error)})"
    raise UserError(place, found=found, expected=expected, fix=_REPLACE)


def _colored(image: Image.Image) -> Image.Image:
    """Return a picture in red, green and blue, on white where it is transparent."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float64)
        image = Image.fromarray((values / (256 if values.max() > _WHITE else 1)).clip(0, _WHITE).astype(np.uint8))
    if ("A" in image.mode.upper() and image.mode != "LAB") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _fitted(image: Image.Image, size: int) -> np.ndarray:
    share = size / max(image.size)
    width, height = (max(1, round(side * share)) for side in image.size)
    whole = Image.new("RGB", (size, size), "white")
    small = image.resize((width, height), Image.Resampling.LANCZOS)
    whole.paste(small, ((size - width) // 2, (size - height) // 2))
    return np.asarray(whole)
