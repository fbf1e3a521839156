"""How hard each row is, in which order rows are trained on, and which stage of a curriculum they belong to.

Legend: N rows of a split.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lit_humor.core.batch import TRAIN
from lit_humor.core.errors import UserError
from lit_humor.core.seeds import derive_seed
from lit_humor.data.examples import Examples
from lit_humor.data.reading.tables import read_table
from lit_humor.data.settings import DataSettings
from lit_humor.runs import record

_SCORE_FIRST = (
    "python src/lit_humor/eval.py run=<run> split=train output=logs/scored, then set "
    "data.difficulty_path=logs/scored/predictions/train.parquet"
)


def difficulty_of(examples: Examples, settings: DataSettings) -> np.ndarray:
    """[N] float64, higher is harder.

    Args:
        examples: The rows.
        settings: By ``length`` a row is as hard as it has characters, by ``column`` as ``data.difficulty_column``
            says, by ``confidence`` as its class was improbable to the model whose predictions ``difficulty_path`` has.

    Raises:
        UserError: There are no such values for every row.
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
    """[N] rows from easy to hard, or the other way round; rows as hard as one another in an order drawn from the seed.

    Source: Bengio et al. 2009, Curriculum Learning.
    """
    drawn = np.random.default_rng(derive_seed(seed, "order", "ties")).permutation(len(difficulty))
    keys = -difficulty[drawn] if hardest_first else difficulty[drawn]
    return drawn[np.argsort(keys, kind="stable")]


def take_stage(splits: Mapping[str, Examples], settings: DataSettings) -> dict[str, Examples]:
    """Keep the training rows of one stage, with a part of the stages before it for replay.

    Stages are parts of like size of the training rows by difficulty, or its values where these are as many as the
    stages. Under ``route`` the other splits keep the rows of that stage alone, too: the bounds are those of training.

    Raises:
        UserError: There is no such stage, or no training row in it.
    """
    if not 1 <= settings.stage <= settings.stages or settings.stages < 2:
        found, expected = f"{settings.stage} of {settings.stages}", "2 stages or more, and one of them"
        raise UserError("data.stage", found=found, expected=expected, fix="set data.stages=3 data.stage=1")
    if not 0 <= settings.replay <= 1:
        found, expected = str(settings.replay), "a share from 0 to 1"
        raise UserError("data.replay", found=found, expected=expected, fix="set data.replay=0.2")
    if settings.route and settings.difficulty == "confidence":
        raise UserError(
            "data.route",
            found="data.difficulty=confidence, which knows the labels",
            expected="a difficulty that a new text has, too",
            fix="set data.difficulty=length",
        )
    difficulty = difficulty_of(splits[TRAIN], settings)
    bounds = _bounds(difficulty, settings.stages)
    stages = _stages(difficulty, bounds)
    if not (stages == settings.stage).any():
        fewer = len(np.unique(difficulty))  # each of these is a stage
        raise UserError(
            "data.stages",
            found=f"no training row in stage {settings.stage} of {settings.stages}",
            expected="a difficulty that tells so many stages apart",
            fix=f"set data.stages={fewer} data.stage={min(fewer, settings.stage)}"
            if fewer > 1
            else "set data.stages=0",
        )
    drawn = np.random.default_rng(derive_seed(settings.split_seed, "replay")).random(len(stages))
    kept = (stages == settings.stage) | ((stages < settings.stage) & (drawn < settings.replay))
    staged = {**splits, TRAIN: splits[TRAIN].take(np.flatnonzero(kept))}
    if settings.route:
        for name in splits.keys() - {TRAIN}:
            mine = _stages(difficulty_of(splits[name], settings), bounds) == settings.stage
            staged[name] = splits[name].take(np.flatnonzero(mine))
    return staged


def describe_curriculum(settings: DataSettings) -> str:
    """Which rows are trained on in which order, where that is not all of them at random; empty where it is."""
    parts = [f"stage {settings.stage} of {settings.stages}"] if settings.stages else []
    parts += [f"{settings.replay:g} of the rows before it"] if settings.stages and settings.replay else []
    parts += ["validation and test of that stage alone"] if settings.stages and settings.route else []
    parts += [settings.order.replace("_", " ")] if settings.order != "random" else []
    return f"{', '.join(parts)}; by {settings.difficulty}" if parts else ""


def _bounds(difficulty: np.ndarray, count: int) -> np.ndarray:
    """Least difficulty of each stage but the first."""
    values = np.unique(difficulty)
    return values[1:] if len(values) == count else np.quantile(difficulty, np.arange(1, count) / count, method="higher")


def _stages(difficulty: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """[N] stage of each row, from 1."""
    return np.searchsorted(bounds, difficulty, side="right") + 1


def _improbability(examples: Examples, path: str | None) -> np.ndarray:
    """[N] one less the probability of each row's own class."""
    if path is None or not Path(path).is_file():
        raise UserError(
            "data.difficulty_path",
            found=path or "no path",
            expected="a model's predictions of the training rows",
            fix=_SCORE_FIRST,
        )
    table = read_table(path, "standard")  # as evaluation writes it, whatever quotes mean in the files of texts
    names = [f"{record.PROBABILITY}{name}" for name in examples.class_names]
    missing = [name for name in ("id", *names) if name not in table]
    if missing:
        raise UserError(
            f"data.difficulty_path={path}",
            found=f"no column {missing[0]}",
            expected="a model's predictions of the training rows",
            fix=_SCORE_FIRST,
        )
    probabilities = np.asarray([table[name] for name in names], dtype=np.float64).T
    rows = {str(identity): row for row, identity in enumerate(table["id"])}
    unknown = [str(place) for place, one in zip(examples.places, examples.ids, strict=True) if one not in rows]
    if unknown:
        raise UserError(
            f"data.difficulty_path={path}",
            found=f"nothing about {len(unknown)} rows, such as {unknown[0]}",
            expected="a prediction of every training row",
            fix=f"{_SCORE_FIRST}; <run> is one that was trained on the same files with the same data.split_seed",
        )
    return 1.0 - probabilities[[rows[identity] for identity in examples.ids], examples.labels]
