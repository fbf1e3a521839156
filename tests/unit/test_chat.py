"""Questions about pictures as prompts with answers, in batches."""

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_humor.core.batch import chunks, row_tokens
from lit_humor.data.answers import Answers
from lit_humor.data.examples import Examples, Place
from lit_humor.data.pictures.patches import Cut, cut
from lit_humor.data.pictures.store import Pictures
from lit_humor.data.preparing.chat import ChatPreparation, PreparedChats
from tests.unit.chatting import END, PICTURE, make_tokenizer, preparation
from tests.unit.test_patches import picture

ASKED = ["Who is it?", "Is that funny, and why?", "Where is the elephant, and what does it do there?"]
ANSWERED = ["an elephant", "Yes.", "at sea"]
SIZES = [(16, 16), (16, 40)]
TOKENS = [10, 4, 10]  # of the pictures of the rows: squares of 8 pixels


class Mixed:
    """Pictures of several sizes."""

    keys = np.array([71, 72])

    def picture(self, number: int) -> np.ndarray:
        return picture(*SIZES[number])


def rows(answered: list[str] | None = ANSWERED, asked: list[str] = ASKED, **more: Any) -> Examples:
    made = replace(Examples.unlabelled(asked), pictures=Pictures(Mixed(), np.array([1, 0, 1])))  # type: ignore[arg-type]
    made = replace(made, places=[Place("rows.jsonl", line) for line in range(1, len(asked) + 1)])
    if answered is not None:
        none: list[list[str]] = [[]] * len(answered)
        texts = {"texts": answered, "negatives": none, "instructions": more.pop("instructions", [""] * len(answered))}
        made = replace(made, answers=Answers(**texts, writes=more.pop("writes", None)))
    return replace(made, **more)


def prompt_of(question: str, picture_tokens: int) -> str:
    seen = f"<|vision_start|>{PICTURE * picture_tokens}<|vision_end|>" if picture_tokens else ""
    return f"<|im_start|>user\n{seen}{question}<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedChats:
    return preparation(tmp_path).prepare(rows(), tmp_path)


def test_rows_in_any_order(prepared: PreparedChats) -> None:
    tokenizer: Any = make_tokenizer()
    batch = prepared.collate(np.array([2, 1, 0]))
    assert set(batch) == {
        *("input_ids", "attention_mask", "patches", "patch_grid", "picture_keys"),
        *("answer_ids", "answer_mask", "writing_weights"),
    }
    assert {len(values) for values in batch.values()} == {3}
    for place, row in enumerate((2, 1, 0)):
        mask = batch["attention_mask"][place]
        assert mask.tolist() == sorted(mask.tolist()), "padded on the left"
        ids = batch["input_ids"][place]
        assert tokenizer.decode(ids[mask.bool()]) == prompt_of(ASKED[row], TOKENS[row])
        assert (ids[~mask.bool()] == tokenizer.pad_token_id).all()
        answer_mask = batch["answer_mask"][place]
        assert answer_mask.tolist() == sorted(answer_mask.tolist(), reverse=True), "padded on the right"
        assert tokenizer.decode(batch["answer_ids"][place][answer_mask.bool()]) == ANSWERED[row] + END
        assert (batch["answer_ids"][place][~answer_mask.bool()] == tokenizer.pad_token_id).all()
    assert batch["picture_keys"].tolist() == [72, 71, 72]
    assert batch["writing_weights"].tolist() == [1, 1, 1]
    types = {name: values.dtype for name, values in batch.items()}
    assert types.pop("patches") == torch.uint8
    assert types.pop("writing_weights") == torch.float32
    assert set(types.values()) == {torch.int64}


def test_patches_of_each_row(prepared: PreparedChats) -> None:
    batch = prepared.collate(np.arange(3))
    assert batch["patch_grid"].tolist() == [[4, 10], [4, 4], [4, 10]]
    assert batch["patches"].shape == (3, 40, 48)
    for row, size in enumerate([SIZES[1], SIZES[0], SIZES[1]]):
        own = torch.from_numpy(cut(picture(*size), Cut(4, 2, 64, 1024))[0])
        assert torch.equal(batch["patches"][row, : len(own)], own)
        assert not batch["patches"][row, len(own) :].any()
    assert prepared.patches is not None
    assert len(prepared.patches.grids) == 2, "each picture once"


def test_joined_to_the_answer_it_is_what_the_template_makes_of_both(prepared: PreparedChats) -> None:
    tokenizer: Any = make_tokenizer()
    batch = prepared.collate(np.array([0]))
    turns = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": ASKED[0]}]},
        {"role": "assistant", "content": [{"type": "text", "text": ANSWERED[0]}]},
    ]
    whole = tokenizer.apply_chat_template(turns, tokenize=False).replace(PICTURE, PICTURE * TOKENS[0])
    joined = torch.cat([batch["input_ids"][0], batch["answer_ids"][0]]).tolist()
    assert joined == tokenizer(whole.removesuffix("\n"))["input_ids"]


