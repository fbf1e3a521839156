"""Compares the variants of a plan with the first one, row by row: McNemar's test on ids, over all repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from lit_humor.core.batch import TEST
from lit_humor.reporting.kinds import find_module
from lit_humor.runs import record
from lit_humor.sweeps.planned_runs import PlannedRun
from lit_humor.tasks.answers import own_columns
from lit_humor.tasks.recorded import RecordedTasks
from lit_humor.tasks.reports.paired import mcnemar

NOTE = (
    "Right alone: test rows of the same id and repeat that only this variant has right : only the first, with the p of "
    "McNemar's exact test; the repeats of a row are counted as rows of their own, so p is somewhat too small."
)


def right_alone(done: Sequence[tuple[PlannedRun, Path]], tasks: RecordedTasks) -> dict[str, str]:
    """Return what each variant but the first has right alone, what the first one has, and the p of McNemar's test.

    Args:
        done: Runs that are done, with their folders.
        tasks: Their tasks; the first of a kind that has right and wrong answers is compared.

    Returns:
        Cells by the name of the variant; empty if no task has such answers or no row is in both.
    """
    named = {name: find_module(str(task["kind"]), "comparison") for name, task in tasks.tasks.items()}
    name = next((name for name, module in named.items() if hasattr(module, "right_rows")), None)
    if name is None:
        return {}
    rights: dict[str, dict[tuple[int, str], bool]] = {}
    for run, folder in done:
        if (path := record.predictions_path(folder, TEST)).is_file():
            columns: Mapping[str, Any] = own_columns(name, pq.read_table(path).to_pydict())
            of_run: Mapping[str, bool] = named[name].right_rows(columns)  # type: ignore[union-attr]
            rights.setdefault(run.variant, {}).update({(run.repeat, row): right for row, right in of_run.items()})
    first = next(iter(rights), "")
    return {variant: cell for variant in rights if variant != first and (cell := _cell(rights[variant], rights[first]))}


def _cell(own: Mapping[tuple[int, str], bool], base: Mapping[tuple[int, str], bool]) -> str:
    shared = sorted(own.keys() & base.keys())
    if not shared:
        return ""
    only_own, only_base, p = mcnemar(*(np.asarray([right[row] for row in shared]) for right in (own, base)))
    return f"{only_own} : {only_base} (p {p:.3f})"
