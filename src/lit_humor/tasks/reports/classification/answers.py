"""Puts somebody's answers beside a classifier: labels, or probabilities. Legend: N rows of the file, C classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lit_humor.core.batch import PROBABILITY
from lit_humor.core.errors import UserError, list_names, shorten
from lit_humor.data.reading.columns import LABEL_COLUMNS
from lit_humor.data.reading.labels import DEFAULT_CLASS_NAMES, LabelRules, encode_labels
from lit_humor.data.reading.separated import as_quoting
from lit_humor.data.reading.spellings import canonical, read_number
from lit_humor.tasks.answers import PREDICTION
from lit_humor.tasks.reports.answers import Answers, join, read_answers
from lit_humor.tasks.reports.classification.predictions import predictions_of
from lit_humor.tasks.reports.scored import ScoredRun

_PROBABILITY = "probability"  # column of the probability of the last of two classes


def beside(run: ScoredRun, path: Path, quoting: str) -> tuple[ScoredRun, ScoredRun, str]:
    """Put a file of answers beside a run.

    Args:
        run: The run.
        path: A file with a column ``id`` and one of answers, ``answer``, ``prediction``, ``label`` or ``is_humor``
            with class names of the run or class indices, or ``probability`` with that of the last of two classes. A
            row without an answer counts as one that is not there.
        quoting: What quotes in CSV and TSV mean: ``auto``, ``standard`` or ``none``.

    Returns:
        Run and answers on the rows of the headline split that both have, and a sentence on how many these are. A label
        counts as a probability of 1.

    Raises:
        UserError: The file has not what is asked for, or an unknown answer; names file and line.
    """
    names = predictions_of(run)[run.headline].class_names
    answers = read_answers(path, as_quoting(quoting), (*LABEL_COLUMNS, _PROBABILITY))
    is_probability = answers.column.strip().lower() == _PROBABILITY
    probabilities = _from_numbers(answers, names) if is_probability else _from_labels(answers, names)
    joined = join(run, answers, ~np.isnan(probabilities[:, 0]))
    common = probabilities[joined.of_file]
    columns = {PROBABILITY + name: common[:, index].tolist() for index, name in enumerate(names)}
    predicted = [names[index] for index in common.argmax(axis=1)]
    note = joined.note if is_probability else f"{joined.note} Its labels count as probabilities of 1."
    return *joined.pair(run, {PREDICTION: predicted, **columns}), note


def _from_labels(answers: Answers, names: tuple[str, ...]) -> np.ndarray:
    """Return [N, C] zeros and ones; NaN in rows without an answer."""
    rules = LabelRules(None if names == DEFAULT_CLASS_NAMES else names)
    codes, problems = encode_labels(answers.values, rules, answers.places, answers.column)
    for row in problems:
        if canonical(answers.values[row]):
            expected = f"{list_names(map(repr, names))} or {', '.join(map(str, range(len(names))))}"
            fix = f"write {expected} as answers, or leave a cell empty where there is none"
            where = f"{answers.places[row]}, column '{answers.column}'"
            raise UserError(where, found=f"label {shorten(answers.values[row])}", expected=expected, fix=fix)
    probabilities = np.eye(len(names))[codes]
    probabilities[codes < 0] = np.nan
    return probabilities


def _from_numbers(answers: Answers, names: tuple[str, ...]) -> np.ndarray:
    """Return [N, 2] from probabilities of the second class; NaN in rows without an answer."""
    if len(names) != 2:
        raise UserError(
            f"{answers.path}, column '{answers.column}'",
            found=f"one probability a row, for the {len(names)} classes of the run",
            expected=f"class names: {list_names(map(repr, names))}",
            fix="name the most probable class of each row in a column 'answer'",
        )
    numbers = np.full(len(answers.values), np.nan)
    for row, value in enumerate(answers.values):
        if not canonical(value):
            continue
        number = read_number(value)
        if number is None or not 0 <= number <= 1:
            raise UserError(
                f"{answers.places[row]}, column '{answers.column}'",
                found=shorten(value),
                expected=f"the probability of '{names[1]}', from 0 to 1",
                fix="divide percentages by 100, or name a column of labels 'answer'",
            )
        numbers[row] = number
    return np.stack([1 - numbers, numbers], axis=1)
