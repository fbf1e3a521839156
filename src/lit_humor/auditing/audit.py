"""Looks at a data set from all sides; shows, saves and, if asked, mends what it finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from lit_humor.auditing import duplicates, form, labels, shapes, texts
from lit_humor.auditing.cleaning import CHANGES, Decision, check_is_new, class_counts, decide, write_clean_copy
from lit_humor.auditing.mending import mend_splits
from lit_humor.auditing.rows import ERROR, NOTE, WARNING, Rows, join_splits
from lit_humor.config.command import choice
from lit_humor.core.errors import UserError
from lit_humor.core.settings import typed_command
from lit_humor.data.dividing.alike import clusters, exact_groups, near_pairs
from lit_humor.data.examples import tolerant_reading
from lit_humor.engine import factory, tables
from lit_humor.engine.configuration import validate
from lit_humor.engine.rundir import create_run_dir
from lit_humor.metrics.label_errors import LEAST_F1
from lit_humor.pages.page import render
from lit_humor.runs import record, screen

AUDIT_JSON, AUDIT_HTML = "audit.json", "audit.html"
_STEPS = 7
_CASES_ON_SCREEN, _CASES_IN_HTML = 3, 200


def audit(cfg: DictConfig) -> None:
    """Audit ``cfg.data`` as it stands in its files: nothing is split off."""
    if not 0 < cfg.similarity <= 1:
        raise UserError(
            "similarity", found=str(cfg.similarity), expected="0 < similarity <= 1", fix="set similarity=0.6"
        )
    if cfg.fix is not None:
        check_is_new(Path(cfg.fix))  # now, not after minutes of work
    cfg.data.val_fraction = cfg.data.test_fraction = 0.0
    cfg.data.leaks = "report"  # what a training may refuse is what is looked for here
    validate(cfg)
    with _progress() as step, tolerant_reading() as readings:
        step("read")
        datamodule = factory.build_datamodule(cfg.data, factory.resolve_pretrained(cfg), cfg.seed, plan=None)
        splits = datamodule.load()
        step("tokenize")
        found: dict[str, Any] = {"data": datamodule.report()}
        rows = join_splits(splits)
        step("languages")
        found["languages"] = {
            name: report["slices"].get("language") or texts.detect_languages(rows, name)
            for name, report in found["data"]["splits"].items()
        }
        step("damaged texts")
        mended = mend_splits(splits)
        findings = texts.rejected_findings(readings) + texts.text_findings(rows, mended)
        findings += form.truncation_findings(
            rows, [text for split in splits.values() for text in split.texts]
        ) + form.template_findings(rows)
        step("near duplicates")  # of mended texts: two that damage alone tells apart are one
        equal = exact_groups(mended.rows.texts)
        near = near_pairs(mended.rows.texts, cfg.similarity)
        findings += duplicates.duplicate_findings(rows, equal, near) + duplicates.group_findings(rows)
        related = related_rows(rows, equal, near)
        step("what gives the labels away")
        found["telling"] = labels.telling_features(rows)
        findings += labels.label_leak_findings(rows, found["telling"]) + shapes.shape_findings(rows, splits, readings)
        step("label errors")
        probabilities = labels.out_of_fold_probabilities(rows, related)
        found["baselines"] = labels.baselines(rows, probabilities)
        findings += labels.label_error_findings(rows, probabilities)
    findings.sort(key=lambda finding: (ERROR, WARNING, NOTE).index(finding.level))
    found["findings"] = [finding.to_dict() for finding in findings]
    _show(found)
    _save(cfg, found)
    if cfg.fix is not None:
        decisions = decide(rows, equal, related, mended.empty)
        done = write_clean_copy(Path(cfg.fix), rows, decisions, splits, readings, mended)
        counts = ", ".join(f"{count} rows {action}" for action, count in done.items())
        screen.show(f"Cleaned copy: {cfg.fix} ({counts}; each change in {CHANGES})")
        _show_sizes(rows, decisions)


def _show_sizes(rows: Rows, decisions: Sequence[Decision]) -> None:
    """Rows of each class before and after; a class that is gone from a split is worth a warning."""
    counts = class_counts(rows, decisions)
    lines = [(split, *(f"{before} -> {after}" for before, after in pairs)) for split, pairs in counts.items()]
    screen.show(screen.table("Rows before and after", ("split", *rows.class_names), lines))
    for split, pairs in counts.items():
        for name, (before, after) in zip(rows.class_names, pairs, strict=True):
            if before and not after:
                screen.show(
                    f"Warning: no row of class '{name}' is left in '{split}': they were equal or related to rows of "
                    "another split. similarity=0.8 relates fewer."
                )


@contextmanager
def _progress() -> Iterator[Any]:
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}")
    console = Console(force_jupyter=False)  # a notebook would keep every frame
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task, begun = bar.add_task("", total=_STEPS, visible=False), count()
        yield lambda what: bar.update(task, completed=next(begun), description=what, visible=True, refresh=True)


def related_rows(rows: Rows, equal: list[list[int]], near: list[tuple[int, int, float]]) -> np.ndarray:
    """[N] the same number for rows that must not be torn apart: equal, nearly equal, or of one group."""
    first: dict[str, int] = {}
    links = [(group[0], row) for group in equal for row in group[1:]] + [(one, other) for one, other, _ in near]
    links += [(first.setdefault(group, row), row) for row, group in enumerate(rows.groups) if group is not None]
    return clusters(len(rows), links)


def _show(found: dict[str, Any]) -> None:
    screen.show(*tables.data_tables(found["data"]))
    for name, languages in found["languages"].items():
        screen.show(f"languages ({name}): " + ", ".join(f"{code} {count}" for code, count in languages.items()))
    values = found["baselines"]
    simple = [(name.replace("_", " "), value) for name, value in values.items() if isinstance(value, float)]
    screen.show(screen.table("Simple models, cross-validated", ("what", "value"), simple))
    for name, slices in values["slices"].items():
        lines = [(value, one["rows"], one["tfidf_accuracy"]) for value, one in slices.items()]
        screen.show(screen.table(f"TF-IDF by {name}", (name, "rows", "accuracy"), lines))
    for label, features in found["telling"].items():
        told = [(repr(f["feature"]), f["rows"], f["share"]) for f in features[:8]]
        screen.show(screen.table(f"What speaks for '{label}'", ("feature", "rows", "share of them"), told))
    summary = [(f["level"], f["kind"], f["count"], f["title"], f["remedy"]) for f in found["findings"]]
    screen.show(screen.table("Findings", ("level", "kind", "cases", "what", "remedy"), summary))
    if "not_fitted" in values:
        screen.show(f"Labels were not judged: TF-IDF was not fitted, since {values['not_fitted']}.")
    elif values["tfidf_f1_macro"] < LEAST_F1:
        screen.show(f"Labels were not judged: TF-IDF's macro F1, {values['tfidf_f1_macro']:.2f}, is below {LEAST_F1}.")
    for finding in found["findings"]:
        shown = finding["cases"][: 1 if finding["level"] == NOTE else _CASES_ON_SCREEN]
        screen.show(f"\n{finding['kind']}: {finding['title']}", *map(_told, shown))


def _told(case: list[dict[str, Any]]) -> str:
    """A case on the screen: each row with its place and the beginning of its text."""
    lines = []
    for row in case:
        place = f"{row['file']}, line {row['line']}: " if "line" in row else ""
        lines.append(f"  {place}{row['text'][:150]}")
        if "balanced_accuracy" in row:
            low, high = row["interval"]
            sure = f"{row['balanced_accuracy']} (95 %: {low} to {high}; chance {row['chance']})"
            lines.append(f"    right in this share of rows, each class alike: {sure}")
        lines += [f"    {name}: {row[name]}" for name in ("mended", "gone", "template") if name in row]
    return "\n".join(lines[:4])


def _save(cfg: DictConfig, found: dict[str, Any]) -> None:
    folder = create_run_dir(cfg.paths.logs_dir, cfg.run_id, f"audit-{choice('data') or 'data'}")
    record.write_json(folder / AUDIT_JSON, found)
    origins = ", ".join(split["origin"] for split in found["data"]["splits"].values())
    page = render("audit.html", title=f"Audit of {origins}", command=typed_command(), audit=found, limit=_CASES_IN_HTML)
    record.write_text(folder / AUDIT_HTML, page)
    screen.write_log_to(folder / "log.txt")
    screen.show(f"\nAll cases: {folder / AUDIT_JSON}, to read: {folder / AUDIT_HTML}")
