"""Checks which packages are installed or missing, and describes the machine. Standard library only."""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
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
    """A package that the project requires.

    Attributes:
        name: Its name on the package index.
        wanted: The required versions, as in pyproject.toml.
        found: The installed version, or None.
        extra: The extra that requires it; None: always required.
    """

    name: str
    wanted: str
    found: str | None
    extra: str | None

    @property
    def is_met(self) -> bool:
        """Whether the installed version is within the bounds."""
        return self.found is not None and all(
            _satisfies(self.found, bound) for bound in self.wanted.split(",") if bound
        )


def requirements(pyproject: Path) -> list[Requirement]:
    """Return the requirements of a pyproject.toml; those of extras come last."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    declared = [(None, text) for text in project["dependencies"]]
    declared += [(extra, text) for extra, texts in project["optional-dependencies"].items() for text in texts]
    packages = []
    for extra, text in declared:
        name, wanted = re.fullmatch(r"([\w.-]+)(?:\[.*\])?\s*(.*)", text).groups()  # type: ignore[union-attr]
        if name != _OWN:
            packages.append(Requirement(name, wanted, _version(name), extra))
    return packages


def diagnose(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines of the report, each with its state: ``OK``, ``NOTE`` (something optional is missing) or ``BAD``.

    Args:
        root: The checkout.
    """
    yield OK if sys.version_info >= (3, 11) else BAD, f"Python {platform.python_version()} (3.11 or newer is needed)"
    missing: dict[str | None, list[str]] = {}
    for package in requirements(root / "pyproject.toml"):
        where = f", extra '{package.extra}'" if package.extra else ""
        yield (
            OK if package.is_met else NOTE if package.extra else BAD,
            f"{package.name} {package.found or 'is missing'} (required: {package.wanted or 'any version'}{where})",
        )
        if not package.is_met:
            missing.setdefault(package.extra, []).append(package.name)
    for extra, names in missing.items():
        target = f"'.[{extra}]'" if extra else "."
        yield NOTE if extra else BAD, f"to install {', '.join(names)}: pip install -c constraints.txt -e {target}"
    yield from _torchvision()
    yield OK, f"{platform.system()} on {platform.machine()}, {_num_cores()} cores, {_memory()} of memory"
    free = shutil.disk_usage(root).free / 2**30
    yield OK if free > _LITTLE_DISK_GIB else NOTE, f"{free:.0f} GiB free on the disk of the checkout"
    compiler = next((name for name in ("g++", "clang++") if shutil.which(name)), None)
    yield OK, f"C++ compiler for trainer.compile=true on a CPU: {compiler or 'none'}"
    yield OK, f"models of the hub are stored in {os.environ.get('HF_HOME', '~/.cache/huggingface')} (HF_HOME)"


def _torchvision() -> Iterator[tuple[str, str]]:
    """Yield what is wrong if torchvision is there and does not load: with it, no model of transformers does."""
    version = _version("torchvision")
    if version is None:
        return
    tried = subprocess.run([sys.executable, "-c", "import torchvision"], capture_output=True, text=True)
    if tried.returncode:
        why = (tried.stderr.strip().splitlines() or ["it ends without a word"])[-1]
        yield BAD, f"torchvision {version} does not load ({why}), and no model of transformers with it; none needs it"
        yield BAD, f"to remove it: {shlex.join([sys.executable, '-m', 'pip', 'uninstall', '-y', 'torchvision'])}"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _satisfies(found: str, bound: str) -> bool:
    """Whether a version satisfies a bound such as ``>=2.10``; only the numbers are compared."""
    sign, wanted = re.fullmatch(r"\s*(>=|<=|==|!=|<|>)\s*([\d.]+).*", bound).groups()  # type: ignore[union-attr]
    version, limit = ([int(part) for part in re.findall(r"\d+", text.split("+")[0])][:3] for text in (found, wanted))
    version, limit = ([*numbers, 0, 0, 0][:3] for numbers in (version, limit))
    return {">=": version >= limit, "<=": version <= limit, "==": version == limit, "!=": version != limit}.get(
        sign, version < limit if sign == "<" else version > limit
    )


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (ValueError, OSError, AttributeError):
        return "an unknown amount"
