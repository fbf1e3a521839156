"""Writes the table of a guide: what to type, how fast, beside what is claimed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from lit_humor.benchmarking import output
from lit_humor.benchmarking.ladder_table import is_slower
from lit_humor.core import markdown

_HEADER = ("change", "type", "of row", "rows/s", "x that row", "x row 1", "claimed", "graphs", "peak MiB", "remark")


def ratios(row: Mapping[str, Any], other: Mapping[str, Any]) -> list[float]:
    """Return the pace of a row over that of another, for each repeat that both have; empty without one."""
    return [mine / theirs for mine, theirs in zip(paces(row), paces(other), strict=False)]


def paces(row: Mapping[str, Any]) -> list[float]:
    """Return rows a second, for each repeat."""
    return [row["rows"] / seconds for seconds in row["seconds"]]


def guide_markdown(title: str, words: Sequence[str], content: Mapping[str, Any]) -> str:
    """Return the table of a guide with an explanation, as Markdown.

    Args:
        title: Its title.
        words: Words of the command line that are no settings of ``bench.py`` itself.
        content: What was measured, see ``suites/families.py``.
    """
    asked, rows = content["asked"], content["rows"]
    lines = [
        f"# {title}",
        "",
        output.command_line(words),
        f"- The same training rows for every row of the table, {asked['steps']} optimizer steps at most: loading, "
        f"forward, backward, clip, AdamW; each in a process of its own; {asked['repeats']} repeats, interleaved, the "
        "order reversed in every second; median, range in brackets.",
        f"- Type: on top of `{' '.join(asked['base'])}` and of what the row named in 'of row' has. Italics are no "
        "setting of the project.",
        "- x: the pace compared with that of another row, within a repeat, median; rows of texts and of train.py are "
        "compared with rows of their kind. Claimed: what the guide says; docs/speed.md has the source.",
        "- Graphs: those of torch.compile for 4 steps of 4 rows, counted without making code of them. Peak: memory of "
        "the GPU, or of the process on a CPU.",
        *([f"- {asked['note']}"] if asked["note"] else []),
        output.machine_line(content["machine"]),
        output.commit_line([content]),
        "",
    ]
    table = markdown.table(_HEADER, [_cells(row, rows) for row in rows])
    return "\n".join([*lines, *table, "", *_slower(rows)]) + "\n"


def _cells(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    other = _row_of(row, rows)
    pace = markdown.median_range(paces(row), 1) if row["seconds"] else ""
    typed = " ".join(f"`{setting}`" for setting in row["settings"]) or (f"*{row['effect']}*" if row["effect"] else "")
    cells = [f"{row['number']} {row['name']}", typed, str(other["number"]) if other else "", pace]
    cells += [_median(ratios(row, other)) if other and other["kind"] == row["kind"] else ""]
    cells += [_median(ratios(row, rows[0])) if rows[0]["kind"] == row["kind"] else ""]
    cells += [row["claimed"], "" if row["graphs"] is None else str(row["graphs"])]
    return [*cells, "" if row["peak_memory_mib"] is None else f"{row['peak_memory_mib']:.0f}", _remark(row)]


def _row_of(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return next((other for other in rows if other["name"] == row["on"]), None)


def _median(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f}" if values else ""


def _remark(row: Mapping[str, Any]) -> str:
    """Return what numbers cannot say: why there are none, what is refused, how far the gradient moves."""
    said = [row["reason"]] if row["reason"] else [] if row["seconds"] else ["not measured yet"]
    if row["gradient_difference"] is not None:
        said.append(f"moves the gradient by {100 * row['gradient_difference']:.2g} %")
    if row["refused"]:
        said.append(f"not offered: {row['refused']}")
    if row["first_seconds"] is not None:
        said.append(f"the same steps take {row['first_seconds']:.0f} s the first time")
    if row["gave_up"]:
        said.append("recompiled too often, so torch stops: the rest runs as without it")
    if row["cut"] is not None:
        said.append(f"{row['cut']} of {row['rows']} texts are cut")
    return "; ".join(said)


def _slower(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each row that is slower than the row it changes, or a line that there is none."""
    lines = []
    for row in rows:
        other = _row_of(row, rows)
        found = ratios(row, other) if other and other["kind"] == row["kind"] else []
        if is_slower(found):
            pace = f"{_median(found)} of its pace, below 1 in every repeat"
            lines.append(f"- **Slower than row {other['number']}**: {row['number']} {row['name']}, {pace}.")  # type: ignore[index]
    return lines or ["- No row is slower in every repeat than the row it changes."]
