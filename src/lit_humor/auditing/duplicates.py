"""Finds equal and nearly equal texts (within a split, across splits, with two labels) and groups in two splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from lit_humor.auditing.rows import ERROR, WARNING, Finding, Rows


def duplicate_findings(
    rows: Rows, groups: Sequence[Sequence[int]], pairs: Sequence[tuple[int, int, float]]
) -> list[Finding]:
    """Find equal and nearly equal texts within and across splits, and equal texts with different labels.

    Args:
        rows: All rows.
        groups: Row numbers of equal texts, from ``exact_groups``.
        pairs: Two row numbers and their similarity, from ``near_pairs``.

    Returns:
        The findings that have cases.
    """
    within: list[list[int]] = []
    across: list[list[int]] = []
    conflicts: list[list[int]] = []
    for group in groups:
        labels_differ = len({int(rows.labels[row]) for row in group}) > 1
        if labels_differ:
            conflicts.append(list(group))
        if len({rows.splits[row] for row in group}) > 1:
            across.append(list(group))
        elif not labels_differ:
            within.append(list(group))
    near: dict[bool, list[list[dict]]] = {True: [], False: []}  # by whether both texts are in the same split
    for first, second, similarity in pairs:
        if rows.groups[first] is not None and rows.groups[first] == rows.groups[second]:
            continue  # the data already says that they belong together
        pair = [rows.describe(first), rows.describe(second) | {"similarity": round(similarity, 3)}]
        near[rows.splits[first] == rows.splits[second]].append(pair)

    def cases(groups_of_rows: list[list[int]]) -> list[list[dict]]:
        return [[rows.describe(row) for row in group] for group in groups_of_rows]

    fix = "fix=<folder> writes a copy without them"
    findings = [
        Finding(
            "label_conflicts",
            ERROR,
            "equal texts, different labels",
            "choose a label; fix= drops all",
            cases(conflicts),
        ),
        Finding("duplicates_across", ERROR, "equal texts in two splits (a leak)", fix, cases(across)),
        Finding("near_duplicates_across", ERROR, "nearly equal texts in two splits", fix, near[False]),
        Finding("duplicates_within", WARNING, "equal texts within a split", fix, cases(within)),
        Finding("near_duplicates_within", WARNING, "nearly equal texts within a split", "read them", near[True]),
    ]
    return [finding for finding in findings if finding.cases]


def group_findings(rows: Rows) -> list[Finding]:
    """Find groups that have rows in more than one split."""
    rows_by_group: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(rows.groups):
        if group is not None:
            rows_by_group[group].append(row)
    cases = [
        [
            rows.describe(next(row for row in members if rows.splits[row] == split)) | {"group": group}
            for split in splits
        ]
        for group, members in rows_by_group.items()
        if len(splits := list(dict.fromkeys(rows.splits[row] for row in members))) > 1
    ]
    remedy = "fix=<folder> moves each group into one split"
    return [Finding("groups_across", ERROR, "groups with rows in two splits", remedy, cases)] if cases else []
