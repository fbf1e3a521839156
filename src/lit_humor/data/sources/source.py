"""The interface of a data source: a class that loads splits of examples."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from lit_humor.data.examples import Examples


class Source(Protocol):
    """Loads labelled texts; a new data set is a new class with this one method."""

    def load(self) -> dict[str, Examples]:
        """Load the splits that the data has, by name: ``train``, ``val``, ``test``."""
        ...


@runtime_checkable
class MixingSource(Source, Protocol):
    """A source with more rows for training alone, of which no split is drawn."""

    def mixed(self, train: Examples, seed: int) -> Examples:
        """Return the training rows with others among them; the same for the same seed.

        Args:
            train: The training rows that are left when the other splits are drawn.
            seed: ``data.split_seed``.
        """
        ...
