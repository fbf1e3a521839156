"""Checkpoint files that appear whole or not at all, carry a checksum, and are checked when they are read."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from lit_humor.core.errors import UserError
from lit_humor.engine import screen
from lit_humor.runs import record


class DamagedCheckpointError(UserError):
    """A file that is no checkpoint, or not the one that was written."""


class SafeCheckpointIO(TorchCheckpointIO):
    """Writes beside the old file, syncs, swaps, and leaves ``<file>.sha256`` in the form of ``sha256sum``.

    A process killed at any moment leaves the old checkpoint or the new one; while they are swapped the checksum file
    knows both.
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
        """Read one checkpoint; nothing in it is executed. Callbacks that keep its folder follow one that was moved."""
        found = read_checkpoint(path)
        folder = str(Path(path).absolute().parent)
        states = found.get("callbacks", {})
        found["callbacks"] = {
            name: _moved(state, state["dirpath"], folder) if state.get("dirpath") else state
            for name, state in states.items()
        }
        return found

    def remove_checkpoint(self, path: Any) -> None:
        """Remove it with its checksum."""
        super().remove_checkpoint(path)
        sums_path(Path(path)).unlink(missing_ok=True)


def read_checkpoint(path: str | Path, *, mmap: bool = False) -> dict[str, Any]:
    """Read a checkpoint of this disk after comparing it with its checksum, where it has one.

    Raises:
        UserError: There is no such file.
        DamagedCheckpointError: The file is not what was written, or no checkpoint.
    """
    if "://" in str(path) or not Path(path).is_file():
        expected, fix = "a checkpoint on this disk", "ls logs/*/checkpoints"
        raise UserError(f"checkpoint {path}", found="no such file", expected=expected, fix=fix)
    path = Path(path)
    known = _known_sums(path)
    if known and sum_of(path) not in known:
        raise _damaged(path, f"other bytes than were written (see {sums_path(path).name})")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
        if not isinstance(found, dict) or "state_dict" not in found:
            raise ValueError("no state_dict in it")
    except (RuntimeError, KeyError, TypeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise _damaged(path, f"no checkpoint ({(str(error) or type(error).__name__).splitlines()[0]})") from None
    return found


def newest_valid(folder: Path) -> Path | None:
    """The checkpoint of a run that was written last and can be read; says which ones cannot."""
    found = [path for path in folder.glob("*.ckpt") if path.name != record.FINITE]
    for path in sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            read_checkpoint(path, mmap=True)
        except DamagedCheckpointError as error:
            screen.show(f"Passed over: {error}")
        else:
            return path
    return None


def _moved(value: Any, before: str, folder: str) -> Any:
    """The same with every path below one folder below the other."""
    if isinstance(value, dict):
        return {_moved(name, before, folder): _moved(one, before, folder) for name, one in value.items()}
    return value.replace(before, folder) if isinstance(value, str) else value


def sums_path(path: Path) -> Path:
    """The checksum file of a checkpoint."""
    return path.with_name(f"{path.name}.sha256")


def _damaged(path: Path, found: str) -> DamagedCheckpointError:
    fix = f"name another: ls {path.parent}"
    return DamagedCheckpointError(f"checkpoint {path}", found=found, expected="what the training wrote", fix=fix)


def _write_sums(path: Path, sums: list[str]) -> None:
    """The first as sha256sum reads it; what may be there a moment later as comments."""
    lines = [f"{sums[0]}  {path.name}", *(f"# or {digest}" for digest in sums[1:])]
    record.write_text(sums_path(path), "\n".join(lines) + "\n")


def _known_sums(path: Path) -> list[str]:
    try:
        return re.findall(r"\b[0-9a-f]{64}\b", sums_path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []


def sum_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Hashing:
    """A file to write to that hashes what goes through."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest = file, hashlib.sha256()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()
