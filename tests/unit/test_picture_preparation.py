"""Rows of a text, a picture and an answer as tensors."""

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_humor.core.batch import chunks, row_tokens
from lit_humor.core.errors import UserError
from lit_humor.data.answers import Answers
from lit_humor.data.examples import Examples
from lit_humor.data.pictures.store import Pictures, in_memory, keep_pictures
from lit_humor.data.preparing.pictures import PicturePreparation, PreparedPictures
from lit_humor.models.pretrained import Pretrained
from tests.unit.building import make_datamodule, make_examples

SIZE, PATCHES = 8, 4
TEXTS = ["the cat", "a dog and a train and the sea", "tea"]
ANSWERS = ["is a book", "the end", "no"]


def _drawn(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(5).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8))


def _rows(answers: list[str] | None = ANSWERS, writes: np.ndarray | None = None) -> Examples:
    rows = replace(Examples.unlabelled(TEXTS), pictures=Pictures(in_memory(_drawn(2)), np.array([1, 0, 1])))
    if answers is None:
        return rows
    count = len(answers)
    return replace(
        rows, answers=Answers(texts=answers, negatives=[[]] * count, instructions=[""] * count, writes=writes)
    )


def _preparation(model: str, folder: Path, padding: str = "longest", **options: int) -> PicturePreparation:
    made: Any = make_datamodule(model, folder, padding=padding, pad_to_multiple_of=1, max_length=16)
    return PicturePreparation(Pretrained(model), made.settings, **{"answer_tokens": 6, "patches": PATCHES} | options)


@pytest.fixture
def prepared(tiny_model: str, tmp_path: Path) -> PreparedPictures:
    return _preparation(tiny_model, tmp_path).prepare(_rows(), None)


def test_rows_in_any_order(prepared: PreparedPictures, tiny_model: str) -> None:
    tokenizer: Any = Pretrained(tiny_model).tokenizer
    batch = prepared.collate(np.array([2, 0]))
    assert set(batch) == {
        *("input_ids", "attention_mask", "pictures", "patch_ids", "answer_ids", "answer_mask", "writing_weights"),
    }
    assert torch.equal(batch["pictures"], torch.from_numpy(np.stack([_drawn(2)[1]] * 2)))
    assert batch["pictures"].dtype == torch.uint8
    assert batch["input_ids"].shape == batch["attention_mask"].shape
    for place, row in enumerate((2, 0)):
        ids = batch["input_ids"][place][batch["attention_mask"][place].bool()].tolist()
        assert ids == tokenizer(TEXTS[row])["input_ids"]
        answer = batch["answer_ids"][place][batch["answer_mask"][place].bool()].tolist()
        assert answer == tokenizer(ANSWERS[row])["input_ids"][1:], "without the beginning, with the end"
    is_padding = ~batch["answer_mask"].bool()
    assert (batch["answer_ids"][is_padding] == tokenizer.pad_token_id).all()


def test_a_row_costs_its_tokens_and_patches(prepared: PreparedPictures, tiny_model: str) -> None:
    tokenizer: Any = Pretrained(tiny_model).tokenizer
    tokens = [len(tokenizer(text)["input_ids"]) for text in TEXTS]
    answers = [len(tokenizer(text)["input_ids"]) - 1 for text in ANSWERS]
    assert prepared.lengths.tolist() == [sum(pair) + PATCHES for pair in zip(tokens, answers, strict=True)]
    assert prepared.mean_target_tokens == pytest.approx(np.mean(answers))
    alone: Any = prepared.collate(np.array([1]))
    assert row_tokens(alone) == tokens[1] + answers[1] + PATCHES == prepared.lengths[1], "what a chunk is cut by"
    whole: Any = prepared.collate(np.arange(3)) | {"row_weights": torch.ones(3)}
    parts = chunks(whole, 2 * row_tokens(whole))
    assert [len(part["pictures"]) for part in parts] == [2, 1]  # type: ignore[typeddict-item]


