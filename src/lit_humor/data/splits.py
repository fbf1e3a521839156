"""Split rows into parts of given sizes, stratified by class, with groups kept whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from lit_humor.core.errors import UserError
from lit_humor.core.seeds import derive_seed
from lit_humor.data.examples import Examples


def split_off(examples: Examples, fraction: float, seed: int, name: str) -> tuple[Examples, Examples]:
    """Split a fraction of the rows off.

    Strata are classes; a group counts to the class of most of its rows and is never torn apart.

    Args:
        examples: The rows to divide.
        fraction: Share of rows to split off, in (0, 1).
        seed: Seed of the split.
        name: Name of the new split; each name draws from its own stream of randomness.

    Returns:
        The remaining rows and the rows split off, both in file order.
    """
    generator = np.random.default_rng(derive_seed(seed, "split", name))
    groups: dict[object, list[int]] = defaultdict(list)
    for row in range(len(examples)):
        groups[row if examples.groups is None else examples.groups[row]].append(row)
    strata: dict[int, list[list[int]]] = defaultdict(list)
    for rows in groups.values():
        strata[int(np.bincount(examples.labels[rows]).argmax())].append(rows)
    off: list[int] = []
    for label in sorted(strata):
        off += _draw(strata[label], fraction, generator)
    taken = set(off)
    rest = examples.take([row for row in range(len(examples)) if row not in taken])
    return rest, replace(examples.take(sorted(off)), origin=f"{name} split off {examples.origin}")


def take_fold(examples: Examples, folds: int, fold: int, seed: int) -> tuple[Examples, Examples]:
    """Divide rows into folds, stratified by class, with groups kept whole, and take one out.

    Neighbours: ``split_off``, for a part of any size.

    Args:
        examples: The rows to divide.
        folds: Into how many.
        fold: Which one to take out, from 1; together they are all rows, each once.
        seed: Seed of the division.

    Returns:
        The other folds' rows and this fold's, both in file order.

    Raises:
        UserError: There is no such fold, or a class has too few rows or groups for so many.
    """
    if not 1 <= fold <= folds or folds < 2:
        expected = "2 folds or more, and one of them"
        raise UserError("data.fold", found=f"{fold} of {folds}", expected=expected, fix="set data.folds=5 data.fold=1")
    groups = np.arange(len(examples)) if examples.groups is None else np.asarray(examples.groups)
    for label, name in enumerate(examples.class_names):
        members = len(set(groups[examples.labels == label]))
        if members < folds:
            raise UserError(
                "data.folds",
                found=f"{folds}, but {members} rows or groups of class '{name}' in {examples.origin}",
                expected="one for each fold at least",
                fix=f"set data.folds={max(members, 2)}, or add rows",
            )
    divider = StratifiedGroupKFold(folds, shuffle=True, random_state=derive_seed(seed, "folds") % 2**32)
    parts = list(divider.split(np.zeros(len(examples)), examples.labels, groups))
    rest, off = (np.sort(rows) for rows in parts[fold - 1])
    return examples.take(rest), replace(examples.take(off), origin=f"fold {fold} of {folds} of {examples.origin}")


def _draw(members: Sequence[list[int]], fraction: float, generator: np.random.Generator) -> list[int]:
    wanted = round(fraction * sum(len(rows) for rows in members))
    drawn: list[int] = []
    for index in generator.permutation(len(members)):
        rows = members[index]
        if abs(len(drawn) + len(rows) - wanted) < abs(len(drawn) - wanted):  # a large group may lead past the mark
            drawn += rows
    return drawn or (min(members, key=len) if wanted else [])
