"""Splits rows into parts of given sizes, stratified by class; rows that belong together stay in one part.

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
        names: The drawn splits, and ``train``, which they were drawn from.
        classes: For each class the number of training rows before drawing, and the number of units among them: rows of
            one group or of equal texts are one unit.
        alike: For the data report: ``similarity``, ``rows`` in clusters of several rows, number of these ``clusters``,
            and ``divided``, rows of clusters that were too large for a split. Empty if nothing was compared.
    """

    splits: dict[str, Examples]
    names: tuple[str, ...] = ()
    classes: tuple[tuple[int, int], ...] = ()
    alike: Mapping[str, Any] = field(default_factory=dict)


def draw_missing(
    splits: Mapping[str, Examples], settings: DataSettings, announce: Callable[[str], object] = lambda line: None
) -> Drawn:
    """Draw a fold, and the splits that are missing, from the training rows.

    Args:
        splits: The splits of the source.
        settings: Fold, shares, seed, and the similarity of texts that stay together.
        announce: Called with a message before a long search.

    Raises:
        UserError: There is no such fold, or a class has too few rows or groups for the number of folds.
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
    related = all_related = find_related(train, similarity, settings.cache_dir, announce)
    new_splits, remaining, divided = dict(splits), np.arange(len(train)), np.zeros(len(train), dtype=bool)
    for num_later, name in zip(reversed(range(len(names))), names, strict=True):
        if name == TEST and settings.folds:
            _check_enough_units(train, related, settings.folds, min_total=2 + num_later)
            part = take_fold(train.labels, related, settings.folds, settings.fold, seed)
            origin = f"fold {settings.fold} of {settings.folds} of {train.origin}"
        else:
            every_class = name == VAL or similarity is not None  # None: the test split of older runs
            part = split_off(train.labels[remaining], related, shares[name], seed, name, 1 + num_later, every_class)
            origin = f"{name} split off {train.origin}"
        new_splits[name] = replace(train.take(remaining[part.off]), origin=origin, num_without_target=0)
        divided[remaining[part.divided]] = True
        remaining, related = remaining[part.rest], related.take(part.rest)
    new_splits[TRAIN] = train.take(remaining)
    classes = tuple(
        (int(in_class.sum()), len(np.unique(all_related.units[in_class])))
        for in_class in (train.labels == label for label in range(train.num_strata))
    )
    return Drawn(new_splits, (TRAIN, *names), classes, _describe(all_related, similarity, divided))


def _check_fold(settings: DataSettings) -> None:
    if not 1 <= settings.fold <= settings.folds or settings.folds < 2:
        problem, expected = f"{settings.fold} of {settings.folds}", "2 folds or more, and one of them"
        raise UserError("data.fold", found=problem, expected=expected, fix="set data.folds=5 data.fold=1")


def _check_enough_units(train: Examples, related: Related, folds: int, min_total: int) -> None:
    """Raise unless each class has a unit (rows of equal text or one group) per fold, and ``min_total`` in total."""
    units_per_class = [len(np.unique(related.units[train.labels == label])) for label in range(train.num_strata)]
    fewest = min(units_per_class)
    name = train.class_names[units_per_class.index(fewest)] if train.class_names else "any"
    if fewest < max(folds, min_total):
        noun = "different texts" if train.groups is None else "groups or different texts"
        raise UserError(
            "data.folds",
            found=f"{folds}, but {fewest} {noun} of class '{name}' in {train.origin}",
            expected=f"{max(folds, min_total)} of them at least",
            fix=f"set data.folds={fewest}, or add rows" if fewest >= min_total else "add rows of that class",
        )


def _describe(related: Related, similarity: float | None, divided: np.ndarray) -> dict[str, Any]:
    """The entries of ``Drawn.alike``."""
    if similarity is None:
        return {}
    sizes = np.unique(related.clusters(), return_counts=True)[1]
    shared_sizes = sizes[sizes > 1]
    counts = {"rows": int(shared_sizes.sum()), "clusters": len(shared_sizes), "divided": int(divided.sum())}
    return {"similarity": similarity, **counts}


@dataclass(frozen=True)
class Part:
    """Row numbers of two parts.

    Attributes:
        rest: The remaining rows, in file order.
        off: The rows split off, in file order.
        divided: Rows of clusters that were too large and had to be divided.
    """

    rest: np.ndarray
    off: np.ndarray
    divided: np.ndarray


def split_off(
    labels: np.ndarray, related: Related, fraction: float, seed: int, name: str, keep: int = 1, every_class: bool = True
) -> Part:
    """Split off a fraction of the rows, stratified by class.

    A cluster of related rows counts for the class of most of its rows. If clusters are so large that a class would get
    less than half or more than twice its share, they are divided: then only more similar rows stay together. Groups
    and equal texts always stay together.

    Args:
        labels: [N] class indices.
        related: Which rows belong together.
        fraction: Share of rows to split off, in (0, 1).
        seed: Seed of the split.
        name: Name of the new split; each name has its own random stream.
        keep: Number of clusters of each class that must remain: one for each split that is still to be drawn, and one
            for training.
        every_class: Whether the new split gets every class that has more than ``keep`` clusters, even if its share
            rounds to 0.
    """
    original_clusters = related.clusters()
    for level in (*LEVELS, None):
        generator = np.random.default_rng(derive_seed(seed, "split", name))
        rows_by_cluster = _rows_by_cluster(related.clusters())
        chosen = _draw_clusters(rows_by_cluster, labels, fraction, generator)
        _ensure_each_class(rows_by_cluster, chosen, labels, keep, every_class, generator)
        off = np.zeros(len(labels), dtype=bool)
        off[[row for index in chosen for row in rows_by_cluster[index]]] = True
        oversized = _oversized_clusters(labels, off, related, fraction, keep)
        if level is None or not oversized.any() or not len(related.pairs):
            break
        related = related.divide(oversized, level)
    return Part(np.flatnonzero(~off), np.flatnonzero(off), _divided_rows(original_clusters, related.clusters()))


def take_fold(labels: np.ndarray, related: Related, folds: int, fold: int, seed: int) -> Part:
    """Divide rows into folds, stratified by class, without dividing clusters of related rows; return one fold.

    See also ``split_off``, for a part of any size.

    Args:
        labels: [N] class indices.
        related: Which rows belong together.
        folds: Number of folds; each row is in exactly one of them.
        fold: Number of the fold to return, from 1.
        seed: Seed of the division.
    """
    original_clusters = related.clusters()
    for level in (*LEVELS, None):
        if level is not None and len(np.unique(related.clusters())) < folds:  # nearly all texts are nearly equal
            related = related.divide(np.ones(len(labels), dtype=bool), level)
            continue
        divider = StratifiedGroupKFold(folds, shuffle=True, random_state=derive_seed(seed, "folds") % 2**32)
        oversized = np.zeros(len(labels), dtype=bool)
        parts = []
        for _, rows in divider.split(np.zeros(len(labels)), labels, related.clusters()):
            off = np.zeros(len(labels), dtype=bool)
            off[rows] = True
            oversized |= _oversized_clusters(labels, off, related, 1 / folds, 1)
            parts.append(off)
        if level is None or not oversized.any() or not len(related.pairs):
            break
        related = related.divide(oversized, level)
    off = parts[fold - 1]
    return Part(np.flatnonzero(~off), np.flatnonzero(off), _divided_rows(original_clusters, related.clusters()))


def _rows_by_cluster(clusters: np.ndarray) -> list[list[int]]:
    """Return the rows of each cluster; clusters are in the order of their first rows."""
    rows_by_cluster: dict[int, list[int]] = defaultdict(list)
    for row, cluster in enumerate(clusters.tolist()):
        rows_by_cluster[cluster].append(row)
    return list(rows_by_cluster.values())


def _draw_clusters(
    rows_by_cluster: Sequence[list[int]], labels: np.ndarray, fraction: float, generator: np.random.Generator
) -> set[int]:
    """Draw the clusters to split off, stratified by class; returns their positions in ``rows_by_cluster``."""
    strata: dict[int, list[int]] = defaultdict(list)
    for index, rows in enumerate(rows_by_cluster):
        strata[int(np.bincount(labels[rows]).argmax()) if len(rows) > 1 else int(labels[rows[0]])].append(index)
    chosen: set[int] = set()
    for label in sorted(strata):
        sizes = [len(rows_by_cluster[index]) for index in strata[label]]
        target, drawn, total = round(fraction * sum(sizes)), [], 0
        for position in generator.permutation(len(sizes)):
            if abs(total + sizes[position] - target) < abs(total - target):  # a large cluster may exceed the target
                drawn.append(strata[label][position])
                total += sizes[position]
        chosen |= set(drawn or ([min(strata[label], key=lambda index: len(rows_by_cluster[index]))] if target else []))
    return chosen


def _ensure_each_class(
    rows_by_cluster: Sequence[list[int]],
    chosen: set[int],
    labels: np.ndarray,
    keep: int,
    every_class: bool,
    generator: np.random.Generator,
) -> None:
    """Change ``chosen`` if the remaining rows or the new split lack a class, rarest class first."""
    clusters_by_class: dict[int, list[int]] = defaultdict(list)  # clusters with rows of a class, smallest first
    for index in sorted(
        generator.permutation(len(rows_by_cluster)).tolist(), key=lambda index: len(rows_by_cluster[index])
    ):
        for label in set(labels[rows_by_cluster[index]].tolist()):
            clusters_by_class[label].append(index)
    needed = {label: min(len(class_clusters), keep) for label, class_clusters in clusters_by_class.items()}
    remaining = {label: len(set(class_clusters) - chosen) for label, class_clusters in clusters_by_class.items()}

    def move(index: int, back: bool) -> None:
        (chosen.discard if back else chosen.add)(index)
        for label in set(labels[rows_by_cluster[index]].tolist()):
            remaining[label] += 1 if back else -1

    for label in sorted(clusters_by_class, key=lambda label: (len(clusters_by_class[label]), label)):
        for index in [index for index in clusters_by_class[label] if index in chosen][
            : max(0, needed[label] - remaining[label])
        ]:
            move(index, back=True)
        if every_class and len(clusters_by_class[label]) > keep and remaining[label] == len(clusters_by_class[label]):
            for index in clusters_by_class[label]:
                if all(remaining[other] > needed[other] for other in set(labels[rows_by_cluster[index]].tolist())):
                    move(index, back=False)
                    break


def _oversized_clusters(
    labels: np.ndarray, off: np.ndarray, related: Related, fraction: float, keep: int
) -> np.ndarray:
    """Return [N] bool: rows of clusters so large that a class gets no row, or not half to twice its share."""
    clusters = related.clusters()
    oversized = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        in_class = labels == label
        target, num_off = fraction * in_class.sum(), off[in_class].sum()
        if target / 2 <= num_off <= 2 * target + 1 and (num_off or len(np.unique(related.units[in_class])) <= keep):
            continue
        sizes = np.bincount(clusters[in_class], minlength=int(clusters.max()) + 1)
        max_size = target if (sizes > max(1, target)).any() else sizes.max() - 1
        oversized |= sizes[clusters] > max(1, max_size)
    return oversized


def _divided_rows(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the rows whose original cluster was divided into several."""
    original_of_new = np.unique(np.stack([before, after]), axis=1)[0]  # one entry per new cluster: its original cluster
    original, counts = np.unique(original_of_new, return_counts=True)
    return np.flatnonzero(np.isin(before, original[counts > 1]))
