"""Reads pictures. Legend: B rows, S height and width of a picture, P places (patches, and a class token if any)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from lit_humor.core.errors import UserError
from lit_humor.models.state_encoder import StateEncoder

_WHITE = 255.0


class PictureEncoder(StateEncoder):
    """Brings pictures to the encoder's size and range of values, and encodes them.

    Source: Dosovitskiy et al. 2021, An Image is Worth 16x16 Words (arXiv 2010.11929), and encoders of its kind.
    Cost: that of the encoder. Alternatives: the vision models of transformers that do not take ``pixel_values``.

    Args:
        backbone: A vision encoder, whose configuration has ``image_size``.
        mean: Of red, green and blue, each from 0 to 1, in the pictures that the encoder was trained on.
        std: Their standard deviations.
        is_frozen: Whether it keeps its weights.
        gradient_checkpointing: Compute activations again in the backward pass.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: PreTrainedModel,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        is_frozen: bool = False,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__(backbone, is_frozen=is_frozen, gradient_checkpointing=gradient_checkpointing)
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(list(values)).view(3, 1, 1), persistent=False)
        size: Any = backbone.config.image_size
        self.size = (size, size) if isinstance(size, int) else tuple(size)

    def states(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Return the states [B, P, D] of ``pictures``; all places are read.

        Raises:
            UserError: The batch has no pictures.
        """
        if "pictures" not in batch:
            raise UserError(
                "model.network.encoders",
                found="one that reads pictures, but rows without any",
                expected="encoders of what the rows have",
                fix="set 'model.network.encoders=[{reads: text},{reads: text}]'",
            )
        return self.backbone(self.pixels(batch["pictures"])).last_hidden_state, None

    def pixels(self, pictures: Tensor) -> Tensor:
        """Return pictures [B, S, S, 3] uint8 as the encoder reads them: [B, 3, height, width] in its dtype."""
        values = pictures.permute(0, 3, 1, 2).float() / _WHITE
        if tuple(values.shape[2:]) != self.size:
            values = F.interpolate(values, self.size, mode="bilinear", antialias=True)
        return ((values - self.mean) / self.std).to(self.backbone.dtype)
