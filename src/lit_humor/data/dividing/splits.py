"""Split rows into parts of given sizes, stratified by class, with rows that belong together kept whole.

Legend: N rows, C classes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from lit_humor.core.batch import TEST, TRAIN, VAL
from lit_humor.core.errors import UserError
from lit_humor.core.seeds import derive_seed
from lit_humor.data.dividing.related import LEVELS, Related, find_related
from lit_humor.data.examples import Examples
from lit_humor.data.settings import DataSettings


@dataclass(frozen=True)
class Drawn:
    """Splits that were drawn from the training rows.

    Attributes:
        splits: All splits, drawn and given.
        names: Those that were drawn, and ``train``, which they were drawn from.
        classes: For each class the training rows before anything was drawn, and how many of them can be told apart:
            clusters of rows of one group or of equal texts.
        alike: For the data report: ``similarity``, ``rows`` that stay together with others, their ``clusters``, and
            ``divided``, rows of clusters that were too large for any split. Empty where nobody looked.
    """

    splits: dict[str, Examples]
    names: tuple[str, ...] = ()
    classes: tuple[tuple[int, int], ...] = ()
    alike: Mapping[str, Any] = field(default_factory=dict)


def draw_missing(
    splits: Mapping[str, Examples], settings: DataSettings, announce: Callable[[str], object] = lambda line: None
) -> Drawn:
    """Draw a fold and the splits that are missing from the training rows.

    Args:
        splits: What the source has.
        settings: Which fold, which shares, which seed, and from which similarity on texts stay together.
        announce: Called with a line before the work takes long.

    Raises:
        UserError: There is no such fold, or a class has too few rows or groups for so many.
    """
    shares = {TEST: settings.test_fraction, VAL: settings.val_fraction}
    names = [name for name, share in shares.items() if share > 0 and name not in splits]
    if settings.folds:
        names = [TEST, *(name for name in names if name != TEST)]
    if TRAIN not in splits or not names:
        return Drawn(dict(splits))
    train, similarity, seed = splits[TRAIN], settings.split_similarity, settings.split_seed
    if settings.folds:
        _check_fold(settings)
    related = whole = find_related(train, similarity, settings.cache_dir, announce)
    found, rest, divided = dict(splits), np.arange(len(train)), np.zeros(len(train), dtype=bool)
    for later, name in zip(reversed(range(len(names))), names, strict=True):
        if name == TEST and settings.folds:
            _check_members(train, related, settings.folds, least=2 + later)
            part = take_fold(train.labels, related, settings.folds, settings.fold, seed)
            origin = f"fold {settings.fold} of {settings.folds} of {train.origin}"
        else:
            every_class = name == VAL or similarity is not None  # None draws tests as runs did that know no such key
            part = split_off(train.labels[rest], related, shares[name], seed, name, 1 + later, every_class)
            origin = f"{name} split off {train.origin}"
        found[name] = replace(train.take(rest[part.off]), origin=origin)
        divided[rest[part.divided]] = True
        rest, related = rest[part.rest], related.take(part.rest)
    found[TRAIN] = train.take(rest)
    classes = tuple(
        (int(there.sum()), len(np.unique(whole.units[there])))
        for there in (train.labels == label for label in range(len(train.class_names)))
    )
    return Drawn(found, (TRAIN, *names), classes, _describe(whole, similarity, divided))


def _check_fold(settings: DataSettings) -> None:
    if not 1 <= settings.fold <= settings.folds or settings.folds < 2:
        found, expected = f"{settings.fold} of {settings.folds}", "2 folds or more, and one of them"
        raise UserError("data.fold", found=found, expected=expected, fix="set data.folds=5 data.fold=1")


def _check_members(train: Examples, related: Related, folds: int, least: int) -> None:
    """Each class needs a row, or a cluster of equal ones, in each fold, and ``least`` in all."""
    members = [len(np.unique(related.units[train.labels == label])) for label in range(len(train.class_names))]
    fewest = min(members)
    name = train.class_names[members.index(fewest)]
    if fewest < max(folds, least):
        what = "different texts" if train.groups is None else "groups or different texts"
        raise UserError(
            "data.folds",
            found=f"{folds}, but {fewest} {what} of class '{name}' in {train.origin}",
            expected=f"{max(folds, least)} of them at least",
            fix=f"set data.folds={fewest}, or add rows" if fewest >= least else "add rows of that class",
        )


def _describe(related: Related, similarity: float | None, divided: np.ndarray) -> dict[str, Any]:
    if similarity is None:
        return {}
    sizes = np.unique(related.clusters(), return_counts=True)[1]
    together = sizes[sizes > 1]
    counts = {"rows": int(together.sum()), "clusters": len(together), "divided": int(divided.sum())}
    return {"similarity": similarity, **counts}


@dataclass(frozen=True)
class Part:
    """Rows divided in two, by position.

    Attributes:
        rest: The remaining rows, in file order.
        off: The rows split off, in file order.
        divided: Rows of clusters that were too large to stay whole.
    """

    rest: np.ndarray
    off: np.ndarray
    divided: np.ndarray


def split_off(
    labels: np.ndarray, related: Related, fraction: float, seed: int, name: str, keep: int = 1, every_class: bool = True
) -> Part:
    """Split a fraction of the rows off.

    Strata are classes; a cluster of related rows counts to the class of most of its rows. Where clusters are so large
    that a class would get less than half or more than twice its share, they are divided: only rows that are more alike
    stay together then. Groups and equal texts always do.

    Args:
        labels: [N] class indices.
        related: Which rows belong together.
        fraction: Share of rows to split off, in (0, 1).
        seed: Seed of the split.
        name: Name of the new split; each name draws from its own stream of randomness.
        keep: How many clusters of each class the rest needs: one for each split that is still to be drawn from it, and
            one to train on. A class with more than that gets a row on both sides.
        every_class: Whether rounding may leave the new split without a class that has the rows.
    """
    whole = related.clusters()
    for level in (*LEVELS, None):
        generator = np.random.default_rng(derive_seed(seed, "split", name))
        members = _members(related.clusters())
        chosen = _draw(members, labels, fraction, generator)
        _serve_each_class(members, chosen, labels, keep, every_class, generator)
        off = np.zeros(len(labels), dtype=bool)
        off[[row for index in chosen for row in members[index]]] = True
        large = _too_large(labels, off, related, fraction, keep)
        if level is None or not large.any() or not len(related.pairs):
            break
        related = related.divide(large, level)
    return Part(np.flatnonzero(~off), np.flatnonzero(off), _divided(whole, related.clusters()))


def take_fold(labels: np.ndarray, related: Related, folds: int, fold: int, seed: int) -> Part:
    """Divide rows into folds, stratified by class, with clusters of related rows kept whole, and take one out.

    Neighbours: ``split_off``, for a part of any size.

    Args:
        labels: [N] class indices.
        related: Which rows belong together.
        folds: Into how many.
        fold: Which one to take out, from 1; together they are all rows, each once.
        seed: Seed of the division.
    """
    whole = related.clusters()
    for level in (*LEVELS, None):
        if level is not None and len(np.unique(related.clusters())) < folds:  # nearly all rows are alike
            related = related.divide(np.ones(len(labels), dtype=bool), level)
            continue
        divider = StratifiedGroupKFold(folds, shuffle=True, random_state=derive_seed(seed, "folds") % 2**32)
        large = np.zeros(len(labels), dtype=bool)
        parts = []
        for _, rows in divider.split(np.zeros(len(labels)), labels, related.clusters()):
            off = np.zeros(len(labels), dtype=bool)
            off[rows] = True
            large |= _too_large(labels, off, related, 1 / folds, 1)
            parts.append(off)
        if level is None or not large.any() or not len(related.pairs):
            break
        related = related.divide(large, level)
    off = parts[fold - 1]
    return Part(np.flatnonzero(~off), np.flatnonzero(off), _divided(whole, related.clusters()))


def _members(clusters: np.ndarray) -> list[list[int]]:
    """Rows of each cluster, in the order of their first rows."""
    members: dict[int, list[int]] = defaultdict(list)
    for row, cluster in enumerate(clusters.tolist()):
        members[cluster].append(row)
    return list(members.values())


def _draw(
    members: Sequence[list[int]], labels: np.ndarray, fraction: float, generator: np.random.Generator
) -> set[int]:
    """Positions of the clusters that are split off."""
    strata: dict[int, list[int]] = defaultdict(list)
    for index, rows in enumerate(members):
        strata[int(np.bincount(labels[rows]).argmax()) if len(rows) > 1 else int(labels[rows[0]])].append(index)
    chosen: set[int] = set()
    for label in sorted(strata):
        sizes = [len(members[index]) for index in strata[label]]
        wanted, drawn, count = round(fraction * sum(sizes)), [], 0
        for place in generator.permutation(len(sizes)):
            if abs(count + sizes[place] - wanted) < abs(count - wanted):  # a large cluster may lead past the mark
                drawn.append(strata[label][place])
                count += sizes[place]
        chosen |= set(drawn or ([min(strata[label], key=lambda index: len(members[index]))] if wanted else []))
    return chosen


def _serve_each_class(
    members: Sequence[list[int]],
    chosen: set[int],
    labels: np.ndarray,
    keep: int,
    every_class: bool,
    generator: np.random.Generator,
) -> None:
    """Change ``chosen`` where the rest or the new split lacks a class, rarest class first."""
    holders: dict[int, list[int]] = defaultdict(list)  # clusters that have rows of a class, smallest first
    for index in sorted(generator.permutation(len(members)).tolist(), key=lambda index: len(members[index])):
        for label in set(labels[members[index]].tolist()):
            holders[label].append(index)
    needed = {label: min(len(holding), keep) for label, holding in holders.items()}
    left = {label: len(set(holding) - chosen) for label, holding in holders.items()}

    def move(index: int, back: bool) -> None:
        (chosen.discard if back else chosen.add)(index)
        for label in set(labels[members[index]].tolist()):
            left[label] += 1 if back else -1

    for label in sorted(holders, key=lambda label: (len(holders[label]), label)):
        for index in [index for index in holders[label] if index in chosen][: max(0, needed[label] - left[label])]:
            move(index, back=True)
        if every_class and len(holders[label]) > keep and left[label] == len(holders[label]):
            for index in holders[label]:
                if all(left[other] > needed[other] for other in set(labels[members[index]].tolist())):
                    move(index, back=False)
                    break


def _too_large(labels: np.ndarray, off: np.ndarray, related: Related, fraction: float, keep: int) -> np.ndarray:
    """[N] bool, rows of the clusters that keep a class from its share: half of it to twice, or a row at all."""
    clusters = related.clusters()
    large = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        there = labels == label
        wanted, count = fraction * there.sum(), off[there].sum()
        if wanted / 2 <= count <= 2 * wanted + 1 and (count or len(np.unique(related.units[there])) <= keep):
            continue
        sizes = np.bincount(clusters[there], minlength=int(clusters.max()) + 1)
        bound = wanted if (sizes > max(1, wanted)).any() else sizes.max() - 1
        large |= sizes[clusters] > max(1, bound)
    return large


def _divided(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Rows whose cluster fell into several."""
    parts = np.unique(np.stack([before, after]), axis=1)[0]  # a column for each cluster of now: which one it was in
    several, counts = np.unique(parts, return_counts=True)
    return np.flatnonzero(np.isin(before, several[counts > 1]))
