"""Pictures with texts from the user's own files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lit_humor.core.errors import MissingExtraError, UserError
from lit_humor.data.examples import Examples
from lit_humor.data.pictures.store import Pictures, PictureStore, keep_pictures
from lit_humor.data.reading.columns import find_column, unless_null
from lit_humor.data.reading.tables import LINE, Table
from lit_humor.data.sources.files import TextFiles

_FORMAT = 1  # increase when a picture is read in another way
_COLUMNS = ("picture", "image")
_LEAST = 16  # pixels


@dataclass(kw_only=True)
class PictureFiles(TextFiles):
    """One file for each split, as in ``TextFiles``, with a column that names the picture of each row.

    Rows with equal pictures stay in one split, unless ``group_column`` says otherwise. Pictures are read once, into a
    memory-mapped file of pictures of one size.

    Attributes:
        pictures_dir: Parent of the folders of read pictures.
        picture_column: Column of the path of the picture; None looks for ``picture``, then ``image``.
        picture_root: Folder that these paths are below; None: that of the file which names them.
        size: Height and width of a picture in pixels; it is shrunk or enlarged to fit whole.
    """

    pictures_dir: str
    picture_column: str | None = None
    picture_root: str | None = None
    size: int = 64

    def read(self, path: str) -> Examples:
        """Read a file, and the pictures that it names.

        Raises:
            UserError: File or picture is broken; names file and line.
        """
        self._check()
        examples, table = self.read_table(path)
        wanted = unless_null(self.picture_column, table)
        column = find_column(table, wanted, _COLUMNS, "data.picture_column", path)
        pictures = self._pictures(examples, table, column, Path(self.picture_root or Path(path).parent))
        if unless_null(self.group_column, table) is None:
            examples = replace(examples, groups=[f"picture {key}" for key in pictures.keys.tolist()])
        return replace(examples, pictures=pictures)

    def _check(self) -> None:
        root, key = self.picture_root, "data.picture_root"
        if root is not None and not Path(root).is_dir():
            fix = "set data.picture_root=<folder of all pictures>"
            raise UserError(key, found=f"'{root}', which is no folder", expected="a folder", fix=fix)
        if self.size < _LEAST:
            expected, fix = f"at least {_LEAST}", f"set data.size={_LEAST}"
            raise UserError("data.size", found=str(self.size), expected=expected, fix=fix)

    def _pictures(self, examples: Examples, table: Table, column: str, root: Path) -> Pictures:
        """Find all pictures, and read each of them once."""
        try:
            from lit_humor.data.pictures.files import find_picture
        except ModuleNotFoundError:
            raise MissingExtraError("data=pictures", package="pillow", extra="pictures") from None
        named: Mapping[int, Any] = dict(zip(table[LINE], table[column], strict=True))
        files: dict[Path, tuple[int, str]] = {}
        rows = np.zeros(len(examples), dtype=np.int64)
        for row, place in enumerate(examples.places):
            where = f"{place}, column '{column}'"
            path = find_picture(named[place.line], root, where)
            rows[row] = files.setdefault(path, (len(files), where))[0]
        return Pictures(self._store({path: where for path, (_, where) in files.items()}), rows)

    def _store(self, files: Mapping[Path, str]) -> PictureStore:
        digest = hashlib.sha256()
        for path in files:
            status = path.stat()
            digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
        folder = Path(self.pictures_dir) / f"files-{_FORMAT}-{self.size}-{digest.hexdigest()[:32]}"
        return keep_pictures(folder, len(files), self.size, self._read(files))

    def _read(self, files: Mapping[Path, str]) -> Iterator[np.ndarray]:
        from lit_humor.data.pictures.files import read_picture

        for path, where in files.items():
            yield read_picture(path, self.size, where)
