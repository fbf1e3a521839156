"""chrF++ and BLEU of a whole split, from whole numbers that are added up over rows; by the standard library alone.

Alternatives: ``torchmetrics.text.CHRFScore`` (1.9) leaves the answer out of its sums where a text shares nothing with
it, so that empty texts do not lower the score; gives equal texts of less than six characters less than 1; and counts in
float32, which ends at 16.7 million characters. Where neither happens, the numbers here are the same.
"""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Sequence

_CHARACTERS, _WORDS, _BLEU = 6, 2, 4  # longest n-grams
_BETA = 2  # recall counts twice as much as precision
_CHRF = 3 * (_CHARACTERS + _WORDS)  # how many of the counts are chrF's

NUM_COUNTS = _CHRF + 2 * _BLEU + 2


def counts_of(answer: str, text: str) -> list[int]:
    """What a row adds to the counts of its split.

    Returns:
        [NUM_COUNTS]: for each n-gram length of chrF those of the answer, those of the text, and those of both; for
        each length of BLEU those of both and those of the text; and the words of the answer and of the text.
    """
    pairs = [
        *_grams("".join(answer.split()), "".join(text.split()), _CHARACTERS),
        *_grams(_separated(answer), _separated(text), _WORDS),
    ]
    words, found = answer.split(), text.split()
    of_chrf = [n for a, b in pairs for n in (a.total(), b.total(), (a & b).total())]
    of_bleu = [n for a, b in _grams(words, found, _BLEU) for n in ((a & b).total(), b.total())]
    return [*of_chrf, *of_bleu, len(words), len(found)]


def _grams(answer: Sequence[str], text: Sequence[str], longest: int) -> list[tuple[Counter[object], Counter[object]]]:
    return [(_count(answer, length), _count(text, length)) for length in range(1, longest + 1)]


def _count(items: Sequence[str], length: int) -> Counter[object]:
    return Counter(zip(*(items[start:] for start in range(length)), strict=False))


def _separated(text: str) -> list[str]:
    """Words, with a punctuation mark at one end as a word of its own, as chrF++.py has them."""
    words = []
    for word in text.split():
        if len(word) > 1 and word[-1] in string.punctuation:
            words += [word[:-1], word[-1]]
        elif len(word) > 1 and word[0] in string.punctuation:
            words += [word[0], word[1:]]
        else:
            words.append(word)
    return words


def chrf_of(counts: Sequence[int]) -> float:
    """chrF++ of a split, 0 to 1: the mean over n-gram lengths of F2; lengths that no text has are left out.

    Source: Popović 2017, chrF++: words helping character n-grams.

    Args:
        counts: [NUM_COUNTS] sums over rows of ``counts_of``.
    """
    scores = []
    for start in range(0, _CHRF, 3):
        wanted, found, common = counts[start : start + 3]
        if wanted or found:  # F of precision common / found and recall common / wanted
            scores.append((1 + _BETA**2) * common / (_BETA**2 * wanted + found))
    return math.fsum(scores) / len(scores) if scores else 0.0


def bleu_of(counts: Sequence[int]) -> float:
    """BLEU of a split, 0 to 1, up to four words, not smoothed: 0 where no four words in a row are right.

    Words are what blanks separate: it says nothing about languages without blanks, nor about answers of a word or two.

    Source: Papineni et al. 2002, BLEU, section 2.3.

    Args:
        counts: [NUM_COUNTS] sums over rows of ``counts_of``.
    """
    common, found = counts[_CHRF:-2:2], counts[_CHRF + 1 : -2 : 2]
    answer_words, text_words = counts[-2:]
    if not all(common):
        return 0.0
    precision = math.fsum(math.log(a / b) for a, b in zip(common, found, strict=True)) / _BLEU
    return math.exp(precision + min(0.0, 1 - answer_words / text_words))
