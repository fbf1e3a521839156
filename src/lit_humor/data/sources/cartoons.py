"""Drawn pictures with captions, of which half are funny: those that speak of another place than the picture shows.

Drawn data measures the machinery, not humor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lit_humor.core.batch import SPLITS
from lit_humor.core.errors import MissingExtraError, UserError
from lit_humor.core.seeds import derive_seed
from lit_humor.data.examples import Examples, build_examples
from lit_humor.data.pictures.places import PLACES
from lit_humor.data.pictures.shapes import ACTORS, PROPS
from lit_humor.data.pictures.store import Pictures, PictureStore, keep_pictures
from lit_humor.data.reading.columns import Columns
from lit_humor.data.reading.tables import LINE, Table

NOTE = "drawn data measures the machinery, not humor"  # wherever an origin of numbers is shown
_FORMAT = 1  # increase when a picture or caption changes
_COLUMNS = Columns(text_column="text", label_column="label", answer_column="answer")
_BLOCK = 48  # rows, in which labels are balanced
_PARTS = {"train": (0, 72), "val": (72, 90), "test": (90, 108)}  # of the pairs of actor and prop in each place
_CAPTIONS = (
    "Another quiet day {}.",
    "So this is what they call a holiday {}.",
    "Nobody told me that it would be so busy {}.",
    "My doctor said that I need more time {}.",
    "I have lived {} all my life.",
    "Please be quiet, we are {}.",
)
_WHERE = {"sea": "at sea", "moon": "on the moon", "stage": "on stage", "farm": "on the farm"}  # others: in the ...


class Row(NamedTuple):
    """A picture with its caption.

    Attributes:
        actor: Name of who is there.
        place: Name of where.
        prop: Name of the thing beside.
        spoken_of: Name of the place that the caption speaks of.
        caption: The caption.
    """

    actor: str
    place: str
    prop: str
    spoken_of: str
    caption: str

    @property
    def is_funny(self) -> bool:
        """Whether caption and picture disagree."""
        return self.place != self.spoken_of

    @property
    def answer(self) -> str:
        """What is in the picture, and whether the caption says the same."""
        return f"This is {a(self.actor)} with {a(self.prop)} {in_place(self.place)}, {self.agreement}."

    @property
    def agreement(self) -> str:
        """Whether the caption says what the picture shows, in words that follow those of its place."""
        return f"not {in_place(self.spoken_of)}" if self.is_funny else "as the caption says"


class Cartoons:
    """An actor with a prop in a place, drawn, with a caption: 3,456, 864 and 864 rows.

    No actor is with the same prop in the same place in two splits. Of each such triple a split has four pictures, two
    with a caption that fits and two with one that does not, and each caption stands as often under a picture that it
    fits as under another: neither picture nor caption alone tells.

    Args:
        pictures_dir: Parent of the folder of drawn pictures; an existing folder is used again.
        size: Height and width of a picture in pixels.
        seed: Seed of the drawing and of which caption stands where.
        rows_per_split: Take only the first rows of each split (for smoke tests); balanced for multiples of 48; None
            takes all.

    Raises:
        UserError: Pictures are too small, or rows too few.
    """

    def __init__(self, pictures_dir: str, size: int = 64, seed: int = 0, rows_per_split: int | None = None) -> None:
        for key, value, least in (("size", size, 16), ("rows_per_split", rows_per_split, _BLOCK)):
            if value is not None and value < least:
                fix = f"set data.{key}={least}"
                raise UserError(f"data.{key}", found=str(value), expected=f"at least {least}", fix=fix)
        self.pictures_dir, self.size, self.seed, self.rows_per_split = Path(pictures_dir), size, seed, rows_per_split

    def load(self) -> dict[str, Examples]:
        """Draw the pictures, or map those of an earlier run, and write the captions.

        Raises:
            MissingExtraError: Pillow is missing.
        """
        return {split: self._load(split) for split in SPLITS}

    def draw(self, split: str) -> tuple[list[Row], PictureStore]:
        """Return the rows of a split, and the picture of each; errors as in ``load``."""
        rows = rows_of(split, self.seed)[: self.rows_per_split]
        folder = self.pictures_dir / f"cartoons-{_FORMAT}-{self.seed}-{self.size}-{split}-{len(rows)}"
        return rows, keep_pictures(folder, len(rows), self.size, self._drawn(split, rows))

    def _load(self, split: str) -> Examples:
        rows, store = self.draw(split)
        table: Table = {
            "id": [f"{split}-{number}" for number in range(1, len(rows) + 1)],
            "text": [row.caption for row in rows],
            "label": [int(row.is_funny) for row in rows],
            "answer": [row.answer for row in rows],
            LINE: list(range(1, len(rows) + 1)),
        }
        examples = build_examples(table, _COLUMNS, f"data=cartoons, {split}")
        return replace(examples, pictures=Pictures(store, np.arange(len(rows))), origin=f"{examples.origin}: {NOTE}")

    def _drawn(self, split: str, rows: list[Row]) -> Iterator[np.ndarray]:
        """Draw the picture of each row."""
        try:
            from lit_humor.data.pictures.drawing import Scene, draw
        except ModuleNotFoundError:
            raise MissingExtraError("data=cartoons", package="pillow", extra="pictures") from None
        for number, row in enumerate(rows):
            generator = np.random.default_rng(derive_seed(self.seed, "cartoon", split, str(number)))
            yield draw(Scene(row.actor, row.place, row.prop), self.size, generator)


def rows_of(split: str, seed: int) -> list[Row]:
    """Return the rows of a split: blocks of 48, a triple of each place in a block, four rows a triple.

    In a block, what is said of a place that fits its picture is said of the picture of another place, too.

    Args:
        split: ``train``, ``val`` or ``test``.
        seed: Seed of the triples and captions.
    """
    pairs = [(actor, prop) for actor in ACTORS for prop in PROPS]
    places = list(PLACES)
    orders = [np.random.default_rng(derive_seed(seed, "triples", place)).permutation(len(pairs)) for place in places]
    generator = np.random.default_rng(derive_seed(seed, "captions", split))
    rows = []
    for number in range(*_PARTS[split]):
        block = []
        captions = [generator.permutation(len(_CAPTIONS))[:2] for _ in places]
        shifts = generator.integers(1, len(places), size=2)
        for index, place in enumerate(places):
            actor, prop = pairs[orders[index][number]]
            for slot, shift in enumerate(shifts):
                for other in (index, (index + shift) % len(places)):
                    text = _CAPTIONS[captions[other][slot]].format(in_place(places[other]))
                    block.append(Row(actor, place, prop, places[other], text))
        rows += [block[index] for index in generator.permutation(len(block))]
    return rows


def in_place(place: str) -> str:
    """Return a place with its preposition."""
    return _WHERE.get(place, f"in the {place}")


def a(name: str) -> str:
    """Return a name with its article."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
