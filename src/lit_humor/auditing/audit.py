"""Audits a data set: shows and saves the findings and, with ``fix=``, writes a repaired copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from lit_humor.auditing import duplicates, form, labels, shapes, texts
from lit_humor.auditing.answers import answer_findings, equal_rows, join_answers
from lit_humor.auditing.cleaning import (
    CHANGES,
    Decision,
    check_is_new,
    check_is_of_tables,
    class_counts,
    decide,
    write_clean_copy,
)
from lit_humor.auditing.near_vectors import vector_findings
from lit_humor.auditing.raters import AGREEMENT_COLUMNS, agreement, agreement_lines
from lit_humor.auditing.repairs import repair_splits
from lit_humor.auditing.rows import ERROR, NOTE, WARNING, Rows, join_splits
from lit_humor.config.command import choice
from lit_humor.config.schema.audit import AuditConfig
from lit_humor.config.validate import find_target
from lit_humor.core.bounds import out_of_bounds
from lit_humor.core.errors import UserError
from lit_humor.core.settings import typed_command
from lit_humor.data.dividing.similarity import clusters, exact_groups, near_pairs
from lit_humor.data.examples import tolerant_reading
from lit_humor.data.preparing.pairs import PairPreparation
from lit_humor.data.reading.places import name_place
from lit_humor.engine import factory, tables
from lit_humor.engine.configuration import validate
from lit_humor.engine.rundir import create_run_dir
from lit_humor.inference.text_vectors import open_vectors
from lit_humor.metrics.label_errors import LEAST_F1
from lit_humor.pages.page import Grid, render
from lit_humor.runs import record, screen
from lit_humor.tasks.embedding import Embedding

AUDIT_JSON, AUDIT_HTML = "audit.json", "audit.html"
_NUM_STEPS = 7  # and one for vectors
_AGREEMENT = "Agreement of raters: Krippendorff's alpha of nominal labels"
_CASES_ON_SCREEN, _CASES_IN_HTML = 3, 200
_CASE_VALUES = {"mended": "repaired", "gone": "removed"} | {
    name: name for name in ("template", "answer", "cosine")
}  # as shown


def audit(cfg: DictConfig) -> None:
    """Audit ``cfg.data`` with the splits that its files give: no rows are split off.

    Raises:
        UserError: A similarity is out of range, the folder of ``fix`` exists already, rows are not of a table, or there
            are no such vectors.
    """
    _settle(cfg)
    vectors = None if cfg.vectors is None else open_vectors(cfg.vectors, cfg.paths.cache_dir)
    with _progress(_NUM_STEPS + (vectors is not None)) as step, tolerant_reading() as readings:
        step("read")
        datamodule = factory.build_datamodule(cfg, factory.resolve_pretrained(cfg), plan=None)
        splits = datamodule.load()
        if cfg.fix is not None:
            check_is_of_tables(Path(cfg.fix), splits, readings)
        agreements = agreement(splits, readings, list(cfg.raters)) if cfg.raters is not None else {}
        step("tokenize")
        report: dict[str, Any] = {"data": datamodule.report(), "agreement": agreements}
        rows, answers = join_splits(splits), join_answers(splits)
        step("languages")
        report["languages"] = {
            name: split_report["slices"].get("language") or texts.detect_languages(rows, name)
            for name, split_report in report["data"]["splits"].items()
        }
        step("damaged texts")
        repaired = repair_splits(splits)
        findings = texts.rejected_findings(readings) + texts.text_findings(rows, repaired)
        findings += form.truncation_findings(
            rows, [text for split in splits.values() for text in split.texts]
        ) + form.template_findings(rows)
        step("near duplicates")  # of repaired texts: damage alone must not make two texts different
        equal_groups = exact_groups(repaired.rows.texts)
        near_duplicates = near_pairs(repaired.rows.texts, cfg.similarity)
        equal = equal_rows(equal_groups, rows, answers)
        findings += duplicates.duplicate_findings(rows, equal, near_duplicates) + duplicates.group_findings(rows)
        if answers is not None:
            findings += answer_findings(rows, answers, equal_groups, cfg.similarity, datamodule.preparation)
        cluster_numbers = related_rows(rows, equal_groups, near_duplicates)
        if vectors is not None:
            step("vectors")
            named = report["vectors"] = {"name": vectors.name, "similarity": cfg.vectors_similarity}
            findings += vector_findings(rows, repaired.rows.texts, near_duplicates, vectors.of, **named)
        step("features that predict the labels")
        report["telling"] = labels.telling_features(rows)
        findings += labels.label_leak_findings(rows, report["telling"]) + shapes.shape_findings(rows, splits, readings)
        step("label errors")
        probabilities = labels.out_of_fold_probabilities(rows, cluster_numbers)
        report["baselines"] = labels.baselines(rows, probabilities)
        findings += labels.label_error_findings(rows, probabilities)
    findings.sort(key=lambda finding: (ERROR, WARNING, NOTE).index(finding.level))
    report["findings"] = [finding.to_dict() for finding in findings]
    _show(report)
    _save(cfg, report)
    if cfg.fix is not None:
        decisions = decide(rows, equal, cluster_numbers, repaired.empty)
        action_counts = write_clean_copy(Path(cfg.fix), rows, decisions, splits, readings, repaired)
        summary = ", ".join(f"{count} rows {action}" for action, count in action_counts.items())
        screen.show(f"Cleaned copy: {cfg.fix} ({summary}; each change in {CHANGES})")
        _show_sizes(rows, decisions)


def _settle(cfg: DictConfig) -> None:
    """Check all settings before the minutes of work, and have the data read as its files are."""
    if not 0 < cfg.similarity <= 1:
        raise UserError(
            "similarity", found=str(cfg.similarity), expected="0 < similarity <= 1", fix="set similarity=0.6"
        )
    for problem in out_of_bounds(AuditConfig, {"vectors_similarity": cfg.vectors_similarity}, ""):
        raise problem
    if cfg.fix is not None:
        check_is_new(Path(cfg.fix))
    cfg.data.val_fraction = cfg.data.test_fraction = 0.0
    cfg.data.leaks = "report"  # training may reject leaks; the audit reports them
    if OmegaConf.select(cfg, "data.writing_share") is not None:
        cfg.data.writing_share = None  # rows that it repeats are no faults
    validate(_with_a_task(cfg))


def _with_a_task(cfg: DictConfig) -> DictConfig:
    """Return the configuration as one of a training: with a task where its model has no head for classes."""
    node = cfg.model.preparation
    if node is None or find_target("model.preparation", node["_target_"]) is not PairPreparation:
        return cfg
    target = f"{Embedding.__module__}.{Embedding.__name__}"
    plain: Any = OmegaConf.to_container(cfg, resolve=False)
    return OmegaConf.create(plain | {"tasks": {Embedding.kind: {"_target_": target}}})


def _show_sizes(rows: Rows, decisions: Sequence[Decision]) -> None:
    """Show the rows of each class before and after; warn of a class that has no rows left in a split."""
    counts = class_counts(rows, decisions)
    lines = [(split, *(f"{before} -> {after}" for before, after in pairs)) for split, pairs in counts.items()]
    screen.show(screen.table("Rows before and after", ("split", *rows.class_names), lines))
    for split, pairs in counts.items():
        for name, (before, after) in zip(rows.class_names, pairs, strict=True):
            if before and not after:
                screen.show(
                    f"Warning: no row of class '{name}' is left in '{split}': they were equal or related to rows of "
                    "another split. With similarity=0.8 fewer rows are related."
                )


@contextmanager
def _progress(num_steps: int) -> Iterator[Any]:
    """Show a progress bar; yields a function that starts the next step, given its description."""
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}")
    console = Console(force_jupyter=False)  # a notebook would keep every frame
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as bar:
        task, step_numbers = bar.add_task("", total=num_steps, visible=False), count()
        yield lambda description: bar.update(
            task, completed=next(step_numbers), description=description, visible=True, refresh=True
        )


def related_rows(
    rows: Rows, equal_groups: list[list[int]], near_duplicates: list[tuple[int, int, float]]
) -> np.ndarray:
    """Return [N] cluster numbers: rows that are equal, nearly equal or of one group have the same number."""
    first_row_of_group: dict[str, int] = {}
    edges = [(group[0], row) for group in equal_groups for row in group[1:]] + [
        (first, second) for first, second, _ in near_duplicates
    ]
    edges += [
        (first_row_of_group.setdefault(group, row), row) for row, group in enumerate(rows.groups) if group is not None
    ]
    return clusters(len(rows), edges)


def _show(report: dict[str, Any]) -> None:
    screen.show(*tables.data_tables(report["data"]))
    for name, languages in report["languages"].items():
        screen.show(f"languages ({name}): " + ", ".join(f"{code} {count}" for code, count in languages.items()))
    if report["agreement"]:
        screen.show(screen.table(_AGREEMENT, AGREEMENT_COLUMNS, agreement_lines(report["agreement"])))
    baseline_scores = report["baselines"]
    scalar_scores = [
        (name.replace("_", " "), value) for name, value in baseline_scores.items() if isinstance(value, float)
    ]
    if any(split["classes"] for split in report["data"]["splits"].values()):
        screen.show(screen.table("Simple models, cross-validated", ("what", "value"), scalar_scores))
    for name, slices in baseline_scores["slices"].items():
        lines = [(value, scores["rows"], scores["tfidf_accuracy"]) for value, scores in slices.items()]
        screen.show(screen.table(f"TF-IDF by {name}", (name, "rows", "accuracy"), lines))
    for label, features in report["telling"].items():
        feature_lines = [(repr(item["feature"]), item["rows"], item["share"]) for item in features[:8]]
        screen.show(
            screen.table(f"Features typical of '{label}'", ("feature", "rows", "share in the class"), feature_lines)
        )
    summary = [
        (item["level"], item["kind"], item["count"], item["title"], item["remedy"]) for item in report["findings"]
    ]
    screen.show(screen.table("Findings", ("level", "kind", "cases", "what", "remedy"), summary))
    if "not_fitted" in baseline_scores:
        screen.show(f"Labels were not checked: TF-IDF was not fitted, because {baseline_scores['not_fitted']}.")
    elif baseline_scores["tfidf_f1_macro"] < LEAST_F1:
        screen.show(
            f"Labels were not checked: TF-IDF's macro F1, {baseline_scores['tfidf_f1_macro']:.2f}, is below {LEAST_F1}."
        )
    for finding in report["findings"]:
        shown = finding["cases"][: 1 if finding["level"] == NOTE else _CASES_ON_SCREEN]
        screen.show(f"\n{finding['kind']}: {finding['title']}", *map(_case_text, shown))


def _case_text(case: list[dict[str, Any]]) -> str:
    """Return a case as text for the screen: each row with its place and the beginning of its text."""
    lines = []
    for row in case:
        place = f"{row['file']}, {name_place(row['line'])}: " if "line" in row else ""
        lines.append(f"  {place}{row['text'][:150]}")
        if "balanced_accuracy" in row:
            low, high = row["interval"]
            score_text = f"{row['balanced_accuracy']} (95 %: {low} to {high}; chance {row['chance']})"
            lines.append(f"    balanced accuracy of this feature alone: {score_text}")
        lines += [f"    {title}: {row[name]}" for name, title in _CASE_VALUES.items() if name in row]
    return "\n".join(lines[:4])


def _save(cfg: DictConfig, report: dict[str, Any]) -> None:
    """Write the report as JSON and HTML to a new run folder."""
    folder = create_run_dir(cfg.paths.logs_dir, cfg.run_id, f"audit-{choice('data') or 'data'}")
    record.write_json(folder / AUDIT_JSON, report)
    origins = ", ".join(split["origin"] for split in report["data"]["splits"].values())
    page = render(
        "audit.html",
        title=f"Audit of {origins}",
        command=typed_command(),
        audit=report,
        limit=_CASES_IN_HTML,
        agreement=Grid(_AGREEMENT, list(AGREEMENT_COLUMNS), list(map(list, agreement_lines(report["agreement"])))),
    )
    record.write_text(folder / AUDIT_HTML, page)
    screen.write_log_to(folder / "log.txt")
    screen.show(f"\nAll cases: {folder / AUDIT_JSON}; as a page: {folder / AUDIT_HTML}")
