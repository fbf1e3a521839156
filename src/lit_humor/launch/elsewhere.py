"""Translates commands and paths for another machine. Standard library only."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Elsewhere:
    """Paths on this machine and on the other machine ("there").

    Attributes:
        root: The checkout here.
        logs_dir: Run folders here.
        root_there: The checkout there.
        logs_there: Run folders there.
        data_there: Folder there for data files; each file gets its own folder in it.
    """

    root: Path
    logs_dir: Path
    root_there: str
    logs_there: str
    data_there: str

    def command(self, command: Sequence[str]) -> list[str]:
        """Return a command with the paths of the other machine."""
        return [self._argument(argument) for argument in command]

    def files(self, commands: Sequence[Sequence[str]]) -> dict[str, Path]:
        """Return the data files that commands name, by their paths on the other machine."""
        paths = {path for command in commands for argument in command if (path := _data_file(argument))}
        return {self._place_of(path): path for path in sorted(paths)}

    def _argument(self, argument: str) -> str:
        if path := _data_file(argument):
            return f"{argument.partition('=')[0]}={self._place_of(path)}"
        if argument.startswith("paths.cache_dir="):
            return f"paths.cache_dir={self.root_there}/.cache"
        if argument == sys.executable:
            return f"{self.root_there}/.venv/bin/python"
        moved = {str(self.logs_dir): self.logs_there, str(self.root): self.root_there}
        folders = "|".join(map(re.escape, moved))
        return re.sub(rf"({folders})(?=[/',\]]|$)", lambda match: moved[match[1]], argument)

    def _place_of(self, path: Path) -> str:
        folder = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:8]
        return f"{self.data_there}/{folder}/{path.name}"


def _data_file(argument: str) -> Path | None:
    """Return the file that an argument names, if it is a setting of a data file; otherwise None."""
    key, _, value = argument.partition("=")
    is_data = key.startswith("data.") and key.endswith("_path") and Path(value).is_file()
    return Path(value) if is_data else None
