"""Small pictures for a page."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

_QUALITY = 85  # of JPEG, 1 to 95


def data_uri(picture: np.ndarray, most: int) -> str:
    """Return a picture as the address of an image that a page holds itself.

    Args:
        picture: [S, S, 3] uint8.
        most: Most pixels of height and width; a larger picture is shrunk.
    """
    image, content = Image.fromarray(np.asarray(picture)), io.BytesIO()
    image.thumbnail((most, most))
    image.save(content, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