def test_lengths_are_honest(prepared: PreparedChats) -> None:
    tokenizer: Any = make_tokenizer()
    prompts = [len(tokenizer(prompt_of(*one))["input_ids"]) for one in zip(ASKED, TOKENS, strict=True)]
    answers = [len(tokenizer(text)["input_ids"]) + 1 for text in ANSWERED]
    assert prepared.lengths.tolist() == [sum(pair) for pair in zip(prompts, answers, strict=True)]
    assert prepared.mean_target_tokens == pytest.approx(np.mean(answers))
    alone: Any = prepared.collate(np.array([1]))
    assert row_tokens(alone) == prompts[1] + answers[1]
    assert prepared.num_truncated == 0


def test_a_batch_is_cut_by_rows(prepared: PreparedChats) -> None:
    batch: Any = prepared.collate(np.arange(3)) | {"row_weights": torch.ones(3)}
    parts = chunks(batch, max_tokens=1)
    assert [len(part["row_weights"]) for part in parts] == [1, 1, 1]
    joined = {name: torch.cat([part[name] for part in parts]) for name in batch}  # type: ignore[literal-required]
    assert all(torch.equal(joined[name], batch[name]) for name in batch)


def test_instructions_stand_before_questions(tmp_path: Path) -> None:
    tokenizer: Any = make_tokenizer()
    said = ["Look well.", "", f"{ASKED[2]} In one word."]
    made = preparation(tmp_path).prepare(rows(instructions=said), None)
    texts = [tokenizer.decode(made.prompts.row(row)) for row in range(3)]
    expected = [f"Look well.\n{ASKED[0]}", ASKED[1], said[2]]
    assert texts == [prompt_of(*one) for one in zip(expected, TOKENS, strict=True)]


def test_rows_without_answers_or_pictures(tmp_path: Path) -> None:
    made = preparation(tmp_path).prepare(rows(None, pictures=None), tmp_path)
    batch: Any = made.collate(np.arange(3))
    assert set(batch) == {"input_ids", "attention_mask", "patches", "patch_grid", "picture_keys"}
    assert batch["patches"].shape == (3, 0, 48)
    assert batch["patch_grid"].tolist() == [[0, 0]] * 3
    assert batch["picture_keys"].tolist() == [-1] * 3
    assert made.mean_target_tokens is None
    assert make_tokenizer().decode(made.prompts.row(0)) == prompt_of(ASKED[0], 0)
    assert len(chunks(batch | {"row_weights": torch.ones(3)}, max_tokens=1)) == 3


def test_padded_to_the_longest_allowed(tmp_path: Path) -> None:
    batch = preparation(tmp_path, padding="max_length").prepare(rows(), None).collate(np.array([0]))
    assert batch["input_ids"].shape == (1, 256 - 48)
    assert batch["answer_ids"].shape == (1, 48)


def test_rows_that_do_not_train_the_writing(tmp_path: Path) -> None:
    made = preparation(tmp_path).prepare(rows(writes=np.array([True, False, True])), None)
    assert made.collate(np.arange(3))["writing_weights"].tolist() == [1, 0, 1]
    assert made.answers is not None
    assert made.mean_target_tokens == made.answers.lengths[[0, 2]].mean()


def _digest(made: PreparedChats) -> str:
    digest = hashlib.sha256()
    made.update_digest(digest)
    return digest.hexdigest()


def test_the_digest_sees_all_that_is_read(tmp_path: Path) -> None:
    usual = preparation(tmp_path)
    others = [
        rows(),
        rows(asked=[*ASKED[:2], "Why?"]),
        rows([*ANSWERED[:2], "no"]),
        rows(pictures=Pictures(Mixed(), np.array([1, 0, 0]))),  # type: ignore[arg-type]
        rows(writes=np.array([True, True, False])),
        rows(pictures=None),
        rows(None),
    ]
    digests = [_digest(usual.prepare(one, None)) for one in others]
    digests.append(_digest(preparation(tmp_path, max_pixels=256).prepare(rows(), None)))
    assert len(set(digests)) == len(digests)
    assert _digest(usual.prepare(rows(), tmp_path)) == digests[0]


def test_pictures_are_cut_once_for_all_runs(prepared: PreparedChats, tmp_path: Path) -> None:
    class Gone(Mixed):
        def picture(self, number: int) -> np.ndarray:
            pytest.fail("read again")

    made = rows(pictures=Pictures(Gone(), np.array([1, 0, 1])))  # type: ignore[arg-type]
    again = preparation(tmp_path).prepare(made, tmp_path)
    assert torch.equal(again.collate(np.arange(3))["patches"], prepared.collate(np.arange(3))["patches"])
    assert prepared.patches is not None
    assert len(pickle.dumps(prepared.patches)) < 500 < prepared.patches.values.nbytes
    sent: Any = pickle.loads(pickle.dumps(prepared))
    assert torch.equal(sent.collate(np.arange(3))["patches"], prepared.collate(np.arange(3))["patches"])


def test_other_limits_make_other_patches(prepared: PreparedChats, tmp_path: Path) -> None:
    smaller = preparation(tmp_path, max_pixels=256).prepare(rows(), tmp_path)
    assert smaller.collate(np.arange(3))["patch_grid"].prod(dim=1).max() <= 16
    assert isinstance(preparation(tmp_path), ChatPreparation)
