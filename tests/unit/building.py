"""Small real objects for unit tests, built without Hydra."""

from collections.abc import Mapping
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn

from lit_humor.data.batches.batching import Collator, GlobalBatchSampler
from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.data.batches.store import TokenStore
from lit_humor.data.examples import Examples, Place
from lit_humor.data.preparing.texts import PreparedTexts, TextPreparation
from lit_humor.data.settings import DataSettings
from lit_humor.learning.learner import Learner
from lit_humor.models.network import Network
from lit_humor.models.pretrained import Pretrained
from lit_humor.objectives.cross_entropy import CrossEntropy
from lit_humor.objectives.objective import Objective
from lit_humor.optim.groups import LayerwiseAdamW
from lit_humor.optim.schedules import WarmupDecay
from lit_humor.tasks.classification import Classification

NAMES = ("not humor", "humor")
TRAINER = {
    "accelerator": "cpu",
    "use_distributed_sampler": False,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


def make_examples(num_rows: int, seed: int = 0, humor_share: float = 0.3, **columns: object) -> Examples:
    """Random words; jokes hold the word "ha"."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(num_rows) < humor_share).astype(np.int64)
    labels[:2] = 0, 1
    words = ["sun", "rain", "cat", "dog", "tea", "book", "train", "shop"]
    texts = [
        " ".join([*generator.choice(words, generator.integers(1, 30)), *(["ha"] if label else [])]) for label in labels
    ]
    return Examples(
        ids=[str(i) for i in range(num_rows)],
        texts=texts,
        labels=labels,
        class_names=NAMES,
        origin="made in the test",
        places=[Place("made in the test", line) for line in range(1, num_rows + 1)],
        **columns,  # type: ignore[arg-type]
    )


class Fixed:
    """A source of given splits."""

    def __init__(self, **splits: Examples) -> None:
        self.splits = splits

    def load(self) -> dict[str, Examples]:
        return dict(self.splits)


def make_datamodule(tiny_model: str, cache_dir: Path, **options: object) -> HumorDataModule:
    splits = options.pop("splits", None) or {
        "train": make_examples(44),
        "val": make_examples(21, seed=1),
        "test": make_examples(13, seed=2),
    }
    settings = {
        "max_length": 64, "padding": "longest", "pad_to_multiple_of": 8, "length_grouped": True, "batch_size": 8,
        "eval_batch_size": 4, "num_workers": 0, "val_fraction": 0.1, "test_fraction": 0.1, "split_seed": 0,
        "cache_dir": str(cache_dir), "split_similarity": None, "folds": 0, "fold": 1,
        "order": "random", "difficulty": "length", "stages": 0, "stage": 1, "replay": 0.0, "route": False,
    }  # fmt: skip
    settings |= {name: options.pop(name) for name in list(options) if name in settings}
    made = DataSettings(**settings)  # type: ignore[arg-type]
    return HumorDataModule(
        Fixed(**splits),  # type: ignore[arg-type]
        options.pop("preparation", TextPreparation)(Pretrained(tiny_model), made),  # type: ignore[operator]
        made,
        **options,  # type: ignore[arg-type]
    )


class BagOfTokens(Network):
    """The smallest model that honours the contract: the mean of token vectors, and a projection."""

    def __init__(self, vocab_size: int = 700, num_classes: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(vocab_size, 8)
        self.head = nn.Linear(8, num_classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        mask = batch["attention_mask"].unsqueeze(-1).float()
        pooled = (self.embeddings(batch["input_ids"]) * mask).sum(1) / mask.sum(1)
        return {"logits": self.head(self.dropout(pooled)), "embeddings": pooled}

    def parameter_depths(self) -> dict[str, int]:
        return {name: 1 if name.startswith("head") else 0 for name, _ in self.named_parameters()}


def make_learner(datamodule: HumorDataModule, model: Network | None = None, **options: object) -> Learner:
    pl.seed_everything(0, verbose=False)
    objective: Objective = options.pop("objective", None) or CrossEntropy(  # type: ignore[assignment]
        2, class_weights="balanced", label_smoothing=0.1
    )
    objective.prepare(datamodule.training_rows)
    schedule = WarmupDecay("cosine", 0.1)
    optimizer = LayerwiseAdamW(options.pop("learning_rate", 0.05), schedule, layer_decay=0.95)  # type: ignore[arg-type]
    return Learner(
        model or BagOfTokens(dropout=options.pop("dropout", 0.0)),  # type: ignore[arg-type]
        objective,
        {"classification": Classification(NAMES)},
        optimizer=optimizer,
        global_batch_size=datamodule.global_batch_size,
        slice_values=datamodule.slice_values,
        **options,  # type: ignore[arg-type]
    )


def make_store(lengths: list[int]) -> TokenStore:
    """Rows of given lengths; row i is filled with the token 10 + i."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.concatenate([np.full(n, 10 + i, np.int32) for i, n in enumerate(lengths)])
    return TokenStore(ids, offsets, np.asarray(lengths, np.int32), 0)


def make_collator(lengths: list[int], **options: object) -> Collator:
    given = {
        "pad_token_id": 1,
        "padding": "longest",
        "max_length": 64,
        "pad_to_multiple_of": 1,
        "with_token_types": False,
    }
    prepared = PreparedTexts(make_store(lengths), **(given | options))  # type: ignore[arg-type]
    return Collator(prepared, np.zeros(len(lengths), np.int64), np.zeros((len(lengths), 0), np.int64))


def rows_of(sampler: GlobalBatchSampler) -> list[list[int]]:
    return [list(batch) for batch in sampler]


def gradients(learner: Learner) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in learner.named_parameters() if p.grad is not None}


def largest_difference(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    assert first.keys() == second.keys()
    assert first, "nothing to compare"
    return max(
        float(torch.linalg.norm(first[k] - second[k]) / torch.linalg.norm(first[k]).clamp(min=1e-12)) for k in first
    )


def no_table() -> Tensor:
    """For checkpoints with whole word embeddings, which need no others."""
    raise AssertionError("this checkpoint has all its word embeddings")
