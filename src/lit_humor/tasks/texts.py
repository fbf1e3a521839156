"""What tasks share whose rows have a text to find or to write. Legend: B rows, K classes, A tokens of an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lit_humor.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from lit_humor.data.dividing.splits import Drawn
    from lit_humor.data.examples import Examples
    from lit_humor.data.settings import DataSettings


def check_answers(
    kind: str, splits: Mapping[str, Examples], drawn: Drawn, settings: DataSettings, val_key: str
) -> None:
    """Check that training and validation have rows, and all rows an answer.

    Raises:
        UserError: They have not; the message names the setting to change.
    """
    from lit_humor.data.dividing.fitness import check_fit

    for name, examples in splits.items():
        if examples.answers is None:
            raise UserError(
                "data.answer_column",
                found=f"no answers in split '{name}'",
                expected=f"a column of texts, which task={kind} learns",
                fix="set data.answer_column=<column>, or set data=joke_halves",
            )
    check_fit(splits, drawn, settings, val_key)


def asked_again(text: str, answers: Sequence[str]) -> str:
    """Return a question with what a model answered so far: once a first time, and then with both answers.

    Args:
        text: The question as it was at first.
        answers: The answers, one at least; the last two are shown.
    """
    if len(answers) == 1:
        return f"{text}\nA first look at the picture says: {answers[0]}\nLook again. What is the better answer?"
    first, second = answers[-2:]
    said = f"A first look at the picture says: {first}\nA second look says: {second}"
    return f"{text}\n{said}\nWhat is the final answer, in as few words as it takes?"


def equally_many_tokens(answers: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Return the token ids of answers that stand for classes, each with its end.

    Raises:
        UserError: They have unequal numbers of tokens, or there is only one.
    """
    if not answers:
        return []
    from lit_humor.data.preparing.pairs import marks_of_texts

    end = marks_of_texts(tokenizer)[1]
    tokens = [[*tokenizer(answer, add_special_tokens=False)["input_ids"], end] for answer in answers]
    if len({len(ids) for ids in tokens}) > 1 or len(answers) < 2:
        counts = ", ".join(f"'{answer}' of {len(ids)}" for answer, ids in zip(answers, tokens, strict=True))
        key, expected = "tasks.generation.class_answers", "two or more of equally many tokens"
        raise UserError(key, found=f"{counts} tokens", expected=expected, fix=f"set {key}=[], or use other words")
    return tokens


def class_shares(network: Any, batch: Mapping[str, Tensor], tokens: Sequence[Sequence[int]]) -> Tensor:
    """Return the likelihood of each answer beside those of the others, [B, K] float32: rows add up to 1.

    Args:
        network: Gives ``answer_logits`` of a batch with ``answer_ids`` and ``answer_mask`` [B, A].
        batch: A batch, whose own answers are not read.
        tokens: The token ids of the K answers, equally many.
    """
    import torch

    likelihoods = []
    for ids in tokens:
        repeated = torch.tensor(ids, device=batch["row_weights"].device).expand(len(batch["row_weights"]), -1)
        asked = {**batch, "answer_ids": repeated, "answer_mask": torch.ones_like(repeated)}
        logits = network(asked)["answer_logits"].float()
        likelihoods.append(logits.log_softmax(dim=-1).gather(2, repeated[:, :, None]).sum(dim=(1, 2)))
    return torch.stack(likelihoods, dim=1).softmax(dim=1)
