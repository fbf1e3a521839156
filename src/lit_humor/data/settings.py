"""Settings of the data for every source: the keys of ``data`` that do not belong to the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from lit_humor.core.bounds import bounded


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """How the rows of any source are divided, ordered and put into batches.

    Attributes:
        max_length: Most tokens of a row, special tokens included; longer texts are cut off.
        padding: Pad rows to the ``longest`` row of the batch, or always to ``max_length``.
        pad_to_multiple_of: The width of a batch is rounded up to a multiple of this.
        length_grouped: Put rows of similar length into the same batch.
        batch_size: Rows of a batch on one device, as the recipe says; the hardware plan may divide it.
        eval_batch_size: Rows of a batch in validation and test.
        num_workers: Loader processes, as the recipe says.
        val_fraction: Share of the training rows that become the validation split if there is none; 0: no split.
        test_fraction: The same for the test split.
        split_seed: Seed of these splits.
        split_similarity: Texts with at least this similarity stay in one split when splits are drawn: the Jaccard
            similarity of their sets of character 4-grams, in (0, 1]. 1 keeps only equal texts together. None keeps only
            groups together, and the test split may lack a rare class; older runs without this key were drawn so.
        cache_dir: Folder of the cache of tokenized texts.
        folds: Number of folds of the training rows; one of them replaces the test split. 0: no folds.
        fold: The fold to test on, from 1.
        order: ``random`` shuffles the training rows anew in each epoch; the others sort them by difficulty once.
        difficulty: The measure of how hard a row is; see ``ordering.difficulty_of``.
        difficulty_path: For ``confidence``: file of a model's predictions of the training rows.
        stages: Number of stages by difficulty of the training rows; one of them is trained on. 0: no stages.
        stage: The stage to train on, from 1.
        replay: Share of the rows of earlier stages to train on as well.
        route: Validate and test on rows of that stage only, for a model that answers only these.
        augment: Changes of the training texts, drawn anew in each epoch; see ``preparing/changes.py``.
        augment_rate: Probability of each of these changes at each word.
        leaks: For texts that are in two splits: ``report`` shows them, ``error`` refuses to train.
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
    augment: Sequence[Literal["word_dropout", "word_swap", "characters", "casing", "punctuation"]] = ()
    augment_rate: float = bounded(0.1, above=0, below=1, usual=0.1)
    leaks: Literal["report", "error"] = "report"

    @classmethod
    def of(cls, node: Mapping[Any, Any]) -> DataSettings:
        """What a ``data`` node says of batches; the rest of it is for the source."""
        return cls(**{field.name: node[field.name] for field in fields(cls) if field.name in node})
