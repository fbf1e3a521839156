"""Changes training texts a little, in another way in each epoch (data augmentation). Legend: B rows of a batch.

Imports NumPy alone, since loader processes import this module.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_MARKS = (".", ";", "?", ":", "!", ",")  # those of AEDA
_WORDS = re.compile(r"\S+")


@dataclass(frozen=True)
class TextChanges:
    """The texts of a split, and how they may be changed.

    A row is drawn anew for each seed, so that a seed of (run, epoch, row) gives the same text in every process and
    after an interruption.

    Source: word dropout: Iyyer et al. 2015, Deep Unordered Composition, section 3.1; swaps: Wei & Zou 2019, EDA;
    characters: Belinkov & Bisk 2018, Synthetic and Natural Noise; marks: Karimi et al. 2021, AEDA.
    Cost: rows are tokenized in every epoch, in the loader processes; all word embeddings learn, since any token may
    occur.
    Alternatives: ``model.network.dropout`` changes what the model reads without changing texts.

    Attributes:
        kinds: What may change, in order; names of ``CHANGES``.
        rate: Probability of each change at each word.
        texts: The texts of all rows.
        text_pairs: Their second texts, or None.
        tokenizer: A ``tokenizers.Tokenizer``.
        max_length: Most tokens of a row.
        most_characters: Longer texts are cut before they are tokenized.
    """

    kinds: Sequence[str]
    rate: float
    texts: Sequence[str]
    text_pairs: Sequence[str] | None
    tokenizer: Any
    max_length: int
    most_characters: int

    def tokenize(self, rows: np.ndarray, seeds: Sequence[int]) -> list[Any]:
        """Return the encodings of rows [B], each changed as its seed says."""
        pairs: list[Any] = []
        for row, seed in zip(rows, seeds, strict=True):
            generator = np.random.default_rng(seed)
            columns = [self.texts] if self.text_pairs is None else [self.texts, self.text_pairs]
            changed = [self.changed(column[row][: self.most_characters], generator) for column in columns]
            pairs.append(changed[0] if len(changed) == 1 else tuple(changed))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.max_length)
        return list(self.tokenizer.encode_batch(pairs))

    def changed(self, text: str, generator: np.random.Generator) -> str:
        """Return a text with changes; never without a word, if it has one."""
        for kind in self.kinds:
            text = CHANGES[kind](text, self.rate, generator)
        return text


def drop_words(text: str, rate: float, generator: np.random.Generator) -> str:
    """Leave each word out with probability ``rate``, but not all of them."""
    places = list(_WORDS.finditer(text))
    left_out = generator.random(len(places)) < rate
    if not places or left_out.all():
        return text
    return _replaced(text, ["" if out else place[0] for place, out in zip(places, left_out, strict=True)])


def swap_words(text: str, rate: float, generator: np.random.Generator) -> str:
    """Swap each word with the next one with probability ``rate``; no word moves twice."""
    words = _WORDS.findall(text)
    drawn = generator.random(len(words)) < rate
    place = 0
    while place < len(words) - 1:
        if drawn[place]:
            words[place : place + 2] = words[place + 1], words[place]
            place += 1
        place += 1
    return _replaced(text, words)


def noise_characters(text: str, rate: float, generator: np.random.Generator) -> str:
    """Leave out, double or swap one character in each word of two or more, with probability ``rate``."""
    words = _WORDS.findall(text)
    for place, is_drawn in enumerate(generator.random(len(words)) < rate):
        word = words[place]
        if is_drawn and len(word) > 1:
            at, way = int(generator.integers(len(word) - 1)), int(generator.integers(3))
            first, second = word[at], word[at + 1]
            words[place] = word[:at] + (second, first * 2 + second, second + first)[way] + word[at + 2 :]
    return _replaced(text, words)


def change_case(text: str, rate: float, generator: np.random.Generator) -> str:
    """Write each word in small letters, in capitals, or with one capital in front, with probability ``rate``."""
    words = _WORDS.findall(text)
    for place, is_drawn in enumerate(generator.random(len(words)) < rate):
        if is_drawn:
            way = int(generator.integers(3))
            words[place] = (str.lower, str.upper, str.capitalize)[way](words[place])
    return _replaced(text, words)


def add_marks(text: str, rate: float, generator: np.random.Generator) -> str:
    """Put a punctuation mark in front of each word with probability ``rate``."""
    words = _WORDS.findall(text)
    for place, is_drawn in enumerate(generator.random(len(words)) < rate):
        if is_drawn:
            words[place] = f"{_MARKS[int(generator.integers(len(_MARKS)))]} {words[place]}"
    return _replaced(text, words)


def _replaced(text: str, words: Sequence[str]) -> str:
    """Return a text with other words, and the blanks between them as they were; two around a word left out are one."""
    new = iter(words)
    replaced = _WORDS.sub(lambda _: next(new), text)
    return re.sub(r"^\s+|(?<=\s)\s+|\s+$", "", replaced) if "" in words else replaced


CHANGES: dict[str, Callable[[str, float, np.random.Generator], str]] = {
    "word_dropout": drop_words,
    "word_swap": swap_words,
    "characters": noise_characters,
    "casing": change_case,
    "punctuation": add_marks,
}
