"""What an error proposes to take instead: names that are there, and names that are free."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like another; None where none is like it."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)), None)


def nearest_file(path: Path) -> Path | None:
    """The file in the same folder whose name is most like that of one that is missing."""
    there = sorted(one.name for one in path.parent.iterdir() if one.is_file()) if path.parent.is_dir() else []
    found = nearest(path.name, there)
    return path.parent / found if found else None


def free_path(path: Path) -> Path:
    """A path like one that is taken, with the first number behind its name that is free."""
    path = path if path.name else path.absolute()  # "." and "/" have no name of their own
    count = 2
    while (free := path.with_name(f"{path.stem}-{count}{path.suffix}")).exists():
        count += 1
    return free


def new_path(path: Path) -> Path:
    """A path, or the first free one like it where it is taken: what a printed command may write to."""
    return free_path(path) if path.exists() else path


def clean_name(name: str) -> str:
    """A name of letters, digits, ``.``, ``_``, ``+`` and ``-`` that is most like another."""
    return re.sub(r"[^\w.+-]+", "-", name).strip("-.+") or "run"


def place_to_write(num_bytes: int = 0) -> Path | None:
    """A folder that may be written to and has that much room: here, at home, or among temporary files."""
    for folder in (Path.cwd(), Path.home(), Path(tempfile.gettempdir())):
        if os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= num_bytes:
            return folder / "lit_humor-logs"
    return None
