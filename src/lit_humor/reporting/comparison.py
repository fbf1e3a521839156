"""Two runs on the same rows: what differs, and whether it is more than chance."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.stats import binomtest

from lit_humor.core.errors import UserError
from lit_humor.metrics.confusion import bootstrap_difference, count_confusion, scores_of
from lit_humor.pages.page import Grid, Section, render
from lit_humor.reporting import figures
from lit_humor.reporting.evidence import SCORES, Evidence, Predictions, read_run
from lit_humor.reporting.rows import SHOWN
from lit_humor.runs import record

_PLACES = ("run_id", "run_dir", "dirpath", "save_dir", "logs_dir", "cache_dir")


def write_comparison(first: Path, second: Path, page: Path) -> dict[str, float]:
    """Write a page that compares two runs.

    Returns:
        Of the split to quote: ``mcnemar_p``, ``f1_difference`` and ``accuracy_difference`` (second less first).

    Raises:
        UserError: A run is not done, or they were scored on other rows.
        MissingExtraError: The ``report`` extra is not installed.
    """
    runs = read_run(first), read_run(second)
    names = [f"{letter}: {run.folder.name}" for letter, run in zip("AB", runs, strict=True)]
    shared = [split for split in runs[0].predictions if split in runs[1].predictions]
    if not shared:
        found = f"no split that both {names[0]} and {names[1]} were scored on"
        raise UserError("runs", found=found, expected="the same rows", fix=_score_alike(*runs))
    sections = []
    for split in shared:
        pair = [run.predictions[split] for run in runs]
        _check_same_rows(split, *pair, fix=_score_alike(*runs))
        sections += [_differences(split, *pair), _disagreements(split, *pair)]
    curves = [figures.learning_curves(run, f"{name}: learning curves") for run, name in zip(runs, names, strict=True)]
    sections += [Section("Learning", [*curves]), _settings(*runs)]
    lead = f"{'; '.join(names)}. Differences are B less A, on the same rows."
    page.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(page, render("report.html", title="Two runs", lead=lead, sections=sections))
    split = runs[0].headline if runs[0].headline in shared else shared[0]
    pair = [run.predictions[split] for run in runs]
    scores = [scores_of(found.counts) for found in pair]
    differences = {f"{key}_difference": float(scores[1][key] - scores[0][key]) for key in ("f1", "accuracy")}
    return {"mcnemar_p": mcnemar(*(found.predicted == found.labels for found in pair))[2], **differences}


def mcnemar(first: np.ndarray, second: np.ndarray) -> tuple[int, int, float]:
    """McNemar's exact test of whether two models are right equally often.

    Source: McNemar 1947; the exact binomial form.

    Args:
        first: [N] bool, whether the first model is right.
        second: [N] bool, the second.

    Returns:
        Rows that the first alone has right, that the second alone has right, and the two-sided p value.
    """
    alone = int((first & ~second).sum()), int((second & ~first).sum())
    return *alone, float(binomtest(alone[0], sum(alone)).pvalue) if sum(alone) else 1.0


def _check_same_rows(split: str, *pair: Predictions, fix: str) -> None:
    one, other = pair
    if one.class_names != other.class_names:
        found = f"classes {list(one.class_names)} and {list(other.class_names)}"
        raise UserError("runs", found=found, expected="the same classes", fix=fix)
    same = [one.columns[name] == other.columns[name] for name in ("id", "text")]
    if not all(same) or not np.array_equal(one.labels, other.labels):
        raise UserError(
            "runs",
            found=f"other rows in {split}",
            expected="two runs scored on the same rows",
            fix=fix,
        )


def _score_alike(one: Evidence, other: Evidence) -> str:
    """What to type for a run like the second, on the rows of the first."""
    data = ("data=", "data.", "debug=")
    (script, *typed), (_, *of_first) = other.environment["command"], one.environment["command"]
    typed = [text for text in typed if not text.startswith((*data, "run_id=", "resume="))]
    typed += [text for text in of_first if text.startswith(data)]
    split_seed = yaml.safe_load(one.config)["data"]["split_seed"]
    command = shlex.join([f"src/lit_humor/{script}", *typed, f"data.split_seed={split_seed}"])
    return f"train the second on the rows of the first: python {command}"


def _differences(split: str, one: Predictions, other: Predictions) -> Section:
    size = len(one.class_names)
    pairs = one.predicted * size + other.predicted
    counts = count_confusion(one.labels, pairs, size * size)[:size].reshape(size, size, size)
    ends, scores = bootstrap_difference(counts), (scores_of(one.counts), scores_of(other.counts))
    rows = []
    for key, name in SCORES.items():
        first, second = float(scores[0][key]), float(scores[1][key])
        rows.append(
            [name, f"{first:.3f}", f"{second:.3f}", f"{second - first:+.3f} [{ends[key][0]:+.3f}, {ends[key][1]:+.3f}]"]
        )
    alone = mcnemar(one.predicted == one.labels, other.predicted == other.labels)
    return Section(
        f"Differences in {split}",
        [
            Grid(
                f"{split}: {len(one.labels):,} rows",
                ["metric", "A", "B", "B less A"],
                rows,
                "95 % intervals in brackets: paired bootstrap over rows.",
            ),
            Grid(
                "McNemar's exact test",
                ["only A is right", "only B is right", "p"],
                [[str(alone[0]), str(alone[1]), f"{alone[2]:.4f}"]],
                "p: how often two models of equal worth would differ so much on these rows. Seeds are not in it.",
            ),
        ],
    )


def _disagreements(split: str, one: Predictions, other: Predictions) -> Section:
    differ = np.flatnonzero(one.predicted != other.predicted)
    gap = np.abs(one.probabilities - other.probabilities).max(axis=1)
    shown = differ[np.argsort(-gap[differ], kind="stable")][:SHOWN]
    rows = [
        [
            str(one.columns["id"][row]),
            one.text(row),
            *(
                found.class_names[index]
                for found, index in ((one, one.labels[row]), (one, one.predicted[row]), (other, other.predicted[row]))
            ),
            *(f"{found.probabilities[row].max():.3f}" for found in (one, other)),
        ]
        for row in shown
    ]
    columns = ["id", "text", "label", "A", "B", "probability A", "probability B"]
    grid = Grid(f"The widest of {len(differ)} disagreements in {split}", columns, rows, "", bool(rows), texts=(1,))
    return Section(f"Disagreements in {split}", [grid])


def _settings(one: Evidence, other: Evidence) -> Section:
    """What the configurations set differently, but for places."""
    first, second = (_flat(yaml.safe_load(run.config)) for run in (one, other))
    rows = [
        [key, *(str(found.get(key, "")) for found in (first, second))]
        for key in dict.fromkeys([*first, *second])
        if first.get(key) != second.get(key) and key.rpartition(".")[2] not in _PLACES
    ]
    commits = [str(run.environment["commit"])[:12] for run in (one, other)]
    return Section(
        "Settings",
        [f"Commits: A {commits[0]}, B {commits[1]}.", Grid("Settings that differ", ["key", "A", "B"], rows)],
    )


def _flat(node: Any, key: str = "") -> dict[str, Any]:
    """Values by dotted keys."""
    if not isinstance(node, dict):
        return {key: node}
    return {path: value for name, one in node.items() for path, value in _flat(one, f"{key}.{name}".strip(".")).items()}
