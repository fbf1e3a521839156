"""Writes the page of one run with its figures, and the calibration of its tasks."""

from __future__ import annotations

from pathlib import Path

import yaml

from lit_humor.pages.page import Grid, Picture, Section, render
from lit_humor.reporting import figures
from lit_humor.reporting.evidence import Evidence, read_run
from lit_humor.reporting.kinds import find_modules
from lit_humor.runs import record
from lit_humor.tasks.reports.pictures import picture_sections

REPORT_HTML, PICTURES = "report.html", "report"


def write_report(folder: Path) -> Path:
    """Write ``report.html``, ``report/*.svg`` and, for some tasks, ``calibration.json`` into a run folder.

    Returns:
        The page.

    Raises:
        UserError: The run is not done.
        MissingExtraError: The ``report`` extra is not installed.
    """
    run = read_run(folder)
    config = yaml.safe_load(run.config)
    kinds = [(module, run.of_kind(kind)) for kind, module in find_modules(run.tasks.kinds, "sections").items()]
    definitions = [[name, meaning] for name, meaning in run.result["definitions"].items()]
    results = [grid for kind, own in kinds for grid in kind.results(own)] if kinds else _results(run)
    sections = [
        Section("Results", [*results, Grid("What the names mean", ["metric", "definition"], definitions, texts=(1,))]),
        _learning(run),
        *picture_sections(run, {kind: run.of_kind(kind) for kind in run.tasks.kinds}, folder, config),
        *(section for kind, own in kinds for section in kind.sections(own)),
        _data(run),
        _making(run),
    ]
    for section in sections:
        for index, part in enumerate(part for part in section.parts if isinstance(part, Picture)):
            path = folder / PICTURES / f"{section.name}{f'-{index + 1}' if index else ''}.svg"
            record.write_text(path, part.svg)
    if calibration := {name: value for kind, own in kinds for name, value in kind.calibrate(own).items()}:
        record.write_json(folder / record.CALIBRATION, calibration)
    page, lead = folder / REPORT_HTML, " ".join(kind.lead(own) for kind, own in kinds)
    record.write_text(page, render("report.html", title=f"Run {folder.name}", lead=lead, sections=sections))
    return page


def _results(run: Evidence) -> list[Grid]:
    """Return tables of metrics for tasks without sections of their own."""
    grids = []
    for split, numbers in run.results.items():
        baseline = run.baselines.get(split, {})
        rows = [
            [name, f"{value:.3f}", f"{baseline[name]:.3f}" if isinstance(baseline.get(name), float) else ""]
            for name, value in numbers.items()
            if isinstance(value, float)
        ]
        grids.append(Grid(f"{split}: {numbers['rows']:,} rows", ["metric", "model", "baseline"], rows))
    return grids


def _learning(run: Evidence) -> Section:
    names = list(dict.fromkeys(["train/loss", "val/loss", *run.tasks.curves, "time/epoch_seconds"]))
    rows = [
        [f"{row['epoch'] + 1:.0f}", *(f"{row[name]:.4f}" if name in row else "" for name in names)]
        for row in run.epochs
    ]
    best = run.result.get("best") or {}
    note = (
        f"The checkpoint of epoch {best['epoch'] + 1} was kept, the best by {best['monitor']}."
        if "epoch" in best
        else ""
    )
    picture = [figures.learning_curves(run)] if run.epochs else []
    return Section("Learning", [*picture, Grid("Epochs", ["epoch", *names], rows, note)])


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
    """Return the section on command, commit, plan, cost and versions."""
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