def test_rows_that_do_not_train_the_writing(tiny_model: str, tmp_path: Path) -> None:
    writes = np.array([True, False, True])
    prepared = _preparation(tiny_model, tmp_path).prepare(_rows(writes=writes), None)
    assert prepared.collate(np.arange(3))["writing_weights"].tolist() == [1, 0, 1]
    assert prepared.answers is not None
    assert prepared.mean_target_tokens == prepared.answers.lengths[[0, 2]].mean()


def test_rows_without_answers(tiny_model: str, tmp_path: Path) -> None:
    prepared = _preparation(tiny_model, tmp_path).prepare(_rows(None), None)
    assert set(prepared.collate(np.arange(3))) == {"input_ids", "attention_mask", "pictures", "patch_ids"}
    assert prepared.mean_target_tokens is None
    assert np.array_equal(prepared.lengths, prepared.texts.lengths + PATCHES)


def test_padded_to_the_longest_allowed(tiny_model: str, tmp_path: Path) -> None:
    batch = _preparation(tiny_model, tmp_path, padding="max_length").prepare(_rows(), None).collate(np.array([2]))
    assert batch["input_ids"].shape == (1, 16)
    assert batch["answer_ids"].shape == (1, 6)


def _digest(rows: PreparedPictures) -> str:
    digest = hashlib.sha256()
    rows.update_digest(digest)
    return digest.hexdigest()


def test_the_digest_sees_all_that_is_read(tiny_model: str, tmp_path: Path) -> None:
    preparation, rows = _preparation(tiny_model, tmp_path), _rows()
    others = [
        rows,
        replace(rows, texts=[*TEXTS[:2], "cat"]),
        replace(rows, pictures=replace(rows.pictures, rows=np.array([1, 0, 0]))),  # type: ignore[type-var]
        _rows([*ANSWERS[:2], "yes"]),
        _rows(writes=np.array([True, True, False])),
        _rows(None),
        replace(rows, pictures=None),
    ]
    digests = [_digest(preparation.prepare(one, None)) for one in others]
    assert len(set(digests)) == len(digests)
    assert _digest(preparation.prepare(_rows(), None)) == digests[0]


def test_rows_without_pictures(tiny_model: str, tmp_path: Path) -> None:
    prepared = _preparation(tiny_model, tmp_path).prepare(replace(_rows(), pictures=None), None)
    assert prepared.answers is not None
    assert "pictures" not in prepared.collate(np.arange(3))
    assert np.array_equal(prepared.lengths, prepared.texts.lengths + prepared.answers.lengths)


def test_tokens_of_answers_are_used(tiny_model: str, tmp_path: Path) -> None:
    preparation = _preparation(tiny_model, tmp_path)
    prepared = preparation.prepare(_rows(), None)
    batch, used = prepared.collate(np.arange(3)), preparation.used_tokens([prepared])
    assert np.isin(batch["answer_ids"], used).all()
    assert np.isin(batch["input_ids"], used).all()
    assert len(used) < len(preparation.texts.tokenizer)


def test_loader_processes_map_the_pictures(tiny_model: str, tmp_path: Path) -> None:
    splits = {}
    for split, count in (("train", 44), ("val", 8), ("test", 6)):
        store = keep_pictures(tmp_path / split, count, SIZE, _drawn(count))
        splits[split] = replace(make_examples(count), pictures=Pictures(store, np.arange(count)))
    made = make_datamodule(tiny_model, tmp_path, splits=splits, preparation=PicturePreparation, num_workers=2)
    made.setup()
    prepared: Any = made.prepared["train"]
    assert len(pickle.dumps(prepared)) < 4000 < prepared.pictures.store.values.nbytes
    seen = 0
    for batch in made.train_dataloader():
        expected = torch.from_numpy(np.stack([_drawn(44)[row] for row in batch["rows"]]))
        assert torch.equal(batch["pictures"], expected)
        seen += len(batch["rows"])
    assert seen >= 44


def test_what_cannot_be_prepared(tiny_model: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^model\.preparation\.answer_tokens: found 0.*answer_tokens=1"):
        _preparation(tiny_model, tmp_path, answer_tokens=0)
