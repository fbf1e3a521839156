"""Texts that stand there twice or nearly so: within a split, across splits, with two labels; and groups torn apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from lit_humor.auditing.rows import ERROR, WARNING, Finding, Rows


def duplicate_findings(
    rows: Rows, groups: Sequence[Sequence[int]], pairs: Sequence[tuple[int, int, float]]
) -> list[Finding]:
    """Tell duplicates within and across splits, and equal texts with two labels.

    Args:
        rows: All rows.
        groups: As given by ``exact_groups``.
        pairs: As given by ``near_pairs``.
    """
    within: list[list[int]] = []
    across: list[list[int]] = []
    conflicts: list[list[int]] = []
    for group in groups:
        several_labels = len({int(rows.labels[row]) for row in group}) > 1
        if several_labels:
            conflicts.append(list(group))
        if len({rows.splits[row] for row in group}) > 1:
            across.append(list(group))
        elif not several_labels:
            within.append(list(group))
    near: dict[bool, list[list[dict]]] = {True: [], False: []}
    for one, other, similarity in pairs:
        if rows.groups[one] is not None and rows.groups[one] == rows.groups[other]:
            continue  # known to belong together
        case = [rows.describe(one), rows.describe(other) | {"similarity": round(similarity, 3)}]
        near[rows.splits[one] == rows.splits[other]].append(case)

    def cases(found: list[list[int]]) -> list[list[dict]]:
        return [[rows.describe(row) for row in group] for group in found]

    fix = "fix=<folder> writes a copy without them"
    found = [
        Finding("label_conflicts", ERROR, "equal texts, different labels", "decide; fix= drops both", cases(conflicts)),
        Finding("duplicates_across", ERROR, "equal texts in two splits: the later one is leaked", fix, cases(across)),
        Finding("near_duplicates_across", ERROR, "nearly equal texts in two splits", fix, near[False]),
        Finding("duplicates_within", WARNING, "equal texts within a split", fix, cases(within)),
        Finding("near_duplicates_within", WARNING, "nearly equal texts within a split", "read them", near[True]),
    ]
    return [finding for finding in found if finding.cases]


def group_findings(rows: Rows) -> list[Finding]:
    """Tell groups that have rows in two splits."""
    members: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(rows.groups):
        if group is not None:
            members[group].append(row)
    torn = [
        [rows.describe(next(row for row in of if rows.splits[row] == split)) | {"group": group} for split in splits]
        for group, of in members.items()
        if len(splits := list(dict.fromkeys(rows.splits[row] for row in of))) > 1
    ]
    remedy = "fix=<folder> moves each group into one split"
    return [Finding("groups_across", ERROR, "groups with rows in two splits", remedy, torn)] if torn else []
