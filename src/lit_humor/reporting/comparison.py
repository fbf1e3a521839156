"""Compares two runs on the same rows: differences, and whether they are significant."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lit_humor.core.errors import UserError
from lit_humor.core.settings import typed
from lit_humor.pages.page import Grid, Section, render
from lit_humor.reporting import figures
from lit_humor.reporting.evidence import Evidence, read_run
from lit_humor.reporting.kinds import find_module
from lit_humor.runs import record

_PLACES = ("run_id", "run_dir", "dirpath", "save_dir", "logs_dir", "cache_dir")


def write_comparison(first: Path, second: Path, page: Path) -> dict[str, float]:
    """Write a page that compares two runs.

    Returns:
        Differences in the headline split, by name; see ``differences`` of the task's ``comparison``.

    Raises:
        UserError: A run is not done, or the runs have different rows or tasks.
        MissingExtraError: The ``report`` extra is not installed.
    """
    runs = read_run(first), read_run(second)
    kind = _kind(*runs)
    names = [f"{letter}: {run.folder.name}" for letter, run in zip("AB", runs, strict=True)]
    shared = [split for split in runs[0].predictions if split in runs[1].predictions]
    if not shared:
        found = f"no split that both {names[0]} and {names[1]} were scored on"
        raise UserError("runs", found=found, expected="the same rows", fix=_score_alike(*runs))
    sections = []
    for split in shared:
        kind.check_same_rows(split, runs, fix=_score_alike(*runs))
        sections += kind.sections(split, runs)
    curves = [figures.learning_curves(run, f"{name}: learning curves") for run, name in zip(runs, names, strict=True)]
    sections += [Section("Learning", [*curves]), _settings(*runs)]
    lead = f"{'; '.join(names)}. Differences are B less A, on the same rows."
    page.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(page, render("report.html", title="Two runs", lead=lead, sections=sections))
    return kind.differences(runs[0].headline if runs[0].headline in shared else shared[0], runs)


def in_words(first: Path, second: Path, differences: Mapping[str, float]) -> str:
    """Return the result of ``write_comparison`` as one line."""
    kind: Any = find_module(record.read_tasks(first).kinds[0], "comparison")
    return kind.in_words(differences, f"{second.name} less {first.name}")


def _kind(first: Evidence, second: Evidence) -> Any:
    """Return the module that compares runs of this kind of task."""
    kinds = [run.tasks.kinds for run in (first, second)]
    module = find_module(kinds[0][0], "comparison") if kinds[0] == kinds[1] else None
    if module is None:
        found = " and ".join(", ".join(names) for names in kinds)
        fix = f"leave runs away and set {typed('run', str(first.folder))}"
        raise UserError("runs", found=found, expected="two runs of one kind of task", fix=fix)
    return module


def _score_alike(first: Evidence, second: Evidence) -> str:
    """Return the command that trains a run like the second on the rows of the first."""
    data = ("data=", "data.", "debug=")
    (script, *typed), (_, *of_first) = second.environment["command"], first.environment["command"]
    typed = [text for text in typed if not text.startswith((*data, "run_id=", "resume="))]
    typed += [text for text in of_first if text.startswith(data)]
    split_seed = yaml.safe_load(first.config)["data"]["split_seed"]
    command = shlex.join([f"src/lit_humor/{script}", *typed, f"data.split_seed={split_seed}"])
    return f"train the second on the rows of the first: python {command}"


def _settings(*runs: Evidence) -> Section:
    """Return the settings in which two runs differ, without paths."""
    first, second = (_flat(yaml.safe_load(run.config)) for run in runs)
    rows = [
        [key, *(str(settings.get(key, "")) for settings in (first, second))]
        for key in dict.fromkeys([*first, *second])
        if first.get(key) != second.get(key) and key.rpartition(".")[2] not in _PLACES
    ]
    commits = [str(run.environment["commit"])[:12] for run in runs]
    return Section(
        "Settings",
        [f"Commits: A {commits[0]}, B {commits[1]}.", Grid("Settings that differ", ["key", "A", "B"], rows)],
    )


def _flat(node: Any, key: str = "") -> dict[str, Any]:
    """Return the values of nested nodes by dotted keys."""
    if not isinstance(node, dict):
        return {key: node}
    return {
        path: value for name, part in node.items() for path, value in _flat(part, f"{key}.{name}".strip(".")).items()
    }
