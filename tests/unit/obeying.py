"""Does what the fix of a message says, to the letter."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser

from lit_humor.config.overrides import for_hydra
from lit_humor.core.errors import UserError

_COMMANDS = ("(printf", "iconv", "cp", "gunzip", "tr", "tail", "python", "sed")


def settings_in(message: str | UserError) -> dict[str, Any]:
    """The settings that a fix tells to type, as train.py reads them; of several for one key the first."""
    found: dict[str, Any] = {}
    for word in typed_in(message):
        override = OverridesParser.create().parse_override(*for_hydra("train", [word]))
        found.setdefault(str(override.key_or_group).removeprefix("data."), override.value())
    return found


def typed_in(message: str | UserError) -> list[str]:
    """The same, of the first way that is told, as a shell hands them to the command: without the quotes round them."""
    ways = re.split(r"; if |, or ", str(message).partition("Fix: ")[2])
    fix = next((way for way in ways if "=" in way), "")
    words = [match.group().rstrip(",.") for match in re.finditer(r"'[^']*'(?:\"'\"'[^']*')*|[^\s;]+", fix)]
    words = [shlex.split(word)[0] if word.startswith("'") else word for word in words]
    return [word for word in words if re.match(r"(data\.)?[a-z_]+=", word)]


def run_command_in(message: str | UserError) -> Path:
    """Type the command of a fix into a shell; returns the file it made, the one to name then."""
    fix = str(message).partition("Fix: ")[2]
    start = min(fix.index(f"{name} ") for name in _COMMANDS if f"{name} " in fix)
    command = fix[start:].partition(", and name that file")[0].removesuffix(".")
    subprocess.run(["bash", "-c", command], check=True)
    return Path(shlex.split(command)[-1])
