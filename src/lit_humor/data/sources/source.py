"""The interface of a data source: a class that loads splits of examples."""

from __future__ import annotations

from typing import Protocol

from lit_humor.data.examples import Examples


class Source(Protocol):
    """Loads labelled texts; a new data set is a new class with this one method."""

    def load(self) -> dict[str, Examples]:
        """Load the splits that the data has, by name: ``train``, ``val``, ``test``."""
        ...
