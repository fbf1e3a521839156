"""Suggestions for errors: the most similar existing name, and unused names."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most similar to ``word``, or None if none is similar."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)), None)


def nearest_file(path: Path) -> Path | None:
    """Return the file in the same folder with the name most similar to a missing one, or None."""
    names = sorted(file.name for file in path.parent.iterdir() if file.is_file()) if path.parent.is_dir() else []
    match = nearest(path.name, names)
    return path.parent / match if match else None


def free_path(path: Path) -> Path:
    """Return an unused path: ``path`` with the first unused number after its name, from 2."""
    path = path if path.name else path.absolute()  # "." and "/" have no name of their own
    count = 2
    while (free := path.with_name(f"{path.stem}-{count}{path.suffix}")).exists():
        count += 1
    return free


def new_path(path: Path) -> Path:
    """Return the path if it does not exist, else ``free_path`` of it: a safe target for a printed command."""
    return free_path(path) if path.exists() else path


def clean_name(name: str) -> str:
    """Replace all characters of a name except letters, digits, ``.``, ``_``, ``+`` and ``-``."""
    return re.sub(r"[^\w.+-]+", "-", name).strip("-.+") or "run"


def place_to_write(num_bytes: int = 0) -> Path | None:
    """Return a writable folder with enough space: in the working, home or temporary folder; else None."""
    for folder in (Path.cwd(), Path.home(), Path(tempfile.gettempdir())):
        if os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= num_bytes:
            return folder / "lit_humor-logs"
    return None
