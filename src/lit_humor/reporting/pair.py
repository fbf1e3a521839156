"""The two members of a comparison: two runs, or a run and somebody's answers to its rows."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lit_humor.core.errors import UserError
from lit_humor.core.settings import typed
from lit_humor.reporting.evidence import Evidence, read_run
from lit_humor.reporting.kinds import find_module, find_modules, kinds_with
from lit_humor.tasks.reports.scored import ScoredRun


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two members of a comparison, with predictions of the same rows.

    Attributes:
        names: A and B, for people.
        kinds: The modules that compare them, ``comparison`` of each kind of task that both have, by kind.
        scored: Their predictions.
        runs: Those of the two that are run folders, by their letters.
        note: What is to be said of their rows, and of kinds of tasks that are left out; may be empty.
    """

    names: tuple[str, str]
    kinds: Mapping[str, Any]
    scored: tuple[ScoredRun, ScoredRun]
    runs: Mapping[str, Evidence]
    note: str = ""

    def of_kind(self, kind: str) -> tuple[ScoredRun, ScoredRun]:
        """Return both as their tasks of a kind see them."""
        first, second = (one.of_kind(kind) if isinstance(one, Evidence) else one for one in self.scored)
        return first, second

    @property
    def splits(self) -> list[str]:
        """The splits of both."""
        return [split for split in self.scored[0].predictions if split in self.scored[1].predictions]

    @property
    def headline(self) -> str:
        """The split of the main results, or the first of both."""
        return self.scored[0].headline if self.scored[0].headline in self.splits else self.splits[0]


def read_pair(first: Path, second: Path, quoting: str = "auto") -> Pair:
    """Read two members of a comparison.

    Args:
        first: A run folder, or a file of answers.
        second: The same; one of the two is a run folder.
        quoting: What quotes in a CSV or TSV of answers mean; see ``sources.files.TextFiles``.

    Raises:
        UserError: A run is not done, the members have different rows or tasks, or answers cannot be read.
    """
    runs = {letter: read_run(path) for letter, path in (("A", first), ("B", second)) if path.is_dir()}
    names = (f"A: {first.name}", f"B: {second.name}")
    if len(runs) == 2:
        return _two_runs(names, runs)
    ((letter, run),) = runs.items()
    of_run, of_answers, note = _reader_of_answers(run).beside(run, second if letter == "A" else first, quoting)
    scored = (of_run, of_answers) if letter == "A" else (of_answers, of_run)
    return Pair(names=names, kinds=find_modules(run.tasks.kinds, "comparison"), scored=scored, runs=runs, note=note)


def _two_runs(names: tuple[str, str], runs: Mapping[str, Evidence]) -> Pair:
    first, second = runs.values()
    kinds = _kinds(first, second)
    left_out = [kind for kind in dict.fromkeys([*first.tasks.kinds, *second.tasks.kinds]) if kind not in kinds]
    note = f"Compared in {' and '.join(kinds)}; left out: {', '.join(left_out)}." if left_out else ""
    pair = Pair(names=names, kinds=kinds, scored=(first, second), runs=runs, note=note)
    if not pair.splits:
        found = f"no split that both {names[0]} and {names[1]} were scored on"
        raise UserError("runs", found=found, expected="the same rows", fix=_score_alike(first, second))
    for split, (kind, module) in itertools.product(pair.splits, kinds.items()):
        module.check_same_rows(split, pair.of_kind(kind), fix=_score_alike(first, second))
    return pair


def _kinds(first: Evidence, second: Evidence) -> dict[str, Any]:
    """Return the modules that compare what both runs learned, by kind of task."""
    kinds = [run.tasks.kinds for run in (first, second)]
    modules = find_modules([kind for kind in kinds[0] if kind in kinds[1]], "comparison")
    if not modules:
        expected = f"two runs that both have one of these kinds of tasks: {', '.join(kinds_with('comparison'))}"
        raise _not_compared(kinds, expected, first)
    return modules


def _reader_of_answers(run: Evidence) -> Any:
    """Return the module that puts answers beside runs of this kind of task."""
    module = find_module(run.tasks.kinds[0], "answers") if len(run.tasks.kinds) == 1 else None
    if module is None:
        raise _not_compared([run.tasks.kinds, ["answers"]], "answers beside a run that classifies", run)
    return module


def _not_compared(kinds: Sequence[Sequence[str]], expected: str, run: Evidence) -> UserError:
    found = " and ".join(", ".join(names) for names in kinds)
    fix = f"leave runs away and set {typed('run', str(run.folder))}"
    return UserError("runs", found=found, expected=expected, fix=fix)


def _score_alike(first: Evidence, second: Evidence) -> str:
    """Return the command that trains a run like the second on the rows of the first."""
    data = ("data=", "data.", "debug=")
    (script, *typed), (_, *of_first) = second.environment["command"], first.environment["command"]
    typed = [text for text in typed if not text.startswith((*data, "run_id=", "resume="))]
    typed += [text for text in of_first if text.startswith(data)]
    split_seed = yaml.safe_load(first.config)["data"]["split_seed"]
    command = shlex.join([f"src/lit_humor/{script}", *typed, f"data.split_seed={split_seed}"])
    return f"train the second on the rows of the first: python {command}"
