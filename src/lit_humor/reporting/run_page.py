"""What one run learned and got wrong, as one page, its pictures, and the numbers behind them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lit_humor.core.batch import VAL
from lit_humor.metrics.calibration import apply_temperature, best_threshold, fit_temperature, reliability
from lit_humor.metrics.confusion import bootstrap_intervals, count_confusion, scores_of
from lit_humor.pages.page import Grid, Picture, Section, render
from lit_humor.reporting import figures
from lit_humor.reporting.evidence import SCORES, Evidence, read_run
from lit_humor.reporting.rows import row_sections
from lit_humor.runs import record

REPORT_HTML, PICTURES = "report.html", "report"
_FEW_ROWS = 30
_INTERVALS = "95 % intervals in brackets: bootstrap over rows, which it takes for independent."


def write_report(folder: Path) -> Path:
    """Write ``report.html``, ``report/*.png`` and ``calibration.json`` into a run folder.

    Returns:
        The page.

    Raises:
        UserError: The run is not done.
        MissingExtraError: The ``report`` extra is not installed.
    """
    run = read_run(folder)
    calibration = calibrate(run)
    sections = [
        _results(run),
        _learning(run),
        _confusion(run),
        _slices(run),
        _probabilities(run, calibration),
        *row_sections(run.headline, run.predictions[run.headline]),
        _data(run),
        _making(run),
    ]
    for section in sections:
        for index, part in enumerate(part for part in section.parts if isinstance(part, Picture)):
            path = folder / PICTURES / f"{section.name}{f'-{index + 1}' if index else ''}.png"
            with record.replacing(path) as unfinished:
                unfinished.write_bytes(part.light)
    if calibration:
        record.write_json(folder / record.CALIBRATION, calibration)
    page = folder / REPORT_HTML
    record.write_text(page, render("report.html", title=f"Run {folder.name}", lead=_lead(run), sections=sections))
    return page


def calibrate(run: Evidence) -> dict[str, float]:
    """Temperature, and with two classes the threshold of the scaled last one, both fitted on validation."""
    val = run.predictions.get(VAL)
    if val is None:
        return {}
    temperature = fit_temperature(val.probabilities, val.labels)
    found = {"temperature": temperature}
    if len(val.class_names) == 2:
        found["threshold"] = best_threshold(apply_temperature(val.probabilities, temperature)[:, 1], val.labels)
    return found


def _lead(run: Evidence) -> str:
    found = run.predictions[run.headline]
    ends = bootstrap_intervals(found.counts)
    scores = scores_of(found.counts)
    told = ", ".join(f"{name} {_with_interval(scores[key], ends[key])}" for key, name in SCORES.items())
    names = " / ".join(found.class_names)
    return (
        f"{len(found.labels):,} rows of {run.headline}: {told}. Classes: {names}; F1 alone is that of the last of two."
    )


def _with_interval(value: Any, ends: np.ndarray) -> str:
    return f"{float(value):.3f} [{ends[0]:.3f}, {ends[1]:.3f}]"


def _results(run: Evidence) -> Section:
    section = Section("Results")
    baselines = (run.result.get("baseline") or {}).get("results", {})
    for split, found in run.predictions.items():
        results, baseline = run.result["results"][split], baselines.get(split, {})
        ends = bootstrap_intervals(found.counts)
        rows = []
        for name, value in results.items():
            if isinstance(value, float):
                told = f"{value:.3f}" if name not in ends else _with_interval(value, ends[name])
                rows.append([name, told, f"{baseline[name]:.3f}" if isinstance(baseline.get(name), float) else ""])
        origin = run.data_report["splits"].get(split, {}).get("origin", split)
        note = "These rows chose the checkpoint, so their numbers flatter a little. " if split == VAL else ""
        section.parts.append(
            Grid(
                f"{split}: {len(found.labels):,} rows ({origin})",
                ["metric", "model", "TF-IDF baseline"],
                rows,
                note + _INTERVALS,
            )
        )
        classes = [
            [
                name,
                *(_with_interval(scores_of(found.counts)[key][i], ends[key][:, i]) for key in _PER_CLASS),
                str(rows_of),
            ]
            for i, (name, rows_of) in enumerate(zip(found.class_names, found.counts.sum(axis=1).tolist(), strict=True))
        ]
        section.parts.append(Grid(f"{split}: classes", ["class", "precision", "recall", "F1", "rows"], classes))
    definitions = [[name, meaning] for name, meaning in run.result["definitions"].items()]
    section.parts.append(Grid("What the names mean", ["metric", "definition"], definitions, texts=(1,)))
    return section


_PER_CLASS = ("precision", "recall", "class_f1")


def _learning(run: Evidence) -> Section:
    names = ["train/loss", "val/loss", "val/f1", "val/accuracy", "time/epoch_seconds"]
    rows = [
        [f"{row['epoch'] + 1:.0f}", *(f"{row[name]:.4f}" if name in row else "" for name in names)]
        for row in run.epochs
    ]
    best = run.result.get("best") or {}
    told = (
        f"The checkpoint of epoch {best['epoch'] + 1} was kept, the best by {best['monitor']}."
        if "epoch" in best
        else ""
    )
    picture = [figures.learning_curves(run)] if run.epochs else []
    return Section("Learning", [*picture, Grid("Epochs", ["epoch", *names], rows, told)])


def _confusion(run: Evidence) -> Section:
    section = Section("Confusion")
    for split, found in run.predictions.items():
        shares = found.counts / np.maximum(found.counts.sum(axis=1, keepdims=True), 1)
        rows = [
            [name, *(f"{count} ({share:.1%})" for count, share in zip(counts, parts, strict=True))]
            for name, counts, parts in zip(found.class_names, found.counts.tolist(), shares.tolist(), strict=True)
        ]
        section.parts.append(figures.confusion(split, found))
        section.parts.append(
            Grid(f"{split}: rows and share of the true class", ["true \\ predicted", *found.class_names], rows)
        )
    return section


def _slices(run: Evidence) -> Section:
    section = Section("Slices")
    found = run.predictions[run.headline]
    for name, values in found.slices().items():
        rows = []
        for value, members in values.items():
            counts = found.counts_of(members)
            scores, ends = scores_of(counts), bootstrap_intervals(counts)
            rows.append([value, *(_with_interval(scores[key], ends[key]) for key in SCORES), str(len(members))])
        few = any(len(members) < _FEW_ROWS for members in values.values())
        note = f"Slices of fewer than {_FEW_ROWS} rows tell little; their intervals are too narrow." if few else ""
        section.parts.append(Grid(f"{run.headline}: by {name}", [name, *SCORES.values(), "rows"], rows, note))
    section.parts = section.parts or ["The data has no language, genre or part, and no lengths were kept."]
    return section


def _probabilities(run: Evidence, calibration: Mapping[str, float]) -> Section:
    split, found = run.headline, run.predictions[run.headline]
    section = Section("Probabilities", [figures.precision_recall(split, found)])
    if not calibration:
        return section
    temperature = calibration["temperature"]
    scaled = apply_temperature(found.probabilities, temperature)
    before, after = reliability(found.probabilities, found.labels), reliability(scaled, found.labels)
    section.parts += [
        figures.reliability_curves(split, before, after),
        Grid(
            "Temperature, fitted on val",
            ["temperature", f"calibration error of {split}", "scaled"],
            [[f"{temperature:.3f}", f"{before.error:.4f}", f"{after.error:.4f}"]],
            "Above 1 the model was too sure of itself. Scaling changes no decision.",
        ),
    ]
    if "threshold" in calibration:
        rows = []
        for name, threshold in (("as it is", 0.5), ("best F1 of val", calibration["threshold"])):
            called = (scaled[:, 1] >= threshold).astype(np.int64)
            scores = scores_of(count_confusion(found.labels, called, 2))
            values = [scores["precision"][1], scores["recall"][1], scores["f1"], scores["accuracy"]]
            rows.append([name, f"{threshold:.3f}", *(f"{float(value):.3f}" for value in values)])
        columns = ["", "threshold", "precision", "recall", "F1", "accuracy"]
        section.parts.append(Grid(f"Where to draw the line for {found.class_names[1]} ({split})", columns, rows))
    return section


def _data(run: Evidence) -> Section:
    report = run.data_report
    rows = [
        [
            name,
            split["origin"],
            str(split["rows"]),
            ", ".join(f"{label} {count}" for label, count in split["classes"].items()),
            " / ".join(map(str, split["tokens"].values())),
            str(split["truncated"]),
            str(split["duplicates"]),
        ]
        for name, split in report["splits"].items()
    ]
    columns = ["split", "from", "rows", "classes", "tokens p50 / p90 / p99 / max", "truncated", "duplicates"]
    faults = [[f"texts in both splits of {pair}", str(count)] for pair, count in report["leaks"].items()]
    faults += [
        ["texts with two labels", str(report["label_conflicts"])],
        ["groups in two splits", str(report["groups_across"])],
    ]
    return Section("Data", [Grid("Splits", columns, rows), Grid("Faults", ["what", "how many"], faults)])


def _making(run: Evidence) -> Section:
    """Plan, versions, command and configuration."""
    environment = run.environment
    plan, machine = environment["plan"], environment["machine"]
    choices = [[name.replace("_", " "), str(plan[name]), reason] for name, reason in plan["reasons"].items()]
    versions = [
        [name, version] for name, version in {"python": environment["python"], **environment["packages"]}.items()
    ]
    cost = [
        [name.replace("_", " "), f"{value:,.0f}"]
        for name, value in run.result.items()
        if isinstance(value, (int, float))
    ]
    state = " with uncommitted changes" if environment["uncommitted"] else ""
    return Section(
        "How it was made",
        [
            f"Command: {record.command_line(environment)}",
            f"Commit: {environment['commit']}{state}. Machine: {machine['processor']}, {machine['threads']} threads, "
            f"GPUs: {', '.join(machine['gpus']) or 'none'}.",
            Grid(f"Plan: {plan['window_size']} rows an optimizer step", ["what", "choice", "why"], choices, texts=(2,)),
            Grid("Cost", ["what", "value"], cost),
            Grid("Versions", ["package", "version"], versions),
            f"Configuration: {record.CONFIG} in the same folder.",
        ],
    )
