"""What is installed, what is missing and how to get it, and what the machine has. Standard library only."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

OK, NOTE, BAD = "ok", "note", "BAD"
_OWN = "lit-humor"
_LITTLE_DISK_GIB = 5


@dataclass(frozen=True)
class Requirement:
    """A package that the project asks for.

    Attributes:
        name: Its name on the package index.
        wanted: The versions asked for, as in pyproject.toml.
        found: The installed version, or None.
        extra: The extra that asks for it; None is needed always.
    """

    name: str
    wanted: str
    found: str | None
    extra: str | None

    @property
    def is_met(self) -> bool:
        """Whether the installed version keeps the bounds."""
        return self.found is not None and all(_keeps(self.found, bound) for bound in self.wanted.split(",") if bound)


def requirements(pyproject: Path) -> list[Requirement]:
    """Everything that a pyproject.toml asks for, extras after the rest."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    asked = [(None, text) for text in project["dependencies"]]
    asked += [(extra, text) for extra, texts in project["optional-dependencies"].items() for text in texts]
    found = []
    for extra, text in asked:
        name, wanted = re.fullmatch(r"([\w.-]+)(?:\[.*\])?\s*(.*)", text).groups()  # type: ignore[union-attr]
        if name != _OWN:
            found.append(Requirement(name, wanted, _version(name), extra))
    return found


def diagnose(root: Path) -> Iterator[tuple[str, str]]:
    """Lines of the report, each with its state: ``OK``, ``NOTE`` (something optional lacks) or ``BAD``.

    Args:
        root: The checkout.
    """
    yield OK if sys.version_info >= (3, 11) else BAD, f"Python {platform.python_version()} (3.11 or newer is needed)"
    missing: dict[str | None, list[str]] = {}
    for one in requirements(root / "pyproject.toml"):
        where = f", extra '{one.extra}'" if one.extra else ""
        yield (
            OK if one.is_met else NOTE if one.extra else BAD,
            f"{one.name} {one.found or 'is missing'} (wanted: {one.wanted or 'any'}{where})",
        )
        if not one.is_met:
            missing.setdefault(one.extra, []).append(one.name)
    for extra, names in missing.items():
        target = f"'.[{extra}]'" if extra else "."
        yield NOTE if extra else BAD, f"to get {', '.join(names)}: pip install -c constraints.txt -e {target}"
    yield OK, f"{platform.system()} on {platform.machine()}, {_num_cores()} cores, {_memory()} of memory"
    free = shutil.disk_usage(root).free / 2**30
    yield OK if free > _LITTLE_DISK_GIB else NOTE, f"{free:.0f} GiB free on the disk of the checkout"
    compiler = next((name for name in ("g++", "clang++") if shutil.which(name)), None)
    yield OK, f"C++ compiler for trainer.compile=true on a CPU: {compiler or 'none'}"
    yield OK, f"models of the hub are kept in {os.environ.get('HF_HOME', '~/.cache/huggingface')} (HF_HOME)"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _keeps(found: str, bound: str) -> bool:
    """Whether a version keeps one bound such as ``>=2.10``; only the numbers are compared."""
    sign, wanted = re.fullmatch(r"\s*(>=|<=|==|!=|<|>)\s*([\d.]+).*", bound).groups()  # type: ignore[union-attr]
    one, other = ([int(part) for part in re.findall(r"\d+", text.split("+")[0])][:3] for text in (found, wanted))
    one, other = ([*numbers, 0, 0, 0][:3] for numbers in (one, other))
    return {">=": one >= other, "<=": one <= other, "==": one == other, "!=": one != other}.get(
        sign, one < other if sign == "<" else one > other
    )


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (ValueError, OSError, AttributeError):
        return "an unknown amount"
