"""Jokes of two parts, of the embedded English corpus: a set-up, and the ending that answers it."""

from __future__ import annotations

import re

from lit_humor.core.batch import SPLITS
from lit_humor.data.examples import Examples
from lit_humor.data.reading.columns import Columns
from lit_humor.data.reading.tables import FILE, LINE, Table
from lit_humor.data.sources.demo import read_corpus, split_corpus

_FILE = "en.csv"
_COPIED = ("id", "language", "genre", "part", "pair_id", LINE, FILE)
_COLUMNS = Columns(text_column="set_up", answer_column="ending", negative_column="negative", group_column="pair_id")

_WORD = re.compile(r"\w")
_LEAST_BEFORE, _LEAST_BEHIND = 2, 1  # words of a set-up and of an ending
_CLOSED = r"[\"'”’)\]]*\s+(?=[^\sa-z#])"  # then comes something that begins a sentence, and no "says the waiter"
_QUESTION = re.compile(rf"\?{_CLOSED}")
_NO_END = r"(?<!\b[DM]r)(?<!\bMrs)(?<!\s\d)"  # titles, and numbers of a list
_SENTENCE = re.compile(rf"(?:[!?…]|{_NO_END}\.){_CLOSED}(?!\w+ stars?[.!]$)")  # the stars belong to what they judge
_COLON = re.compile(r":\s+")


class JokeHalves:
    """Humorous texts of the English corpus, cut in two by ``cut``; a text with no place to cut is left out.

    A joke with a serious twin that begins with the same set-up, word for word, has the twin's ending as its negative.
    Splits are those of the corpus. Twins are of one group, and a set-up stands in one split only.

    Args:
        rows_per_split: Take only so many rows of each split (for smoke tests); None takes all.
    """

    def __init__(self, rows_per_split: int | None = None) -> None:
        self.rows_per_split = rows_per_split

    def load(self) -> dict[str, Examples]:
        """Read the corpus: 1,000 jokes or so."""
        return split_corpus(_halves(read_corpus(_FILE)), _COLUMNS, "data=joke_halves", self.rows_per_split)


def cut(text: str) -> tuple[str, str] | None:
    """Cut a joke into set-up and ending; None where there is no place to cut.

    The first of these places that a joke has: behind its first question; before its last sentence (stars that end a
    review are no sentence); behind its first colon. At least two words stand before it and one behind it, and no
    quotation is open.
    """
    for pattern, which in ((_QUESTION, 0), (_SENTENCE, -1), (_COLON, 0)):
        places = [place for match in pattern.finditer(text) if _may_cut(text, place := match.end())]
        if places:
            return text[: places[which]].strip(), text[places[which] :].strip()
    return None


def _may_cut(text: str, place: int) -> bool:
    before, behind = (sum(bool(_WORD.search(word)) for word in half.split()) for half in (text[:place], text[place:]))
    is_quoted = text[:place].count('"') % 2 == 1
    return before >= _LEAST_BEFORE and behind >= _LEAST_BEHIND and not is_quoted


def _halves(corpus: Table) -> Table:
    """The table of jokes of two parts, with columns ``set_up``, ``ending``, ``negative`` and those of the corpus.

    Where two splits have one set-up, up to case and punctuation, the jokes of the later split are left out.
    """
    from lit_humor.data.dividing.similarity import normalise  # loads SciPy: not for a plan of runs

    serious = {
        pair: text
        for pair, text, label in zip(corpus["pair_id"], corpus["text"], corpus["is_humor"], strict=True)
        if pair and label == "0"
    }
    split_of: dict[str, str] = {}
    halves: Table = {name: [] for name in ("set_up", "ending", "negative", "split", *_COPIED)}
    order = sorted(range(len(corpus["text"])), key=lambda row: SPLITS.index(corpus["split"][row]))
    for row in order:
        parts = cut(corpus["text"][row]) if corpus["is_humor"][row] == "1" else None
        if parts is None or split_of.setdefault(normalise(parts[0]), corpus["split"][row]) != corpus["split"][row]:
            continue
        set_up, ending = parts
        twin = serious.get(corpus["pair_id"][row], "")
        negative = twin[len(set_up) :].strip() if twin.startswith(f"{set_up} ") else ""
        for name, value in {"set_up": set_up, "ending": ending, "negative": negative}.items():
            halves[name].append(value)
        for name in ("split", *_COPIED):
            halves[name].append(corpus[name][row])
    return halves
