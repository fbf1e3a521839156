"""Training texts change in each epoch, as seed, epoch and row say; nothing else changes."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_humor.config.command import compose
from lit_humor.core.errors import UserError
from lit_humor.core.seeds import derive_seed
from lit_humor.data.preparing.changes import CHANGES
from lit_humor.data.preparing.preparation import Preparation
from lit_humor.data.preparing.texts import PreparedTexts
from lit_humor.engine.configuration import validate
from tests.unit.building import make_datamodule, make_examples

ALL = list(CHANGES)
TEXT = "Why did the  hen, cross a road? It had no car"


def _draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_words_are_left_out_but_never_all() -> None:
    for seed in range(30):
        words = CHANGES["word_dropout"](TEXT, 0.5, _draw(seed)).split()
        assert words
        left = iter(TEXT.split())
        assert all(word in left for word in words), "the order stays"
    kept = [len(CHANGES["word_dropout"](TEXT, 0.3, _draw(seed)).split()) for seed in range(300)]
    assert np.mean(kept) == pytest.approx(0.7 * len(TEXT.split()), rel=0.05)
    assert CHANGES["word_dropout"]("one", 0.99, _draw()) == "one"
    assert "  " not in CHANGES["word_dropout"](TEXT, 0.5, _draw(1)).strip()


def test_words_are_swapped_and_none_is_lost() -> None:
    texts = {CHANGES["word_swap"](TEXT, 0.3, _draw(seed)) for seed in range(20)}
    assert len(texts) > 10
    for text in texts:
        words, own = text.split(), TEXT.split()
        assert sorted(words) == sorted(own)
        assert all(abs(words.index(word) - own.index(word)) <= 1 for word in own)
    assert CHANGES["word_swap"]("a b", 1.0, _draw()) == "b a"


def test_one_character_of_a_word_changes() -> None:
    for seed in range(50):
        changed = CHANGES["characters"](TEXT, 0.5, _draw(seed))
        for word, own in zip(changed.split(), TEXT.split(), strict=True):
            assert abs(len(word) - len(own)) <= 1
            assert word == own or len(own) > 1
    assert {CHANGES["characters"]("ab", 1.0, _draw(seed)) for seed in range(30)} == {"b", "aab", "ba"}


def test_case_and_marks() -> None:
    cased = [CHANGES["casing"](TEXT, 0.5, _draw(seed)) for seed in range(20)]
    assert all(text.lower() == TEXT.lower() for text in cased)
    assert len(set(cased)) > 10
    for seed in range(20):
        marked = CHANGES["punctuation"](TEXT, 0.5, _draw(seed)).split()
        assert [word for word in marked if word not in set(".;?:!,")] == TEXT.split()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("text", ["", " ", "a", "世界", "a\u3000b\n"])
def test_odd_texts_are_read(kind: str, text: str) -> None:
    for seed in range(10):
        assert bool(CHANGES[kind](text, 0.9, _draw(seed)).strip()) == bool(text.strip())


def _datamodule(tiny_model: str, folder: Path, **options: Any) -> Any:
    datamodule = make_datamodule(tiny_model, folder, **options)
    settings = datamodule.settings
    object.__setattr__(settings, "augment", options.pop("augment", ALL))
    object.__setattr__(settings, "augment_rate", 0.3)
    datamodule.setup()
    return datamodule


def _epoch(datamodule: Any, epoch: int, **resumed: int) -> dict[int, tuple[int, ...]]:
    """The tokens of each row in an epoch."""
    datamodule._resumed_at = (epoch, resumed.get("skip", 0))
    tokens = {}
    for batch in datamodule.train_dataloader():
        for row, ids, mask in zip(batch["rows"], batch["input_ids"], batch["attention_mask"], strict=True):
            tokens[int(row)] = tuple(ids[mask.bool()].tolist())
    return tokens


def test_each_epoch_has_changes_of_its_own_whatever_the_batches(tiny_model: str, tmp_path: Path) -> None:
    datamodule = _datamodule(tiny_model, tmp_path)
    first, again, second = (_epoch(datamodule, epoch) for epoch in (0, 0, 1))
    assert first == again
    assert sum(first[row] != second[row] for row in first) > 35
    other = _datamodule(tiny_model, tmp_path, global_batch_size=4, micro_batch_size=4, length_grouped=False)
    assert _epoch(other, 0) == first, "seed, epoch and row alone decide"
    rest = _epoch(datamodule, 0, skip=3)
    assert len(rest) == 44 - 3 * 8
    assert all(first[row] == tokens for row, tokens in rest.items()), "a resumed epoch goes on with the same"
    other.seed = 7
    assert sum(_epoch(other, 0)[row] != first[row] for row in first) > 35


def test_loader_processes_draw_the_same(tiny_model: str, tmp_path: Path) -> None:
    datamodule = _datamodule(tiny_model, tmp_path)
    expected = _epoch(datamodule, 2)
    datamodule.num_workers = 2
    assert _epoch(datamodule, 2) == expected


def test_persistent_loaders_go_on_to_the_next_epoch(tiny_model: str, tmp_path: Path) -> None:
    datamodule = _datamodule(tiny_model, tmp_path)
    expected = _epoch(datamodule, 1)
    datamodule._resumed_at = (0, 0)
    loader = datamodule.train_dataloader()
    list(loader)
    loader.batch_sampler.set_epoch(1)
    for batch in loader:
        for row, ids, mask in zip(batch["rows"], batch["input_ids"], batch["attention_mask"], strict=True):
            assert tuple(ids[mask.bool()].tolist()) == expected[int(row)]


def test_validation_and_test_never_see_it(tiny_model: str, tmp_path: Path) -> None:
    changed, plain = _datamodule(tiny_model, tmp_path), make_datamodule(tiny_model, tmp_path)
    plain.setup()
    for split in ("val", "test", "train"):  # of train as eval.py scores it
        for one in (changed, plain):
            one.test_on(split)
        loaders = [(one.test_dataloader(), one.val_dataloader()) for one in (changed, plain)]
        for found, expected in zip(*loaders, strict=True):
            for batch, other in zip(found, expected, strict=True):
                assert batch.keys() == other.keys()
                assert all(torch.equal(batch[name], other[name]) for name in batch)


def test_texts_that_do_not_change_give_the_tokens_of_the_cache(tiny_model: str, tmp_path: Path) -> None:
    """Pairs too, cut at the same place."""
    pairs = [f"{'cat ' * (row % 40)}ha" for row in range(44)]
    splits = {"train": make_examples(44, text_pairs=pairs), "val": make_examples(21, seed=1, text_pairs=pairs[:21])}
    splits["test"] = splits["val"]
    datamodule = _datamodule(tiny_model, tmp_path, splits=splits, max_length=24)
    prepared = datamodule.prepared["train"]
    assert isinstance(prepared, PreparedTexts)
    assert prepared.num_truncated > 0
    object.__setattr__(prepared.changes, "kinds", [])
    rows = np.arange(44)
    found, expected = prepared.collate_changed(rows, [0] * 44), prepared.collate(rows)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert found.keys() == expected.keys()


def test_all_word_embeddings_learn_then(tiny_model: str, tmp_path: Path) -> None:
    datamodule = _datamodule(tiny_model, tmp_path)
    used = datamodule.training_rows.used_tokens
    assert used.tolist() == list(range(len(datamodule.preparation.tokenizer)))


def test_seeds_are_those_of_a_stream_of_their_own(tiny_model: str, tmp_path: Path) -> None:
    datamodule = _datamodule(tiny_model, tmp_path)
    prepared = datamodule.prepared["train"]
    tokens = _epoch(datamodule, 3)
    batch = prepared.collate_changed(np.array([5]), [derive_seed(datamodule.seed, "augment", 3, 5)])
    assert tuple(batch["input_ids"][0][batch["attention_mask"][0].bool()].tolist()) == tokens[5]
    assert pickle.loads(pickle.dumps(prepared)).collate_changed(np.array([5]), [1]).keys() == batch.keys()


def test_what_cannot_be_is_refused(tiny_model: str) -> None:
    with pytest.raises(UserError, match=r"data\.augment"):
        validate(compose("train", ["data.augment=[translation]"]))
    with pytest.raises(UserError, match=r"data\.augment_rate"):
        validate(compose("train", ["data.augment_rate=1"]))
    validate(compose("train", ["data.augment=[word_dropout,casing]", "data.augment_rate=0.2"]))

    class Other(Preparation):
        prepare = None  # type: ignore[assignment]

    settings = type("Settings", (), {"augment": ["casing"]})()
    with pytest.raises(UserError, match=r"data\.augment: found \['casing'\].*set data\.augment=\[\]"):
        Other(None, settings)  # type: ignore[arg-type, abstract]
