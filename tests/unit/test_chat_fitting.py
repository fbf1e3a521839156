"""Questions about pictures that do not fit: too long, or not in the form that the chat template gives them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_humor.core.errors import UserError
from lit_humor.data.pictures.store import Pictures, in_memory
from tests.unit.chatting import END, PAD, PICTURE, TEMPLATE, Chatting, make_tokenizer, preparation
from tests.unit.test_chat import ANSWERED, ASKED, TOKENS, prompt_of, rows


@pytest.mark.parametrize(("max_length", "answer", "num_cut"), [(100, 48, 1), (96, 48, 1), (64, 30, 3)])
def test_a_question_too_long_is_cut_in_its_text_alone(
    max_length: int, answer: int, num_cut: int, tmp_path: Path
) -> None:
    tokenizer: Any = make_tokenizer()
    asked = rows(asked=[*ASKED[:2], "Why " * 60 + "so?"])
    made = preparation(tmp_path, max_length=max_length, answer_tokens=answer).prepare(asked, None)
    room = max_length - answer
    assert made.num_truncated == num_cut
    assert made.num_truncated == 1 + sum(
        len(tokenizer(prompt_of(*one))["input_ids"]) > room for one in zip(ASKED[:2], TOKENS[:2], strict=True)
    )
    assert made.prompts.lengths.max() == room
    text = tokenizer.decode(made.prompts.row(2))
    before, _, rest = text.partition("<|vision_end|>")
    assert before == f"<|im_start|>user\n<|vision_start|>{PICTURE * 10}"
    question, _, after = rest.partition("<|im_end|>")
    assert question
    assert ("Why " * 60).startswith(question)
    assert after == "\n<|im_start|>assistant\n"
    assert made.answers is not None
    assert tokenizer.decode(made.answers.row(2)) == ANSWERED[2] + END


def test_a_whole_book_is_not_tokenized(tmp_path: Path) -> None:
    book = "so why? " * 100_000
    made = preparation(tmp_path).prepare(rows(asked=[*ASKED[:2], book]), None)
    assert made.prompts.lengths[2] == 256 - 48
    assert made.num_truncated == 1


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"max_length": 56, "answer_tokens": 28}, r"^rows\.jsonl, line 1, question: found 10 tokens of the picture.*"),
        ({"max_length": 56, "answer_tokens": 28}, r"Fix: set data\.max_length=\d+, or set model\.prep.*max_pixels=\d+"),
        (
            {"answer_tokens": 3},
            r"^rows\.jsonl, line 1, answer: found \d+ tokens.*set model\.preparation\.answer_tokens",
        ),
        ({"answer_tokens": 0}, r"^model\.preparation\.answer_tokens: found 0.*answer_tokens=1"),
        ({"answer_tokens": 200}, r"^model\.preparation\.answer_tokens: found 200.*answer_tokens=128"),
        ({"max_pixels": 63}, r"^model\.preparation\.max_pixels: found 63.*max_pixels=64"),
        ({"min_pixels": 2000}, r"^model\.preparation\.min_pixels: found 2000.*min_pixels=1024"),
    ],
)
def test_what_cannot_fit(named: dict[str, int], told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told):
        preparation(tmp_path, **named).prepare(rows(), None)


def test_the_remedies_of_a_row_without_room_help(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        preparation(tmp_path, max_length=56, answer_tokens=28).prepare(rows(), None)
    ways = [way.removeprefix("set ").split() for way in raised.value.fix.split(", or ")]
    assert len(ways) == 2
    for way in ways:
        named = {one.partition("=")[0].rpartition(".")[2]: int(one.partition("=")[2]) for one in way}
        made = preparation(tmp_path, **({"max_length": 56, "answer_tokens": 28} | named)).prepare(rows(), None)
        assert (made.lengths > 0).all()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"asked": [ASKED[0], f"Is {PICTURE} funny?", "b"]}, r"^rows\.jsonl, line 2: found '<\|image_pad\|>' in"),
        ({"answered": ["a", "b", f"no{END}"]}, r"^rows\.jsonl, line 3: found '<\|im_end\|>' in"),
        ({"asked": [ASKED[0], "b", "Say MAGIC"]}, r"^rows\.jsonl, line 3, chat template: found .*Say MAGIC"),
        ({"answered": ["a", "MAGIC", "c"]}, r"^rows\.jsonl, line 2, chat template: found .*MAGIC"),
    ],
)
def test_rows_whose_structure_is_not_found(changed: dict[str, Any], told: str, tmp_path: Path) -> None:
    template = TEMPLATE.replace("{{ part.text }}", "{{ part.text | replace('MAGIC', 'magic') }}")
    with pytest.raises(UserError, match=told):
        preparation(tmp_path, Chatting(make_tokenizer(template))).prepare(rows(**changed), None)


NO_ANSWER = TEMPLATE.replace("{{ part.text }}", "{% if message.role == 'user' %}{{ part.text }}{% endif %}")


@pytest.mark.parametrize(
    ("pretrained", "told"),
    [
        (lambda: Chatting(make_tokenizer(None)), "a tokenizer without a chat template"),
        (lambda: Chatting(make_tokenizer("{{ messages.nothing.there }}")), "a chat template that fails"),
        (lambda: Chatting(make_tokenizer(NO_ANSWER)), "a chat template in which question and answer are not found"),
        (lambda: Chatting(make_tokenizer(TEMPLATE.replace(PICTURE, ""))), "a chat template without one place"),
        (lambda: Chatting(make_tokenizer(TEMPLATE.replace(END, "."))), "a chat template without a token that ends"),
        (lambda: Chatting(make_tokenizer(eos=PAD)), r"answers that end with <\|im_end\|>, and another eos_token"),
    ],
)
def test_models_that_do_not_fit(pretrained: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"^model\.pretrained: found {told}.*set model=qwen3_vl_tiny"):
        preparation(tmp_path, pretrained())


def test_a_picture_too_lengthy_names_its_row(tmp_path: Path) -> None:
    store = in_memory([np.zeros((1, 300, 3), dtype=np.uint8)] * 2)
    long = rows(pictures=Pictures(store, np.array([0, 0, 1])))
    with pytest.raises(UserError, match=r"^rows\.jsonl, line 1, picture: found 1 x 300 pixels"):
        preparation(tmp_path).prepare(long, None)
