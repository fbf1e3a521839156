"""Scores of a generated text beside its answer, by the standard library alone.

Texts are compared by their words, exactly: nothing here is a measure of likeness but ``token_f1``.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_MINUS = "-"
_WITHOUT_BLANKS = re.compile(  # characters of scripts that put no blanks between words
    "["
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f"  # Myanmar
    "\u1780-\u17ff"  # Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # Japanese
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese
    "]"
)


def normalized(text: str) -> str:
    """The text in the form in which texts are compared.

    Case is folded, Unicode punctuation becomes a blank, and blanks are collapsed. What makes another number stays: a
    point, comma or dash between digits, and a minus sign. Accents stay, too, in one of their two spellings (NFC).

    Source: Rajpurkar et al. 2016, SQuAD; articles stay here, for texts are in any language.
    """
    folded = unicodedata.normalize("NFC", text.casefold())
    around = f" {folded} "
    kept = [
        mark if not unicodedata.category(mark).startswith("P") or _is_of_number(before, mark, after) else " "
        for before, mark, after in zip(around, folded, around[2:], strict=False)
    ]
    return " ".join("".join(kept).split())


def _is_of_number(before: str, mark: str, after: str) -> bool:
    """Whether a punctuation mark, between two other characters, is a part of a number."""
    return after.isdigit() and (before.isdigit() or (mark == _MINUS and not before.isalnum()))


def words_of(text: str) -> list[str]:
    """Words of the normalised text; of languages without blanks (Chinese, Japanese, Thai) the single characters."""
    return _WITHOUT_BLANKS.sub(r" \g<0> ", normalized(text)).split()


def is_empty(text: str) -> bool:
    """Whether a text is nothing but blanks."""
    return not text.strip()


def exact_match(answer: str, text: str) -> bool:
    """Whether the text is the answer once both are normalised; a text without words is never right."""
    found = normalized(text)
    return bool(found) and found == normalized(answer)


def common_words(answer: str, text: str) -> tuple[int, int]:
    """Twice the number of words that both have, and the words of both: their quotient is ``token_f1``."""
    wanted, found = Counter(words_of(answer)), Counter(words_of(text))
    return 2 * (wanted & found).total(), wanted.total() + found.total()


def token_f1(answer: str, text: str) -> float:
    """F1 of the bags of words, 0 to 1; 0 where a text has no words.

    Source: Rajpurkar et al. 2016, SQuAD, section 6.1.
    """
    common, total = common_words(answer, text)
    return common / total if total else 0.0


def is_copied(prompt: str, text: str) -> bool:
    """Whether the words of the text, one at least, stand in the prompt in this order without a gap.

    An answer that the prompt offers ("yes or no?") counts as copied, too.
    """
    found = words_of(text)
    return bool(found) and f" {' '.join(found)} " in f" {' '.join(words_of(prompt))} "


def key_of(text: str) -> int:
    """A number of 64 bits with sign, equal for texts that are equal once normalised."""
    digest = hashlib.blake2b(normalized(text).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def distinct_share(texts: Sequence[str]) -> float:
    """Number of different normalised texts for each text, above 0 to 1.

    Raises:
        ValueError: There is no text.
    """
    if not texts:
        raise ValueError("No texts, so no share of them.")
    return len({normalized(text) for text in texts}) / len(texts)


def distinct_2(texts: Sequence[str]) -> float | None:
    """Different pairs of neighbouring words for each such pair, above 0 to 1; None where no text has two words.

    Source: Li et al. 2016, A diversity-promoting objective function for neural conversation models, distinct-2.
    """
    pairs = [pair for text in texts for pair in itertools.pairwise(words_of(text))]
    return len({*pairs}) / len(pairs) if pairs else None
