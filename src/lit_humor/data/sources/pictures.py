"""Pictures with texts from the user's own files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from lit_humor.core.errors import MissingExtraError, UserError
from lit_humor.data.examples import Examples, Failure
from lit_humor.data.pictures.store import Originals, Pictures, PictureStore, keep_pictures, of_files
from lit_humor.data.reading.columns import find_column, unless_null
from lit_humor.data.reading.tables import LINE
from lit_humor.data.sources.files import TextFiles

_FORMAT = 1  # increase when a picture is read in another way
_LEAST = 16  # pixels
_REPORT = "report"


@dataclass(kw_only=True)
class PictureFiles(TextFiles):
    """One file for each split, as in ``TextFiles``, with a column that names the picture of each row.

    Rows with equal pictures stay in one split, unless ``group_column`` says otherwise. Pictures are read once, into a
    memory-mapped file of pictures of one size, or stay in their files.

    Attributes:
        pictures_dir: Parent of the folders of read pictures.
        picture_column: Column of the path of the picture; None looks for ``picture``, then ``image``.
        picture_root: Folder that these paths are below; None: that of the file which names them.
        size: Height and width of a picture in pixels; it is shrunk or enlarged to fit whole. None leaves pictures as
            they are, for a model that reads pictures of any size.
        broken_pictures: ``error`` refuses a picture that cannot be read; ``report``, for rows that are scored, leaves
            such rows out and returns them as ``failures``.
    """

    picture_names: ClassVar[tuple[str, ...]] = ("picture", "image")

    pictures_dir: str
    picture_column: str | None = None
    picture_root: str | None = None
    size: int | None = 64
    broken_pictures: Literal["error", "report"] = "error"

    def read(self, path: str) -> Examples:
        """Read a file, and the pictures that it names.

        Raises:
            UserError: File or picture is broken; names file and line.
        """
        self._check()
        examples, table = self.read_table(path)
        wanted = unless_null(self.picture_column, table)
        column = find_column(table, wanted, self.picture_names, "data.picture_column", path)
        named = dict(zip(table[LINE], table[column], strict=True))
        examples, pictures = self._with_pictures(examples, named, column, Path(self.picture_root or Path(path).parent))
        if unless_null(self.group_column, table) is None:
            examples = replace(examples, groups=[f"picture {key}" for key in pictures.keys.tolist()])
        return replace(examples, pictures=pictures)

    def _check(self) -> None:
        root, key = self.picture_root, "data.picture_root"
        if root is not None and not Path(root).is_dir():
            fix = "set data.picture_root=<folder of all pictures>"
            raise UserError(key, found=f"'{root}', which is no folder", expected="a folder", fix=fix)
        if self.size is not None and self.size < _LEAST:
            expected, fix = f"at least {_LEAST}", f"set data.size={_LEAST}"
            raise UserError("data.size", found=str(self.size), expected=expected, fix=fix)
        if self.broken_pictures == _REPORT and self.train_path is not None:
            key, expected = "data.broken_pictures", "error: nothing is left out of a training in silence"
            raise UserError(key, found="report, with rows to train on", expected=expected, fix=f"set {key}=error")

    def _with_pictures(
        self, examples: Examples, named: Mapping[int, Any], column: str, root: Path
    ) -> tuple[Examples, Pictures]:
        """Find all pictures, given the name in each line, and read each of them once; rows without one are failures."""
        try:
            from lit_humor.data.pictures.files import find_picture, read_picture
        except ModuleNotFoundError:
            raise MissingExtraError("data=pictures", package="pillow", extra="pictures") from None
        files: dict[Path, tuple[int, str]] = {}
        kept: dict[int, int] = {}
        failures: list[tuple[Failure, UserError]] = []
        for row, place in enumerate(examples.places):
            where = f"{place}, column '{column}'"
            try:
                path = find_picture(named[place.line], root, where)
                if self.broken_pictures == _REPORT and path not in files:
                    read_picture(path, self.size, where)
            except UserError as error:
                failures.append((Failure(examples.ids[row], str(place), error.found), error))
                continue
            kept[row] = files.setdefault(path, (len(files), where))[0]
        if failures and (self.broken_pictures != _REPORT or not kept):
            raise failures[0][1]
        if failures:
            examples = replace(examples.take(list(kept)), failures=tuple(failure for failure, _ in failures))
        store = self._store({path: where for path, (_, where) in files.items()})
        return examples, Pictures(store, np.asarray(list(kept.values())))

    def _store(self, files: Mapping[Path, str]) -> PictureStore | Originals:
        if self.size is None:
            return of_files(files, files.values())
        digest = hashlib.sha256()
        for path in files:
            status = path.stat()
            digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
        folder = Path(self.pictures_dir) / f"files-{_FORMAT}-{self.size}-{digest.hexdigest()[:32]}"
        return keep_pictures(folder, len(files), self.size, self._read(files, self.size))

    def _read(self, files: Mapping[Path, str], size: int) -> Iterator[np.ndarray]:
        from lit_humor.data.pictures.files import read_picture

        for path, where in files.items():
            yield read_picture(path, size, where)
