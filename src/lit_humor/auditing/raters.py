"""Agreement of several raters, whose labels stand side by side in a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lit_humor.core.errors import UserError, list_names
from lit_humor.core.remedies import nearest
from lit_humor.core.settings import typed
from lit_humor.data.examples import Examples, Reading
from lit_humor.data.reading.columns import match_column
from lit_humor.data.reading.spellings import canonical
from lit_humor.data.reading.tables import FILE, LINE, Table
from lit_humor.metrics.agreement import count_ratings, nominal_agreement

ALL = "all splits"
AGREEMENT_COLUMNS = ("split", "alpha [95 %]", "rows with two ratings or more", "ratings", "of each value")
_MOST_RATINGS = 100  # different ones; more are texts or measurements


def agreement(
    splits: Mapping[str, Examples], readings: Mapping[str, Reading], raters: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Measure how far raters agree, in each split and, of several, in all.

    All rows count, those without text or label included: where raters disagree, a label may be missing for it.

    Args:
        splits: The data.
        readings: The tables it was read from, by origin.
        raters: Columns of ratings, one a rater; two or more.

    Returns:
        By split: ``alpha`` and ``interval`` (None where not defined), ``rows`` with two ratings or more, their
        ``ratings``, ``num_rows`` of the split, and ``values``, how many of the ratings have each value.

    Raises:
        UserError: There are fewer than two raters, a column is missing, or ratings are no nominal labels.
    """
    tables = {name: readings[examples.origin].table for name, examples in splits.items()}
    ratings = {name: _ratings(table, raters, splits[name].origin) for name, table in tables.items()}
    if len(ratings) > 1:
        ratings[ALL] = [[cell for part in ratings.values() for cell in part[rater]] for rater in range(len(raters))]
    found = {}
    for name, columns in ratings.items():
        values, counts = count_ratings(columns)
        paired = counts[counts.sum(axis=1) > 1].sum(axis=0)
        frequencies = dict(zip(values, paired.tolist(), strict=True))
        found[name] = {**asdict(nominal_agreement(counts)), "num_rows": len(counts), "values": frequencies}
    return found


def agreement_lines(found: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return split, alpha with its interval, rows, ratings and different ratings as texts, for a table."""
    return [
        (
            split,
            "not defined" if one["alpha"] is None else "{:.3f} [{:.3f}, {:.3f}]".format(one["alpha"], *one["interval"]),
            f"{one['rows']:,} of {one['num_rows']:,}",
            f"{one['ratings']:,}",
            ", ".join(f"{value} ({count:,})" for value, count in one["values"].items()),
        )
        for split, one in found.items()
    ]


def _ratings(table: Table, raters: Sequence[str], origin: str) -> list[list[str]]:
    """Return [R][N] ratings in one spelling, empty where missing."""
    names = [name for name in table if name not in (LINE, FILE)]
    found = [match_column(names, (rater,)) for rater in raters]
    columns = list(dict.fromkeys(name for name in found if name is not None))
    if None in found or len(columns) < 2:
        missing = [rater for rater, name in zip(raters, found, strict=True) if name is None]
        meant = [*columns, *filter(None, (nearest(rater, [n for n in names if n not in columns]) for rater in missing))]
        meant = list(dict.fromkeys(meant))
        one_each = f"set {typed('raters', meant)}" if len(meant) > 1 else "set raters=[<column>,<column>]"
        raise UserError(
            "raters",
            found=f"[{list_names(raters)}], and columns [{list_names(map(repr, names))}] in {origin}",
            expected="two columns or more, one a rater",
            fix=f"{one_each}, or leave raters away",
        )
    ratings = [[canonical(value) for value in table[name]] for name in columns]
    for name, column in zip(columns, ratings, strict=True):
        if (count := len(set(column))) > _MOST_RATINGS:
            raise UserError(
                "raters",
                found=f"{count:,} different ratings in column '{name}' of {origin}",
                expected=f"labels, at most {_MOST_RATINGS} different ones",
                fix="set raters=[<column>,<column>], or leave raters away",
            )
    return ratings
