"""Adds terms to the loss of any objective, in training alone. Legend: B rows."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from lit_humor.core.errors import UserError
from lit_humor.objectives.objective import Model, Objective, Outcome, Shared


class Forward(Protocol):
    """The method ``forward`` of an objective."""

    def __call__(self, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None) -> Outcome:
        """Return losses and outputs; see ``Objective.forward``."""


class Regularizer(ABC):
    """A term that is added to a loss; a new one is a subclass in a new file and a node in ``configs/regularizers``.

    Attributes:
        epoch: The current epoch, from 0; ``EpochOfLoss`` in ``callbacks`` sets it.
    """

    epoch = 0

    def check(self, objective: Objective) -> None:
        """Check that the term can be added to an objective; raise a UserError if not."""
        return None

    @abstractmethod
    def forward(
        self, inner: Forward, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None
    ) -> Outcome:
        """Return losses, one float32 value [B] for each row, and the outputs of ``inner``.

        Args:
            inner: The loss to which the term is added.
            model: The model.
            batch: A batch, or a chunk of one.
            shared: Vectors of the whole step; never None if the objective couples rows.
        """


def regularized(objective: Objective, regularizers: Mapping[str, Regularizer]) -> Objective:
    """Return an objective whose ``forward`` has more terms in training; it is changed in place.

    Its class, names of its buffers and outputs stay, so that checkpoints and tasks do not know about the terms.
    Validation and test have the loss without them.

    Args:
        objective: The objective.
        regularizers: The terms by name; the first is nearest to the loss, and the last contains all others.

    Raises:
        UserError: A term cannot be added to this objective.
    """
    terms = tuple(regularizers.values())
    for term in terms:
        term.check(objective)
    objective.forward = _Regularized(objective, objective.forward, terms)  # type: ignore[method-assign]
    return objective


class _Regularized:
    """The method ``forward`` of an objective with more terms."""

    def __init__(self, objective: Objective, plain: Forward, terms: tuple[Regularizer, ...]) -> None:
        self.objective, self.plain, self.terms = objective, plain, terms

    def __call__(self, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None) -> Outcome:
        objective, forward = self.objective, self.plain
        if not objective.training:
            return forward(model, batch, shared)
        if shared is None and objective.couples_rows:  # computed once: a term may run the loss several times
            values = objective.shared(model, batch)
            assert values is not None, "an objective that couples rows"
            shared = Shared.of_batch(values, batch["row_weights"], objective.marks(batch))
        for term in self.terms:
            forward = functools.partial(term.forward, forward)
        return forward(model, batch, shared)


def check_above(key: str, value: float | None, least: float, usual: float) -> None:
    """Check a number of a term.

    Raises:
        UserError: It is not above ``least``.
    """
    if value is not None and value <= least:
        expected, fix = f"a number above {least:g}, or null", f"set {key}={usual:g}"
        raise UserError(key, found=str(value), expected=expected, fix=fix)
