"""Computes the difficulty of rows, the order of training, and the stages of a curriculum.

Legend: N rows of a split.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lit_humor.core.batch import PROBABILITY, TRAIN
from lit_humor.core.errors import UserError
from lit_humor.core.seeds import derive_seed
from lit_humor.data.examples import Examples
from lit_humor.data.reading.tables import read_table
from lit_humor.data.settings import DataSettings

_SCORE_FIRST = (
    "python src/lit_humor/eval.py run=<run> split=train output=logs/scored, then set "
    "data.difficulty_path=logs/scored/predictions/train.parquet"
)


def difficulty_of(examples: Examples, settings: DataSettings) -> np.ndarray:
    """Return the difficulty of each row, [N] float64; higher is harder.

    Args:
        examples: The rows.
        settings: ``difficulty`` is ``length`` (number of characters), ``column`` (``data.difficulty_column``), or
            ``confidence`` (1 minus the probability of the row's class in the predictions ``difficulty_path``).

    Raises:
        UserError: A row has no such value.
    """
    if settings.difficulty == "length":
        return np.asarray([len(text) for text in examples.whole_texts()], dtype=np.float64)
    if settings.difficulty == "column":
        if examples.difficulty is None:
            raise UserError(
                "data.difficulty=column",
                found=f"no difficulty in {examples.origin}",
                expected="a column of numbers",
                fix="set data.difficulty=length, or set data.difficulty_column=<a column of numbers>",
            )
        return examples.difficulty
    return _improbability(examples, settings.difficulty_path)


def training_order(difficulty: np.ndarray, hardest_first: bool, seed: int) -> np.ndarray:
    """Return [N] row numbers from easy to hard, or from hard to easy; the seed determines the order of ties.

    Source: Bengio et al. 2009, Curriculum Learning.
    """
    shuffled = np.random.default_rng(derive_seed(seed, "order", "ties")).permutation(len(difficulty))
    keys = -difficulty[shuffled] if hardest_first else difficulty[shuffled]
    return shuffled[np.argsort(keys, kind="stable")]


def take_stage(splits: Mapping[str, Examples], settings: DataSettings) -> dict[str, Examples]:
    """Keep the training rows of one stage, and a share of the rows of earlier stages for replay.

    Stages divide the training rows by difficulty into parts of about equal size; if there are as many values of
    difficulty as stages, each value is a stage. With ``route``, the other splits, too, keep only
    rows of that stage; the bounds are those of the training rows.

    Raises:
        UserError: There is no such stage, or it has no training row.
    """
    if not 1 <= settings.stage <= settings.stages or settings.stages < 2:
        problem, expected = f"{settings.stage} of {settings.stages}", "2 stages or more, and one of them"
        raise UserError("data.stage", found=problem, expected=expected, fix="set data.stages=3 data.stage=1")
    if not 0 <= settings.replay <= 1:
        problem, expected = str(settings.replay), "a share from 0 to 1"
        raise UserError("data.replay", found=problem, expected=expected, fix="set data.replay=0.2")
    if settings.route and settings.difficulty == "confidence":
        raise UserError(
            "data.route",
            found="data.difficulty=confidence, which needs the labels",
            expected="a difficulty that a new text also has",
            fix="set data.difficulty=length",
        )
    difficulty = difficulty_of(splits[TRAIN], settings)
    bounds = _stage_bounds(difficulty, settings.stages)
    stages = _stage_numbers(difficulty, bounds)
    if not (stages == settings.stage).any():
        num_values = len(np.unique(difficulty))  # each value can be a stage
        raise UserError(
            "data.stages",
            found=f"no training row in stage {settings.stage} of {settings.stages}",
            expected="a difficulty with at least as many different values as stages",
            fix=f"set data.stages={num_values} data.stage={min(num_values, settings.stage)}"
            if num_values > 1
            else "set data.stages=0",
        )
    random_values = np.random.default_rng(derive_seed(settings.split_seed, "replay")).random(len(stages))
    kept = (stages == settings.stage) | ((stages < settings.stage) & (random_values < settings.replay))
    staged = {**splits, TRAIN: splits[TRAIN].take(np.flatnonzero(kept))}
    if settings.route:
        for name in splits.keys() - {TRAIN}:
            in_stage = _stage_numbers(difficulty_of(splits[name], settings), bounds) == settings.stage
            staged[name] = splits[name].take(np.flatnonzero(in_stage))
    return staged


def describe_curriculum(settings: DataSettings) -> str:
    """Say which rows are trained on, and in which order; an empty text for all rows in random order."""
    parts = [f"stage {settings.stage} of {settings.stages}"] if settings.stages else []
    parts += [f"{settings.replay:g} of the rows of earlier stages"] if settings.stages and settings.replay else []
    parts += ["validation and test rows of that stage only"] if settings.stages and settings.route else []
    parts += [settings.order.replace("_", " ")] if settings.order != "random" else []
    return f"{', '.join(parts)}; by {settings.difficulty}" if parts else ""


def _stage_bounds(difficulty: np.ndarray, num_stages: int) -> np.ndarray:
    """Return the smallest difficulty of each stage except the first."""
    values = np.unique(difficulty)
    return (
        values[1:]
        if len(values) == num_stages
        else np.quantile(difficulty, np.arange(1, num_stages) / num_stages, method="higher")
    )


def fixed_order(train: Examples, settings: DataSettings, seed: int) -> np.ndarray | None:
    """Return [N] positions of the training rows, the order of every epoch; None if each epoch is shuffled anew."""
    if settings.order == "random":
        return None
    return training_order(difficulty_of(train, settings), settings.order == "hard_first", seed)


def _stage_numbers(difficulty: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Return the stage of each row, [N], from 1."""
    return np.searchsorted(bounds, difficulty, side="right") + 1


def _improbability(examples: Examples, path: str | None) -> np.ndarray:
    """Return 1 minus the predicted probability of each row's own class, [N].

    Raises:
        UserError: There is no such file, or it lacks columns or rows.
    """
    if path is None or not Path(path).is_file():
        raise UserError(
            "data.difficulty_path",
            found=path or "no path",
            expected="a model's predictions of the training rows",
            fix=_SCORE_FIRST,
        )
    table = read_table(path, "standard")  # evaluation always writes standard quotes
    columns = [f"{PROBABILITY}{name}" for name in examples.class_names]
    missing = [name for name in ("id", *columns) if name not in table]
    if missing:
        raise UserError(
            f"data.difficulty_path={path}",
            found=f"no column {missing[0]}",
            expected="a model's predictions of the training rows",
            fix=_SCORE_FIRST,
        )
    probabilities = np.asarray([table[name] for name in columns], dtype=np.float64).T
    row_by_id = {str(identity): row for row, identity in enumerate(table["id"])}
    unknown = [
        str(place) for place, identity in zip(examples.places, examples.ids, strict=True) if identity not in row_by_id
    ]
    if unknown:
        raise UserError(
            f"data.difficulty_path={path}",
            found=f"no prediction of {len(unknown)} rows, such as {unknown[0]}",
            expected="a prediction of every training row",
            fix=f"{_SCORE_FIRST}; <run> is one that was trained on the same files with the same data.split_seed",
        )
    return 1.0 - probabilities[[row_by_id[identity] for identity in examples.ids], examples.labels]
