"""Checks whether splits have the rows that training needs; errors name the key or file to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lit_humor.core.batch import SPLITS, TEST, TRAIN, VAL
from lit_humor.core.errors import UserError
from lit_humor.core.settings import typed
from lit_humor.data.dividing.splits import Drawn
from lit_humor.data.examples import Examples
from lit_humor.data.reading.label_remedies import exact
from lit_humor.data.settings import DataSettings

_LEAST = 2  # rows of a split
_MOST_NAMED = 5  # classes in a message


def check_fit(splits: Mapping[str, Examples], drawn: Drawn, settings: DataSettings, val_key: str) -> None:
    """Refuse splits without rows, or without rows of every class; arguments as in ``Task.check``.

    Raises:
        UserError: Too few training or validation rows, or no row of a class; names the key or file to change.
    """
    for name in (TRAIN, VAL):
        examples = splits.get(name, drawn.splits.get(name))
        names = examples.class_names if examples is not None else ("any",)
        if examples is not None and name in drawn.names and not settings.stages:
            _check_drawn(examples, drawn, name, val_key)
        elif len(examples or ()) < _LEAST:
            raise UserError(
                f"data, split '{name}'",
                found=f"{len(examples or ())} rows",
                expected=f"at least {_LEAST}" + (", with every class" if names else ""),
                fix=_more_rows(name, drawn, settings, val_key).replace("" if names else " of every class", ""),
            )
        assert examples is not None
        lacking = _lacking(examples)
        if lacking and (problem := _of_threshold(examples)):
            raise problem
        if lacking:
            raise UserError(
                f"data, split '{name}' ({examples.origin})",
                found=f"no row of class '{lacking[0]}' among {len(examples)}",
                expected=f"rows of every class: {', '.join(examples.class_names)}",
                fix=_more_rows(name, drawn, settings, val_key) + ", or correct the labels or data.label_names",
            )


def notes_on_labels(splits: Mapping[str, Examples]) -> list[str]:
    """Return a line for each case in which labels may not have been read as the user meant."""
    notes = []
    read_as_positions = [examples for examples in splits.values() if examples.are_positions]
    if read_as_positions:
        names = read_as_positions[0].class_names
        files = ", ".join(dict.fromkeys(part.file.path if part.file else part.origin for part in read_as_positions))
        meaning = ", ".join(f"{index} is '{name}'" for index, name in enumerate(names))
        aliases = typed("data.label_aliases", _position_aliases(names))
        notes.append(
            f"Labels of {files} are numbers; they were read as positions of the classes: {meaning}. "
            f"If that is wrong, set {aliases} with the class names in the right order."
        )
    problems = {
        examples.threshold: problem
        for examples in reversed(list(splits.values()))
        if (problem := _of_threshold(examples))
    }
    return notes + [f"Warning: {problem}" for problem in problems.values()]


def check_positions(examples: Examples) -> None:
    """Refuse numbers as class names if some class has no number: the numbers probably mean something else.

    Raises:
        UserError: Names the numbers, the classes, and the setting that says which number is which class.
    """
    lacking, names = _lacking(examples), examples.class_names
    if not (examples.are_positions and lacking):
        return
    present = ", ".join(str(index) for index, name in enumerate(names) if name not in lacking)
    raise UserError(
        f"{examples.origin}, labels",
        found=f"only {present}",
        expected=f"the model's classes {list(names)}, or a number for each of them",
        fix=f"set {typed('data.label_aliases', _position_aliases(names))} if that is what the numbers mean",
    )


def _position_aliases(names: Sequence[str]) -> list[str]:
    return [f"{index}: {name}" for index, name in enumerate(names)]


def _of_threshold(examples: Examples) -> UserError | None:
    """The error for a threshold that leaves a class without rows; None if there is no such threshold."""
    lacking, threshold = _lacking(examples), examples.threshold
    if threshold is None or not lacking or threshold.least < threshold.value <= threshold.most:
        return None
    return UserError(
        f"data.label_threshold={exact(threshold.value)}",
        found=f"no row of class '{lacking[0]}' among {len(examples)} of {examples.origin}",
        expected=threshold.describe(),
        fix="set data.label_column=<a column of other labels>"
        if threshold.least == threshold.most
        else f"set data.label_threshold={exact(threshold.usual)}",
    )


def notes_on_test(
    splits: Mapping[str, Examples], drawn: Drawn, settings: DataSettings, test_key: str = "data.test_path"
) -> list[str]:
    """Return a line if a test split was asked for but is missing, or lacks a class.

    Args:
        splits: The splits for training, validation and test.
        drawn: How the splits were drawn.
        settings: The settings of the data.
        test_key: The key that names separate test data.
    """
    examples = splits.get(TEST, drawn.splits.get(TEST))
    if TRAIN not in drawn.splits or examples is None or not (lacking := _lacking(examples)) or _of_threshold(examples):
        return []
    problem = f"no row of {_listed(lacking)} in the test split" if len(examples) else "no row to test on"
    instead = f"set {test_key}=<test data>"
    if settings.stages and settings.route:
        where, expected, fix = "data.route=true", "a stage with test rows of every class", "set data.route=false"
    elif TEST not in drawn.names:
        where, expected, fix = (
            test_key,
            "rows of every class",
            "add rows to these data, or ignore the scores of that class",
        )
    else:
        where = f"data.folds={settings.folds}" if settings.folds else f"data.test_fraction={settings.test_fraction:g}"
        expected, fix = _needed(drawn, lacking), f"add {_nouns(drawn)[0]}, or {instead}"
        if not expected and settings.split_similarity is None:  # only the rounding of the share to 0 is the cause
            fix = "set data.split_similarity=0.6, which gives every split rows of every class"
        if not settings.folds:
            fix += ", or data.test_fraction=0 to go without a test"
    error = UserError(where, found=problem, expected=expected or "rows of every class", fix=fix)
    return [f"Warning: {error}"]


def _nouns(drawn: Drawn) -> tuple[str, str]:
    """What a user can add to the training rows, and the unit that is counted in them, as words of a message."""
    if drawn.splits[TRAIN].groups is None:
        return "rows", "different texts"
    return "groups", "groups (data.group_column)"


def _needed(drawn: Drawn, lacking: Sequence[str]) -> str:
    """Say what each class must have for a test split, and what it has; an empty text if it has enough."""
    train, least = drawn.splits[TRAIN], len(drawn.names)
    counts = {name: drawn.classes[train.class_names.index(name)] for name in lacking}
    too_few = [f"{units} of '{name}' ({rows} rows)" for name, (rows, units) in counts.items() if units < least]
    if not too_few:
        return ""
    *first, last = (name for name in SPLITS if name in drawn.names)
    more = f" and {len(too_few) - _MOST_NAMED} more classes" if len(too_few) > _MOST_NAMED else ""
    needed = f"{least} {_nouns(drawn)[1]} of each class at least ({', '.join(first)} and {last} get one each)"
    return f"{needed}, not {', '.join(too_few[:_MOST_NAMED])}{more}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    noun = "classes" if len(names) > 1 else "class"
    return f"{noun} " + ", ".join(f"'{name}'" for name in names[:_MOST_NAMED]) + more


def _lacking(examples: Examples) -> list[str]:
    counts = np.bincount(examples.labels, minlength=len(examples.class_names))
    return [examples.class_names[label] for label in np.flatnonzero(counts == 0)]


def _more_rows(name: str, drawn: Drawn, settings: DataSettings, val_key: str) -> str:
    if settings.stages:
        return f"set data.stages={settings.stages - 1}" if settings.stages > 2 else "set data.stages=0"
    if name == TRAIN:
        return "add rows of every class to the training data"
    if VAL not in drawn.splits:
        return f"set data.val_fraction=0.1, or {val_key}=<validation data>"
    return f"add rows to the validation data, or set {val_key}=null data.val_fraction=0.1, which takes training rows"


def _check_drawn(examples: Examples, drawn: Drawn, name: str, val_key: str) -> None:
    """Refuse a drawn split that lacks a class because the class has too few rows that may be separated.

    Raises:
        UserError: Names the class, its rows, and the split without it.
    """
    names = examples.class_names
    lacking = [
        label for label, class_name in enumerate(names) if class_name in _lacking(examples) and drawn.classes[label][0]
    ]
    if not lacking:
        return
    rows, units = drawn.classes[lacking[0]]
    origin = drawn.splits[TRAIN].origin
    grouped = drawn.splits[TRAIN].groups is not None
    noun = "group or text" if grouped else "text"
    several = f"{units} {noun.replace(' or ', 's or ')}s" if units > 1 else f"one {noun}"
    what = "1 row" if rows == 1 else f"{rows} rows of {several}"
    fix = f"add rows of that class, or set {val_key}=<validation data>"
    if rows > units and not grouped:
        fix += ", or data.split_similarity=null, which allows equal texts in both splits"
    raise UserError(
        f"data, class '{names[lacking[0]]}' of {origin}",
        found=what,
        expected=f"at least 2, one to train and one to validate; '{name}' has none",
        fix=fix,
    )
