"""How texts become batches, whatever source they come from: keys of ``data`` beside those of the source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from lit_humor.core.bounds import bounded


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """How texts become batches, whatever source they come from.

    Attributes:
        max_length: Tokens of a row at most, special tokens included.
        padding: ``longest`` row of the batch, or always ``max_length``.
        pad_to_multiple_of: The width of a batch is rounded up to a multiple of this.
        length_grouped: Draw batches from rows of like length.
        batch_size: Rows of a batch on one device, as the recipe has it.
        eval_batch_size: Rows of a batch in validation and test.
        num_workers: Loader processes, as the recipe has it.
        val_fraction: Share of the training rows split off where there is no validation split; 0 for none.
        test_fraction: The same for the test split.
        split_seed: Seed of these splits.
        split_similarity: Texts this much alike stay in one split where splits are drawn: the Jaccard similarity of
            their sets of character 4-grams, in (0, 1]. 1 keeps equal texts together, None looks at groups only and
            draws tests that may lack a rare class, as runs did whose configuration has no such key.
        cache_dir: Where tokenized texts are kept.
        folds: Divide the training rows into so many, and test on one of them in place of any test split; 0 does not.
        fold: Which one, from 1.
        order: Training rows in an order drawn anew in each epoch, or by difficulty, the same in every epoch.
        difficulty: What makes a row hard; see ``ordering.difficulty_of``.
        difficulty_path: Under ``confidence``: a model's predictions of the training rows.
        stages: Divide the training rows by difficulty into so many, and train on one of them; 0 does not.
        stage: Which one, from 1.
        replay: Share of the rows of earlier stages that a stage trains on, too.
        route: Validate and test on rows of that stage alone, as for a model that answers only these.
        leaks: What texts that stand in two splits do: ``report`` tells, ``error`` refuses to train.
    """

    max_length: int = bounded(least=3, usual=128)
    padding: Literal["longest", "max_length"]
    pad_to_multiple_of: int = bounded(least=1, usual=1)
    length_grouped: bool
    batch_size: int = bounded(least=1, usual=8)
    eval_batch_size: int = bounded(least=1, usual=64)
    num_workers: int = bounded(least=0, usual=4)
    val_fraction: float = bounded(least=0, below=1, usual=0.1)
    test_fraction: float = bounded(least=0, below=1, usual=0.1)
    split_seed: int
    cache_dir: str
    split_similarity: float | None = bounded(None, above=0, most=1, usual=0.6)
    folds: int = bounded(0, least=0, usual=0)
    fold: int = 1
    order: Literal["random", "easy_first", "hard_first"] = "random"
    difficulty: Literal["length", "column", "confidence"] = "length"
    difficulty_path: str | None = None
    stages: int = bounded(0, least=0, usual=0)
    stage: int = 1
    replay: float = bounded(0.0, least=0, most=1, usual=0.2)
    route: bool = False
    leaks: Literal["report", "error"] = "report"

    @classmethod
    def of(cls, node: Mapping[Any, Any]) -> DataSettings:
        """What a ``data`` node says of batches; the rest of it is for the source."""
        return cls(**{field.name: node[field.name] for field in fields(cls) if field.name in node})
