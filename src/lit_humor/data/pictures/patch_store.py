"""Patches of pictures, in memory or in a memory-mapped file. NumPy only: loader processes import it.

Legend: K pictures, R patches of all of them, D numbers of a patch, B rows of a batch, P most patches of one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lit_humor.data.pictures.store import write_once

_VALUES, _GRIDS = "patches.raw", "grids.npy"
Patches = tuple[np.ndarray, tuple[int, int]]  # of one picture: [h w, D] uint8, and (h, w)


@dataclass(frozen=True)
class PatchStore:
    """The patches of pictures, each picture once.

    Attributes:
        values: [R, D] uint8.
        grids: [K, 2] int64, height and width of each picture in patches.
    """

    values: np.ndarray
    grids: np.ndarray

    def __reduce__(self) -> tuple[Callable[..., PatchStore], tuple[Any, ...]]:
        """Pickle the name of the folder instead of the patches if these are mapped from a file."""
        if isinstance(self.values, np.memmap):
            return open_patches, (Path(str(self.values.filename)).parent,)
        return PatchStore, (self.values, self.grids)

    @cached_property
    def ends(self) -> np.ndarray:
        """[K] int64, the patches of a picture and of those before it."""
        return self.grids.prod(axis=1).cumsum()

    def of_pictures(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the patches of some pictures, zeros behind those of a smaller one.

        Args:
            numbers: [B] int64, which picture; -1 none.

        Returns:
            [B, P, D] uint8, and height and width in patches, [B, 2] int64, 0 and 0 where there is none.
        """
        grids = np.where(numbers[:, None] >= 0, self.grids[numbers], 0)
        counts = grids.prod(axis=1)
        patches = np.zeros((len(numbers), int(counts.max(initial=0)), self.values.shape[1]), dtype=np.uint8)
        for row, number in enumerate(numbers):
            end = self.ends[number]
            patches[row, : counts[row]] = self.values[end - counts[row] : end]
        return patches, grids


def keep_patches(folder: Path | None, pictures: Iterable[Patches]) -> PatchStore:
    """Write the patches of pictures, one after the other, into a folder, or map those that are there.

    Args:
        folder: The folder; its name tells its content. None keeps the patches in memory.
        pictures: Patches of K pictures, one at least; not read if the folder is there.
    """
    if folder is None:
        kept = list(pictures)
        return PatchStore(np.concatenate([patches for patches, _ in kept]), _grids(grid for _, grid in kept))

    def write(unfinished: Path) -> None:
        grids = []
        with (unfinished / _VALUES).open("wb") as file:
            for patches, grid in pictures:
                file.write(np.ascontiguousarray(patches).data)
                grids.append(grid)
        np.save(unfinished / _GRIDS, _grids(grids))

    write_once(folder, write)
    return open_patches(folder)


def open_patches(folder: Path) -> PatchStore:
    """Map the files of ``keep_patches``, read-only."""
    grids = np.load(folder / _GRIDS)
    values = np.memmap(folder / _VALUES, dtype=np.uint8, mode="r").reshape(int(grids.prod(axis=1).sum()), -1)
    return PatchStore(values, grids)


def _grids(grids: Iterable[tuple[int, int]]) -> np.ndarray:
    return np.asarray(list(grids), dtype=np.int64).reshape(-1, 2)
