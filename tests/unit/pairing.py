"""Small models that embed and write, and rows for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lit_humor.data.answers import Answers
from lit_humor.data.examples import Examples, Place
from lit_humor.data.preparing.pairs import PairPreparation, PreparedPairs
from lit_humor.data.settings import DataSettings
from lit_humor.models.embedded import random_qwen3, random_xlm_roberta
from lit_humor.models.gritlm import GritLM
from lit_humor.models.pretrained import Pretrained, load_tokenizer
from tests.unit.families import FAMILIES

KINDS = ("Qwen3", "XLM-R", "BERT")
BACKENDS = ("sdpa", "eager", "matmul")
_SIZES: dict[str, int] = {"vocab_size": 600, "hidden_size": 16, "num_layers": 2, "num_heads": 2}


def make_models(folder: Path) -> dict[str, str]:
    """A small random model of each kind, wide enough that texts differ, as a folder."""
    models = {
        "Qwen3": random_qwen3(str(folder), **_SIZES),
        "XLM-R": random_xlm_roberta(str(folder), **_SIZES, initializer_range=0.1),
    }
    return models | {"BERT": FAMILIES["BERT"].make(folder / "bert", load_tokenizer(models["Qwen3"]))}


def make_network(folder: str, attention: str = "sdpa", **options: Any) -> GritLM:
    """One that evaluates, without dropout."""
    torch.manual_seed(2)
    rates = {"dropout": None if "qwen" in folder else 0.0, "attention_dropout": 0.0}
    return GritLM(folder, attention=attention, **(rates | options)).eval()


def make_pairs(
    texts: Sequence[str],
    answers: Sequence[str],
    negatives: Sequence[list[str]] | None = None,
    instructions: Sequence[str] | None = None,
    embeds: Sequence[bool] | None = None,
    writes: Sequence[bool] | None = None,
) -> Examples:
    """Rows with an answer each."""
    count = len(texts)
    return Examples(
        ids=[str(row) for row in range(count)],
        texts=list(texts),
        labels=np.zeros(count, dtype=np.int64),
        class_names=(),
        origin="made in the test",
        places=[Place("made in the test", line) for line in range(1, count + 1)],
        answers=Answers(
            texts=list(answers),
            negatives=list(negatives or [[] for _ in texts]),
            instructions=list(instructions or [""] * count),
            embeds=None if embeds is None else np.asarray(embeds),
            writes=None if writes is None else np.asarray(writes),
        ),
    )


def random_pairs(num_rows: int, seed: int = 0, **columns: Any) -> Examples:
    """Random words of several lengths; every other row has a negative, and some answers are equal."""
    generator = np.random.default_rng(seed)
    words = ["sun", "rain", "cat", "dog", "tea", "book", "train", "shop"]

    def text(most: int) -> str:
        return " ".join(generator.choice(words, generator.integers(1, most)))

    answers = [text(7) if row % 5 else "the end" for row in range(num_rows)]
    negatives = [[text(5)] if row % 2 else [] for row in range(num_rows)]
    return make_pairs([text(9) for _ in range(num_rows)], answers, negatives, **columns)


def make_settings(max_length: int = 24) -> DataSettings:
    return DataSettings(
        max_length=max_length, padding="longest", pad_to_multiple_of=1, length_grouped=False, batch_size=8,
        eval_batch_size=4, num_workers=0, val_fraction=0.1, test_fraction=0.1, split_seed=0, cache_dir="nowhere",
    )  # fmt: skip


def make_preparation(folder: str, max_length: int = 24, **options: Any) -> PairPreparation:
    return PairPreparation(Pretrained(folder), make_settings(max_length), **({"answer_tokens": 8} | options))


def prepare(folder: str, examples: Examples, max_length: int = 24, **options: Any) -> PreparedPairs:
    return make_preparation(folder, max_length, **options).prepare(examples, None)


def collate(prepared: PreparedPairs) -> dict[str, Tensor]:
    """All rows as one batch, with what every batch has."""
    rows = np.arange(len(prepared.lengths))
    return prepared.collate(rows) | {
        "labels": torch.zeros(len(rows), dtype=torch.int64),
        "row_weights": torch.ones(len(rows)),
        "rows": torch.from_numpy(rows),
        "slices": torch.zeros(len(rows), 0, dtype=torch.int64),
    }


def padded(rows: Sequence[Sequence[int]], *, left: bool = False) -> tuple[Tensor, Tensor]:
    """Token ids and mask of rows."""
    width = max(map(len, rows))
    ids, mask = torch.ones(len(rows), width, dtype=torch.int64), torch.zeros(len(rows), width, dtype=torch.int64)
    for index, row in enumerate(rows):
        place = slice(width - len(row), None) if left else slice(len(row))
        ids[index, place], mask[index, place] = torch.tensor(row), 1
    return ids, mask
