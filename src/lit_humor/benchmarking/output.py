"""Where benchmarks write, and the lines that every table carries: machine, versions, commit, date."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lit_humor.engine.rundir import describe_environment
from lit_humor.runs import record


def file_name(theme: str, machine: Mapping[str, Any]) -> str:
    """``<theme>_<hardware>_<yyyymm>``, without an ending."""
    hardware = machine["gpus"][0].replace(" ", "-").lower() if machine["gpus"] else "cpu"
    return f"{theme}_{hardware}_{time.strftime('%Y%m')}"


def describe_here() -> dict[str, Any]:
    """What was measured on, of this process: machine, versions, commit, whether there are changes to it."""
    environment = describe_environment()
    return {
        "machine": environment["machine"],
        "packages": environment["packages"],
        "commit": environment["commit"],
        "dirty": bool(environment["uncommitted"]),
    }


def machine_line(machine: Mapping[str, Any], precision: str) -> str:
    """The machine as a line of Markdown."""
    gpus = ", ".join(machine["gpus"]) or "none"
    return f"- Machine: {machine['processor']}, {machine['threads']} threads, GPUs: {gpus}; precision {precision}."


def commit_line(runs: Sequence[Mapping[str, Any]]) -> str:
    """All commits that were measured, as a line of Markdown."""
    commits = sorted({str(run["commit"])[:12] + (" with local changes" if run["dirty"] else "") for run in runs})
    return f"- Commit: {', '.join(commits)}; {time.strftime('%Y-%m-%d')}."


def write(folder: str | Path, name: str, content: Any, markdown: str) -> None:
    """Write ``<name>.json`` and ``<name>.md``."""
    record.write_json(Path(folder) / f"{name}.json", content)
    record.write_text(Path(folder) / f"{name}.md", markdown)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def mean_sd(values: Sequence[float], digits: int) -> str:
    """Mean ± standard deviation; the mean alone of one value."""
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{spread}"


def median_range(values: Sequence[float], digits: int) -> str:
    """Median (minimum - maximum)."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} - {max(values):.{digits}f})"
