"""Computes how much each word of a text contributed to the answer. Legend: T tokens, B rows of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from rich.text import Text

from lit_humor.core.errors import MissingExtraError
from lit_humor.inference.scoring import Scorer
from lit_humor.models.packing import PACKED
from lit_humor.models.texts import text_inputs
from lit_humor.tasks.answers import Explained, only_explained

_STEPS = 32
_STRONG, _WEAK = 0.5, 0.15  # shares of the largest weight
_NUM_STRONGEST = 6


class Word(NamedTuple):
    """A word of the text: first character, character after the last, and what it added to the answer."""

    start: int
    end: int
    weight: float


def questions(
    scorer: Scorer, answers: Mapping[str, Mapping[str, Sequence[Any]]], row: int
) -> list[tuple[str, Explained]]:
    """Return the numbers of an answer that can be explained, each with a name.

    Args:
        scorer: The run.
        answers: Result of ``Scorer.answer``.
        row: Index of the text among the answers.

    Raises:
        UserError: No task of the run can be explained.
    """
    tasks = only_explained(scorer.tasks).items()
    asked = [task.explained(answers[name], row, scorer.calibration) for name, task in tasks]
    return [(question.name, question) for question in asked if question is not None]


def explain(scorer: Scorer, text: str, asked: Callable[[Mapping[str, torch.Tensor]], torch.Tensor]) -> list[Word]:
    """Attribute an answer to the words of a text by integrated gradients, from a text of padding tokens.

    The sum of the weights of all words and special tokens is about the answer minus the answer to the padding text.
    The weights describe what the model used, not what makes a joke.

    Source: Sundararajan et al. 2017, Axiomatic Attribution for Deep Networks, in captum.
    Cost: 32 forward and backward passes of one row.
    Alternatives: leaving out one word at a time needs no gradients, but a forward pass for each word.

    Args:
        scorer: The run.
        text: A text that is not blank.
        asked: Function from the outputs of the network to the explained number [B]; see ``questions``.

    Raises:
        MissingExtraError: The ``explain`` extra is not installed.
    """
    try:
        from captum.attr import LayerIntegratedGradients
    except ImportError:
        raise MissingExtraError("explain=true", package="captum", extra="explain") from None
    encoded = scorer.tokenizer(
        text, truncation=True, max_length=scorer.max_length, return_tensors="pt", return_offsets_mapping=True
    )
    encoding = (encoded.encodings or [])[0]
    inputs = {name: value.to(scorer.device) for name, value in text_inputs(encoded).items()}
    special = torch.tensor(encoding.special_tokens_mask, dtype=torch.bool, device=scorer.device)
    blank = torch.where(special, inputs["input_ids"], scorer.tokenizer.pad_token_id)

    def answer(input_ids: torch.Tensor) -> torch.Tensor:
        batch: Any = {name: value.expand(len(input_ids), -1) for name, value in inputs.items()} | {
            "input_ids": input_ids
        }
        return asked(scorer.learner.model(batch))

    backbone: Any = scorer.learner.model.backbone
    if (
        backbone.config._attn_implementation == PACKED
    ):  # captum needs a first dimension of rows, which packed attention does not have
        backbone.set_attn_implementation("sdpa")
    layer = backbone.get_input_embeddings()
    attributions = LayerIntegratedGradients(answer, layer).attribute(
        inputs["input_ids"], baselines=blank, n_steps=_STEPS, internal_batch_size=_STEPS
    )
    weights = attributions.sum(dim=-1)[0].tolist()
    words: dict[int, Word] = {}
    for word, (start, end), weight in zip(encoding.word_ids, encoding.offsets, weights, strict=True):
        if word is not None:
            known = words.get(word, Word(start, end, 0.0))
            words[word] = Word(min(known.start, start), max(known.end, end), known.weight + weight)
    return list(words.values())


def colored(text: str, words: list[Word]) -> Text:
    """Return the text for a terminal: words for the label green, words against it red, strong ones on a background."""
    shown = Text(text)
    largest = max((abs(word.weight) for word in words), default=0.0) or 1.0
    for word in words:
        strength = abs(word.weight) / largest
        color = "green" if word.weight > 0 else "red"
        if strength > _WEAK:
            shown.stylize(f"bold white on {color}" if strength > _STRONG else color, word.start, word.end)
    return shown


def strongest(text: str, words: list[Word]) -> str:
    """Return the words with the largest weights, for a terminal without colours."""
    top = sorted(words, key=lambda word: -abs(word.weight))[:_NUM_STRONGEST]
    return ", ".join(f"{text[word.start : word.end]} {word.weight:+.3f}" for word in top)
