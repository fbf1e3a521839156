"""Checkpoint files: written atomically, with a checksum that is compared when they are read."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from lit_humor.core.errors import UserError
from lit_humor.runs import record, screen

_PROGRESS = ("epoch_progress", "epoch_loop.batch_progress")  # what Lightning counts
_ZIP = b"PK\x03\x04"  # the first bytes of a file of torch.save


class DamagedCheckpointError(UserError):
    """A file is not a checkpoint, or has changed since it was written."""


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes a temporary file, syncs it and renames it; writes ``<file>.sha256`` in the format of ``sha256sum``.

    If the process is killed, at any moment, either the old checkpoint or the new one is complete. During the rename
    the checksum file contains the checksums of both.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write one checkpoint."""
        path = Path(path)
        with record.replacing(path) as unfinished:
            with unfinished.open("wb") as file:
                hashing = _Hashing(file)
                torch.save(checkpoint, hashing)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            digest = hashing.digest.hexdigest()
            _write_sums(path, [*_known_sums(path), digest])
        _write_sums(path, [digest])

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """Read one checkpoint without running code from it; adapt paths of callbacks if the folder was moved."""
        checkpoint = read_checkpoint(path)
        folder = str(Path(path).absolute().parent)
        states = checkpoint.get("callbacks", {})
        checkpoint["callbacks"] = {
            name: moved(state, state["dirpath"], folder) if state.get("dirpath") else state
            for name, state in states.items()
        }
        return checkpoint

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a checkpoint and its checksum file."""
        super().remove_checkpoint(path)
        sums_path(Path(path)).unlink(missing_ok=True)


def read_checkpoint(path: str | Path, *, mmap: bool = False) -> dict[str, Any]:
    """Compare a checkpoint with its checksum, if it has one, and read it.

    Args:
        path: File on a local disk.
        mmap: Map the tensors from the file instead of reading them into memory.

    Raises:
        UserError: There is no such file.
        DamagedCheckpointError: The file is not a checkpoint, or has changed since it was written.
    """
    if "://" in str(path) or not Path(path).is_file():
        expected, fix = "a checkpoint on this disk", "ls logs/*/checkpoints"
        raise UserError(f"checkpoint {path}", found="no such file", expected=expected, fix=fix)
    path = Path(path)
    known = _known_sums(path)
    if known and sum_of(path) not in known:
        raise _damaged(path, f"other bytes than were written (see {sums_path(path).name})")
    return _load(path, mmap)


def furthest_valid(folder: Path) -> Path | None:
    """Return the readable checkpoint with the most training; show which checkpoints cannot be read.

    The contents of the files decide, not their times of modification, which a copy of the folder changes.

    Args:
        folder: Folder of checkpoints.

    Returns:
        The checkpoint; None if none can be read.
    """
    places: dict[Path, tuple[int, ...]] = {}
    for path in sorted(folder.glob("*.ckpt")):
        try:
            if path.name != record.FINITE:
                places[path] = place_of(path)
        except DamagedCheckpointError as error:
            screen.show(f"Passed over: {error}")
    for path in sorted(places, key=lambda path: (places[path], path.name == record.LAST), reverse=True):
        try:
            read_checkpoint(path, mmap=True)
        except DamagedCheckpointError as error:
            screen.show(f"Passed over: {error}")
        else:
            return path
    return None


def place_of(path: Path) -> tuple[int, ...]:
    """Return how far training was when a checkpoint was saved, as a tuple to compare; optimizer steps come first.

    Fast: the weights are not read, and the checksum is not compared.

    Raises:
        DamagedCheckpointError: The file is not a checkpoint.
    """
    saved = _load(path, mmap=True)
    try:
        progress = saved.get("loops", {}).get("fit_loop", {})
        epochs, batches = (progress.get(name, {}).get("total", {}) for name in _PROGRESS)
        between = (epochs.get("processed", 0), batches.get("completed", 0), saved.get("metrics_rows", 0))
        return tuple(map(int, (saved.get("global_step", 0), saved.get("epoch", 0), *between)))
    except (AttributeError, TypeError, ValueError):
        raise _damaged(path, "no checkpoint (its counts of steps and epochs are no numbers)") from None


def set_later_aside(folder: Path, chosen: Path) -> None:
    """Move the checkpoints that are later than the one to resume from into a subfolder, and show their names.

    The training that saved them is given up: the next ``resume`` must not use them.

    Args:
        folder: Folder of the run's checkpoints.
        chosen: The checkpoint to resume from.
    """
    here = place_of(chosen)
    later = []
    for path in sorted(folder.glob("*.ckpt")):
        with suppress(DamagedCheckpointError):
            if path.name != record.FINITE and place_of(path) > here:
                later.append(path)
    target = folder / f"after-step-{here[0]}"
    for path in later:
        target.mkdir(exist_ok=True)
        for file in (path, sums_path(path)):
            if file.is_file():
                file.replace(target / file.name)
    if later:
        names = ", ".join(path.name for path in later)
        where = f"later than step {here[0]}, where this run continues"
        screen.show(f"Moved to {target}, because they are {where}: {names}")


def _load(path: Path, mmap: bool) -> dict[str, Any]:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except MemoryError:
        raise
    except Exception as error:  # damaged files make torch and pickle raise many types of exceptions
        raise _damaged(path, f"no checkpoint ({_why_not(path, error)})") from None
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise _damaged(path, "no checkpoint (no weights under the name state_dict in it)")
    return checkpoint


def _why_not(path: Path, error: Exception) -> str:
    """Return in a few words why a file does not load; torch's own message fills a page."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    with path.open("rb") as file:
        head = file.read(len(_ZIP))
    if not head:
        return "an empty file"
    if head != _ZIP:
        return "another kind of file: it does not begin as torch.save writes it"
    if not zipfile.is_zipfile(path):
        return "the end of the file is missing"
    if refused := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return f"it holds {refused[1]}; only weights, numbers and texts are read, since other objects could run code"
    return "it is damaged: the list of what it holds cannot be read"


def moved(value: Any, before: str, after: str) -> Any:
    """Return nested settings in which the folder ``before``, at the start of a path, is replaced by ``after``."""
    if isinstance(value, dict):
        return {moved(name, before, after): moved(inner, before, after) for name, inner in value.items()}
    if isinstance(value, list):
        return [moved(inner, before, after) for inner in value]
    before = before.rstrip("/")
    is_below = isinstance(value, str) and (value == before or value.startswith(f"{before}/"))
    return after + value.removeprefix(before) if is_below else value


def sums_path(path: Path) -> Path:
    """Return the path of a checkpoint's checksum file."""
    return path.with_name(f"{path.name}.sha256")


def _damaged(path: Path, found: str) -> DamagedCheckpointError:
    fix = f"name another: {shlex.join(['ls', str(path.parent)])}"
    return DamagedCheckpointError(f"checkpoint {path}", found=found, expected="what the training wrote", fix=fix)


def _write_sums(path: Path, sums: list[str]) -> None:
    """Write the first checksum as sha256sum reads it, and the others, which are also valid, as comments."""
    lines = [f"{sums[0]}  {path.name}", *(f"# or {digest}" for digest in sums[1:])]
    record.write_text(sums_path(path), "\n".join(lines) + "\n")


def _known_sums(path: Path) -> list[str]:
    try:
        return re.findall(r"\b[0-9a-f]{64}\b", sums_path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []


def sum_of(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Hashing:
    """A file for writing that also computes the hash of what is written."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()
