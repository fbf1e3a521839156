"""What the vision tower of a vision-language model makes of pictures, computed once a picture where it is frozen.

Legend: B rows, P patches of the largest picture, D numbers of a patch, G tokens of a picture, H hidden size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_FRAMES, _CHANNELS = 2, 3  # the tower reads pairs of frames; a picture is the same frame twice
_NO_KEY = -1


@dataclass(frozen=True)
class Features:
    """Features of pictures, in the form that the models of transformers read.

    Attributes:
        pooler_output: [G, H] of each picture.
        deepstack_features: The same of each deepstack layer.
    """

    pooler_output: Sequence[Tensor]
    deepstack_features: Sequence[Sequence[Tensor]]


class PictureReader:
    """Reads the pictures of a batch with the vision tower.

    A frozen tower reads each picture alone, so that the numbers do not depend on the rows beside it, and each distinct
    picture once, as long as there is room: the first pictures stay, the others are read again each time. An order of
    rows that changes from epoch to epoch gains nothing from exchanging them.

    Cost: the features stay in main memory; of Qwen3-VL-8B 32 KiB a token in bf16.

    Args:
        model: The model of transformers, with ``get_image_features``.
        is_frozen: Whether the tower keeps its weights.
        most_bytes: Room for features.
        mean: Of red, green and blue in the pictures that the tower was trained on, each from 0 to 1.
        std: Their standard deviations.
    """

    def __init__(
        self, model: Any, *, is_frozen: bool, most_bytes: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        self.model, self.is_frozen, self.most_bytes = model, is_frozen, most_bytes
        self.mean, self.std = tuple(mean), tuple(std)
        self.kept: dict[int, list[Tensor]] = {}
        self.kept_bytes = 0

    @torch.compiler.disable  # what is kept is no matter of a graph
    def __call__(self, batch: Mapping[str, Tensor]) -> Features | None:
        """Return the features of the pictures of a batch, row by row; None if no row has one.

        Args:
            batch: ``patches`` [B, P, D] uint8, ``patch_grid`` [B, 2] and ``picture_keys`` [B] int64.
        """
        told = torch.cat([batch["patch_grid"], batch["picture_keys"][:, None]], dim=1).tolist()
        rows = [(row, height, width, key) for row, (height, width, key) in enumerate(told) if height * width]
        if not rows:
            return None
        patches = batch["patches"]
        if not self.is_frozen:
            used = torch.cat([patches[row, : height * width] for row, height, width, _ in rows])
            return self._read(used, [(height, width) for _, height, width, _ in rows])
        parts = [self._of(key, patches[row, : height * width], (height, width)) for row, height, width, key in rows]
        last, *deepstack = zip(*parts, strict=True)
        return Features(last, deepstack)

    def _of(self, key: int, patches: Tensor, grid: tuple[int, int]) -> list[Tensor]:
        """Return the features [G, H] of one picture, those of the deepstack layers behind them."""
        if key in self.kept:
            return [part.to(patches.device) for part in self.kept[key]]
        # Tensors made in inference mode, as in a validation, could not be used in the training that follows.
        with torch.inference_mode(mode=False), torch.no_grad():
            read = self._read(patches, [grid])
            parts = [one[0] for one in (read.pooler_output, *read.deepstack_features)]
            size = sum(part.numel() * part.element_size() for part in parts)
            if key != _NO_KEY and self.kept_bytes + size <= self.most_bytes:
                self.kept[key] = [part.cpu() for part in parts]
                self.kept_bytes += size
        return parts

    def _read(self, patches: Tensor, grids: Sequence[tuple[int, int]]) -> Features:
        """Return the features of pictures whose patches stand one behind the other, [sum of patches, D] uint8."""
        mean, std = (patches.new_tensor(values, dtype=torch.float32)[:, None] for values in (self.mean, self.std))
        frame = (patches.unflatten(1, (_CHANNELS, -1)) / 255 - mean) / std
        frames = frame.unsqueeze(2).expand(-1, -1, _FRAMES, -1).flatten(1)
        grid = torch.tensor([(1, *one) for one in grids], device=patches.device)
        read = self.model.get_image_features(frames, grid, return_dict=True)
        return Features(read.pooler_output, read.deepstack_features)
