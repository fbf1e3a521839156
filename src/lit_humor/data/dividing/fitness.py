"""Whether splits can train and steer a model; if not, which key or file decides that."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lit_humor.core.batch import TRAIN, VAL
from lit_humor.core.errors import UserError
from lit_humor.data.dividing.splits import Drawn
from lit_humor.data.examples import Examples
from lit_humor.data.settings import DataSettings

_LEAST = 2  # rows of a split


def check_fit(splits: Mapping[str, Examples], drawn: Drawn, settings: DataSettings, val_key: str) -> None:
    """Refuse splits without rows, or without rows of every class.

    Args:
        splits: The splits that are trained and validated on.
        drawn: How they came about.
        settings: What was asked for.
        val_key: The key that names validation data of their own, e.g. ``data.val_path``.

    Raises:
        UserError: Too few training or validation rows, or no row of a class; names what decides it.
    """
    for name in (TRAIN, VAL):
        examples = splits.get(name, drawn.splits.get(name))
        if examples is not None and name in drawn.names and not settings.stages:
            _check_drawn(examples, drawn, name, val_key)
        elif len(examples or ()) < _LEAST:
            raise UserError(
                f"data, split '{name}'",
                found=f"{len(examples or ())} rows",
                expected=f"at least {_LEAST}, with every class",
                fix=_more_rows(name, drawn, settings, val_key),
            )
        assert examples is not None
        lacking = _lacking(examples)
        if lacking:
            raise UserError(
                f"data, split '{name}' ({examples.origin})",
                found=f"no row of class '{lacking[0]}' among {len(examples)}",
                expected=f"rows of every class: {', '.join(examples.class_names)}",
                fix=_more_rows(name, drawn, settings, val_key) + ", or correct the labels or data.label_names",
            )


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
    return f"add rows to the validation data, or set {val_key}=null data.val_fraction=0.1: training rows validate then"


def _check_drawn(examples: Examples, drawn: Drawn, name: str, val_key: str) -> None:
    """A class is missing from a split that was drawn: there are too few rows of it that may be parted."""
    names = examples.class_names
    lacking = [label for label, one in enumerate(names) if one in _lacking(examples) and drawn.classes[label][0]]
    if not lacking:
        return
    rows, apart = drawn.classes[lacking[0]]
    origin = drawn.splits[TRAIN].origin
    grouped = drawn.splits[TRAIN].groups is not None
    noun = "group or text" if grouped else "text"
    several = f"{apart} {noun.replace(' or ', 's or ')}s" if apart > 1 else f"one {noun}"
    what = "1 row" if rows == 1 else f"{rows} rows of {several}"
    fix = f"add rows of that class, or set {val_key}=<validation data>"
    if rows > apart and not grouped:
        fix += ", or data.split_similarity=null, which puts equal texts into both"
    raise UserError(
        f"data, class '{names[lacking[0]]}' of {origin}",
        found=what,
        expected=f"2 at least, one to train and one to validate; '{name}' has none",
        fix=fix,
    )
