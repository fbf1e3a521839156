"""Compares two runs, or a run and answers, on the same rows: differences, and whether they are significant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lit_humor.pages.page import Grid, Section, render
from lit_humor.reporting import figures
from lit_humor.reporting.evidence import Evidence
from lit_humor.reporting.pair import read_pair
from lit_humor.runs import record
from lit_humor.tasks.answers import joined_answers

_PLACES = ("run_id", "run_dir", "dirpath", "save_dir", "logs_dir", "cache_dir")


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        differences: Differences in the headline split, by name; see ``differences`` of the task's ``comparison``. Of
            several kinds of tasks, a name that an earlier kind has gets its kind in front.
        words: The same as one line for each kind of task.
        note: What is to be said of the rows and tasks of the two; may be empty.
    """

    differences: dict[str, float]
    words: str
    note: str


def write_comparison(first: Path, second: Path, page: Path, quoting: str = "auto") -> Comparison:
    """Write a page that compares two runs, or a run and answers.

    Args:
        first: A run folder, or a file of answers.
        second: The same; one of the two is a run folder.
        page: The page to write.
        quoting: What quotes in a CSV or TSV of answers mean.

    Raises:
        UserError: A run is not done, the members have different rows or tasks, or answers cannot be read.
        MissingExtraError: The ``report`` extra is not installed.
    """
    pair = read_pair(first, second, quoting)
    kinds = [(module, pair.of_kind(kind)) for kind, module in pair.kinds.items()]
    sections = [part for split in pair.splits for module, own in kinds for part in module.sections(split, own)]
    curves = [
        figures.learning_curves(run, f"{letter}: {run.folder.name}: learning curves")
        for letter, run in pair.runs.items()
    ]
    sections.append(Section("Learning", [*curves]))
    if len(pair.runs) == 2:
        sections.append(_settings(*pair.runs.values()))
    lead = " ".join(
        filter(None, [f"{'; '.join(pair.names)}.", pair.note, "Differences are B less A, on the same rows."])
    )
    title = "Two runs" if len(pair.runs) == 2 else "A run and answers"
    page.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(page, render("report.html", title=title, lead=lead, sections=sections))
    found = [module.differences(pair.headline, own) for module, own in kinds]
    words = [
        module.in_words(one, f"{second.name} less {first.name}") for (module, _), one in zip(kinds, found, strict=True)
    ]
    return Comparison(joined_answers(dict(zip(pair.kinds, found, strict=True))), "\n".join(words), pair.note)


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
