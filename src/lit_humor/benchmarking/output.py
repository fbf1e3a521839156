"""Writes results of benchmarks, and the lines of every table: command, machine, commit, date."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from lit_humor.config.command import choice, typed_overrides
from lit_humor.core.settings import check_name
from lit_humor.engine.rundir import describe_environment
from lit_humor.runs import record, screen


def data_name(cfg: DictConfig) -> str:
    """Return the name of the data: ``name``, or the folder of ``train_path``, or ``corpus``."""
    if cfg.name:
        check_name("name", cfg.name)
    return cfg.name or (Path(cfg.train_path).absolute().parent.name if cfg.train_path else "corpus")


def title(what: str, cfg: DictConfig, model: str | None = None) -> str:
    """Return the title ``<what>: <model>, <data>``; without a ``model`` it is the chosen one."""
    return f"{what}: {model or choice('model')}, {data_name(cfg)}"


def command_line(more: Sequence[str] = ()) -> str:
    """Return the typed command as a line of Markdown; absolute paths are replaced by the name of their key.

    Args:
        more: Settings that were typed, too, and taken away before the command was composed.
    """
    typed = []
    for override in [*typed_overrides(), *more]:
        key, _, value = override.partition("=")
        typed.append(f"{key}=<{key}>" if value.startswith("/") else shlex.quote(override))
    return f"- Command: `{' '.join(['python src/lit_humor/bench.py', *typed])}`"


def describe_here() -> dict[str, Any]:
    """Describe the machine, versions and commit of this process, and whether there are uncommitted changes."""
    environment = describe_environment()
    return {
        "machine": environment["machine"],
        "packages": environment["packages"],
        "commit": environment["commit"],
        "dirty": bool(environment["uncommitted"]),
    }


def machine_line(machine: Mapping[str, Any]) -> str:
    """Return the machine as a line of Markdown."""
    gpus = ", ".join(machine["gpus"]) or "none"
    return f"- Machine: {machine['processor']}, {machine['threads']} threads, GPUs: {gpus}."


def commit_line(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return all measured commits as a line of Markdown."""
    commits = sorted({str(run["commit"])[:12] + (" with local changes" if run["dirty"] else "") for run in runs})
    return f"- Commit: {', '.join(commits)}; {time.strftime('%Y-%m-%d')}."


def write(
    cfg: DictConfig, suite: str, machine: Mapping[str, Any], content: Any, markdown: str, model: str | None = None
) -> Path:
    """Write ``<suite>_<data>_<model>_<hardware>_<yyyymm>`` .json and .md; return the path without ending."""
    hardware = re.sub(r"[^a-z0-9.]+", "-", [*machine["gpus"], machine["processor"]][0].lower()).strip("-")
    name = f"{suite}_{data_name(cfg)}_{model or choice('model')}_{hardware}_{time.strftime('%Y%m')}"
    record.write_json(Path(cfg.output) / f"{name}.json", content)
    record.write_text(Path(cfg.output) / f"{name}.md", markdown)
    return Path(cfg.output) / name


def publish(cfg: DictConfig, suite: str, content: Mapping[str, Any], markdown: str, model: str | None = None) -> Path:
    """Write the files of ``write``, and show the table."""
    path = write(cfg, suite, content["machine"], content, markdown, model)
    screen.show(markdown, f"Written: {path}.md, {path}.json")
    return path
