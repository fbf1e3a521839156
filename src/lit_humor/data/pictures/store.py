"""Pictures in one array, in memory or in a memory-mapped file. NumPy only: loader processes import it.

Legend: P pictures, N rows of a split, S height and width of a picture in pixels.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

_VALUES, _KEYS = "pictures.npy", "keys.npy"


@dataclass(frozen=True)
class PictureStore:
    """Decoded pictures.

    Attributes:
        values: [P, S, S, 3] uint8: red, green, blue.
        keys: [P] int64, equal for equal pictures.
    """

    values: np.ndarray
    keys: np.ndarray

    def __reduce__(self) -> tuple[Callable[..., PictureStore], tuple[Any, ...]]:
        """Pickle the name of the folder instead of the pictures if these are mapped from a file."""
        if isinstance(self.values, np.memmap):
            return open_pictures, (Path(str(self.values.filename)).parent,)
        return PictureStore, (self.values, self.keys)


@dataclass(frozen=True)
class Pictures:
    """The pictures of rows.

    Attributes:
        store: Some pictures.
        rows: [N] int64, the picture of each row.
    """

    store: PictureStore
    rows: np.ndarray

    @property
    def keys(self) -> np.ndarray:
        """[N] int64, equal for rows with equal pictures."""
        return self.store.keys[self.rows]

    def take(self, rows: Sequence[int] | np.ndarray) -> Pictures:
        """Return the pictures of some rows, in the given order."""
        return replace(self, rows=self.rows[np.asarray(rows, dtype=np.int64)])

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Return a copy of the pictures of rows [B], [B, S, S, 3] uint8."""
        return np.asarray(self.store.values[self.rows[rows]])


def in_memory(pictures: Sequence[np.ndarray]) -> PictureStore:
    """Return a store of some pictures, each [S, S, 3] uint8."""
    return PictureStore(np.stack(pictures), keys_of(pictures))


def keys_of(pictures: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Return [B] int64, the keys of pictures [B, S, S, 3] uint8; see ``PictureStore``."""
    return np.asarray([_key(picture) for picture in pictures], dtype=np.int64)


def find_pictures(folder: Path, keys: Iterable[int]) -> dict[int, np.ndarray]:
    """Return pictures [S, S, 3] uint8 by their keys, of all that ``keep_pictures`` wrote below a folder.

    A picture that is not there is left out, and so are files that cannot be read.
    """
    missing, found = set(keys), dict[int, np.ndarray]()
    for file in sorted(folder.glob(f"[!.]*/{_KEYS}")):
        try:
            store = open_pictures(file.parent)
        except (OSError, ValueError, EOFError):
            continue
        for place in np.flatnonzero(np.isin(store.keys[: len(store.values)], list(missing))).tolist():
            found.setdefault(int(store.keys[place]), store.values[place])
        missing -= found.keys()
    return found


def open_pictures(folder: Path) -> PictureStore:
    """Map the files of ``keep_pictures``, read-only."""
    return PictureStore(np.load(folder / _VALUES, mmap_mode="r"), np.load(folder / _KEYS))


def keep_pictures(folder: Path, count: int, size: int, pictures: Iterable[np.ndarray]) -> PictureStore:
    """Write pictures into a folder, one after the other, or map those that are there.

    The folder appears by one rename, so two runs may write the same one.

    Args:
        folder: The folder; its name tells its content.
        count: P.
        size: S.
        pictures: P pictures, [S, S, 3] uint8; not read if the folder is there.
    """
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
        try:
            keys = np.zeros(count, dtype=np.int64)
            values = np.lib.format.open_memmap(temporary / _VALUES, "w+", np.uint8, (count, size, size, 3))
            for place, picture in enumerate(pictures):
                values[place], keys[place] = picture, _key(picture)
            values.flush()
            np.save(temporary / _KEYS, keys)
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another run wrote the same pictures first
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return open_pictures(folder)


def _key(picture: np.ndarray) -> int:
    """Return a number of 63 bits that is equal for equal pictures."""
    digest = hashlib.blake2b(np.ascontiguousarray(picture).data, digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
