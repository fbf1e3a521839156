"""Answers of a model that are put into its questions again, and answers that stand for classes."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_humor.core.errors import UserError
from lit_humor.metrics.text_scores import exact_match
from lit_humor.tasks.classification import Classification
from lit_humor.tasks.generation import Generation
from lit_humor.tasks.texts import class_shares, equally_many_tokens
from tests.unit.chatting import Chatting, make_tokenizer

QUESTION = "Who is in this picture?"


def test_the_three_questions_of_a_cascade() -> None:
    task = Generation()
    assert task.asked_again(QUESTION, ["a cat"]) == (
        "Who is in this picture?\nA first look at the picture says: a cat\nLook again. What is the better answer?"
    )
    assert task.asked_again(QUESTION, ["a cat", "a dog"]) == (
        "Who is in this picture?\nA first look at the picture says: a cat\nA second look says: a dog\n"
        "What is the final answer, in as few words as it takes?"
    )
    assert task.asked_again(QUESTION, ["a", "b", "c"]) == task.asked_again(QUESTION, ["b", "c"])
    assert Classification().asked_again("a joke", ["humor", "not humor"]) == "not humor: a joke"


@pytest.mark.parametrize(
    "pair", [("no", "unknown"), ("not funny", "funny"), ("a cat", ""), ("1", "10"), ("a cat", "cat")]
)
def test_what_is_near_an_answer_is_wrong(pair: tuple[str, str]) -> None:
    assert not exact_match(*pair)
    assert exact_match("At sea.", "at SEA")


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        (["Yes", "No, not at sea"], r"'Yes' of \d+, 'No, not at sea' of \d+ tokens"),
        (["funny", "not funny"], r"'funny' of \d+, 'not funny' of \d+ tokens"),
        (["Yes"], r"'Yes' of \d+ tokens, expected two or more"),
    ],
)
def test_answers_of_unequal_length_are_refused(answers: list[str], told: str) -> None:
    task = Generation(class_answers=answers)
    with pytest.raises(UserError, match=rf"^tasks\.generation\.class_answers: found {told}.*class_answers=\[\]"):
        task.connect(Chatting())
    Generation(class_answers=[]).connect(Chatting())


class Scripted:
    """A network whose logits are known, and which looks at what it is given."""

    def __init__(self, size: int) -> None:
        self.logits = torch.randn(3, 3, size, generator=torch.Generator().manual_seed(1))
        self.asked: list[Tensor] = []

    def __call__(self, batch: Any) -> dict[str, Tensor]:
        assert batch["answer_mask"].all()
        self.asked.append(batch["answer_ids"])
        return {"answer_logits": self.logits[: len(batch["row_weights"])]}

    def write(self, batch: Any, max_tokens: int, end: int, num_beams: int) -> Tensor:
        return torch.full((len(batch["row_weights"]), max_tokens), end)


def test_likelihoods_are_those_of_the_answers() -> None:
    tokens = [[4, 7, 2], [5, 5, 2]]
    network = Scripted(8)
    batch = {"row_weights": torch.ones(3), "answer_ids": torch.full((3, 9), 1), "input_ids": torch.ones(3, 4)}
    shares = class_shares(network, batch, tokens)
    assert [one.tolist() for one in network.asked] == [[ids] * 3 for ids in tokens]
    for row in range(3):
        odds = []
        for ids in tokens:
            log_p = network.logits[row].double().log_softmax(-1)
            odds.append(np.exp(sum(float(log_p[place, token]) for place, token in enumerate(ids))))
        assert shares[row].tolist() == pytest.approx([one / sum(odds) for one in odds], rel=1e-5)


def test_likelihoods_are_columns_of_the_predictions() -> None:
    tokenizer: Any = make_tokenizer()
    assert [len(ids) for ids in equally_many_tokens(["sea", "Yes"], tokenizer)] == [2, 2], "with the end"
    task = Generation(class_answers=["sea", "Yes"], max_tokens=2)
    task.connect(Chatting())
    batch = {"row_weights": torch.ones(3)}
    outputs = task.extra_outputs(Scripted(len(tokenizer)), batch, "test")
    assert outputs["generated_ids"].shape == (3, 2)
    assert outputs["class_shares"].sum(dim=1).tolist() == pytest.approx([1] * 3)
    columns = task.columns(outputs | {"nll": torch.ones(3), "answer_tokens": torch.ones(3)}, batch)
    assert columns["likelihood_sea"].tolist() == outputs["class_shares"][:, 0].tolist()
    assert columns["prediction"] == [""] * 3
    assert task.extra_outputs(None, batch, "val") == {}
