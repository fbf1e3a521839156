"""Pictures in one array, in memory or in a memory-mapped file, or in their own files. NumPy only: loaders import it.

Legend: P pictures, N rows of a split, S height and width of a picture in pixels, H height, W width.
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

    def picture(self, number: int) -> np.ndarray:
        """Return a picture, [S, S, 3] uint8."""
        return np.asarray(self.values[number])


@dataclass(frozen=True)
class Originals:
    """Pictures that stay in their files, each of its own size.

    Attributes:
        paths: [P] the files.
        places: [P] where each is named, for messages.
        keys: [P] int64, equal for files with equal bytes.
    """

    paths: Sequence[Path]
    places: Sequence[str]
    keys: np.ndarray

    def picture(self, number: int) -> np.ndarray:
        """Read a picture, [H, W, 3] uint8; errors as in ``files.read_picture``."""
        from lit_humor.data.pictures.files import read_picture

        return read_picture(self.paths[number], None, self.places[number])


def of_files(paths: Iterable[Path], places: Iterable[str]) -> Originals:
    """Return pictures that stay in their files, which are there; arguments as the attributes of ``Originals``."""
    paths = list(paths)
    keys = [_number(path.read_bytes()) for path in paths]
    return Originals(paths, list(places), np.asarray(keys, dtype=np.int64))


@dataclass(frozen=True)
class Pictures:
    """The pictures of rows.

    Attributes:
        store: Some pictures.
        rows: [N] int64, the picture of each row.
    """

    store: PictureStore | Originals
    rows: np.ndarray

    @property
    def keys(self) -> np.ndarray:
        """[N] int64, equal for rows with equal pictures."""
        return self.store.keys[self.rows]

    def take(self, rows: Sequence[int] | np.ndarray) -> Pictures:
        """Return the pictures of some rows, in the given order."""
        return replace(self, rows=self.rows[np.asarray(rows, dtype=np.int64)])

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Return a copy of the pictures of rows [B], [B, S, S, 3] uint8, if all have one size."""
        assert isinstance(self.store, PictureStore), "preparations look at it first"
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
    """Write pictures into a folder, one after the other, or map those that are there; see ``write_once``.

    Args:
        folder: The folder; its name tells its content.
        count: P.
        size: S.
        pictures: P pictures, [S, S, 3] uint8; not read if the folder is there.
    """

    def write(unfinished: Path) -> None:
        keys = np.zeros(count, dtype=np.int64)
        values = np.lib.format.open_memmap(unfinished / _VALUES, "w+", np.uint8, (count, size, size, 3))
        for place, picture in enumerate(pictures):
            values[place], keys[place] = picture, _key(picture)
        values.flush()
        np.save(unfinished / _KEYS, keys)

    write_once(folder, write)
    return open_pictures(folder)


def write_once(folder: Path, write: Callable[[Path], None]) -> None:
    """Have a folder written, unless it is there; it appears by one rename, so two runs may write the same one.

    Args:
        folder: The folder; its name tells its content.
        write: Given an empty folder, writes its files.
    """
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
    try:
        write(temporary)
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another run wrote the same files first
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _key(picture: np.ndarray) -> int:
    return _number(np.ascontiguousarray(picture).data)


def _number(content: bytes | memoryview) -> int:
    """Return a number of 63 bits that is equal for equal content."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big") >> 1
