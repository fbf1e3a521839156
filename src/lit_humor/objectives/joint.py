"""Several objectives at once, each with a factor. Legend: B rows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from torch import Tensor, nn

from lit_humor.core.errors import UserError
from lit_humor.core.rows import TrainingRows
from lit_humor.objectives.objective import Model, Objective, Outcome, Shared


class Joint(Objective):
    """The sum of several losses: ``sum_k factor_k * loss_k`` for each row.

    Source: Muennighoff et al. 2024, GritLM, equation 3 (contrastive and generative loss with a factor each).
    Cost: that of its parts; what several of them read of the model is computed once.
    Alternatives: one objective alone.

    Args:
        parts: The objectives by name; null ones are left out.
        factors: Factor of each by the same name; 1 where there is none.

    Raises:
        UserError: There is no part, a factor has no part, or several parts compare rows with each other.
    """

    parts: Mapping[str, Objective]

    def __init__(self, parts: Mapping[str, Objective | None], factors: Mapping[str, float] | None = None) -> None:
        super().__init__()
        there = {name: part for name, part in parts.items() if part is not None}
        self.parts = nn.ModuleDict(there)  # type: ignore[assignment]
        self.factors = {name: 1.0 for name in there} | dict(factors or {})
        coupling = [name for name, part in there.items() if part.couples_rows]
        if not there:
            fix = f"leave objective.parts.{next(iter(parts), '<name>')}=null out"
            raise UserError("objective.parts", found="no part", expected="at least one", fix=fix)
        if unknown := sorted(set(self.factors) - set(parts)):
            expected, key = f"names of parts: {', '.join(parts)}", f"objective.factors.{unknown[0]}"
            raise UserError("objective.factors", found=str(unknown), expected=expected, fix=f"leave {key} out")
        if len(coupling) > 1:
            expected = "at most one that compares rows with each other"
            fix = f"set objective.parts.{coupling[-1]}=null"
            raise UserError("objective.parts", found=" and ".join(coupling), expected=expected, fix=fix)
        self._coupling = coupling[0] if coupling else None
        self.outputs = tuple(chain.from_iterable(part.outputs for part in there.values()))  # type: ignore[misc]
        self.reads_answers = any(part.reads_answers for part in there.values())

    @property
    def couples_rows(self) -> bool:
        """Whether a part compares rows with each other."""
        return self._coupling is not None

    def prepare(self, training: TrainingRows) -> None:
        """Prepare each part."""
        for part in self.parts.values():
            part.prepare(training)

    def shared(self, model: Model, batch: Mapping[str, Tensor]) -> Tensor | None:
        """Return the vectors of the part that compares rows."""
        return None if self._coupling is None else self.parts[self._coupling].shared(model, batch)

    def marks(self, batch: Mapping[str, Tensor]) -> Tensor | None:
        """Return the marks of the part that compares rows."""
        return None if self._coupling is None else self.parts[self._coupling].marks(batch)

    def coupled(self, shared: Shared, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the losses of the part that compares rows, times its factor."""
        return (
            {}
            if self._coupling is None
            else self._scaled(self._coupling, self.parts[self._coupling].coupled(shared, batch))
        )

    def forward(self, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None) -> Outcome:
        """Return the losses of all parts, each times its factor, and all outputs."""
        losses: dict[str, Tensor] = {}
        outputs: dict[str, Any] = {}
        once = _Once(model)
        for name, part in self.parts.items():
            outcome = part.forward(once, batch, shared if name == self._coupling else None)  # of one batch: read once
            losses |= self._scaled(name, outcome.losses)
            outputs |= outcome.outputs
        return Outcome(losses, outputs)

    def _scaled(self, name: str, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key: value * self.factors[name] for key, value in losses.items()}


class _Once:
    """A model that computes the same tensors once, whichever part of the objective asks first."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.known: dict[Any, tuple[Mapping[str, Tensor], Mapping[str, Tensor]]] = {}

    def __call__(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        key = frozenset((name, id(value)) for name, value in batch.items())
        if key not in self.known:
            self.known[key] = batch, self.model(batch)  # while a tensor is kept, no other one has its id
        return self.known[key][1]
