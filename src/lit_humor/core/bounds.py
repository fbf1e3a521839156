"""Bounds of a setting, declared at the field they bound: ``rows: int = bounded(least=1, usual=8)``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, get_type_hints

from lit_humor.core.errors import UserError

_BOUNDS = "bounds"  # key in the metadata of a field


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bounds:
    """Which numbers a setting takes.

    Attributes:
        usual: What to set where a value is out of bounds.
        least: Smallest value.
        above: Values are larger than this.
        most: Largest value.
        below: Values are smaller than this.
    """

    usual: float
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None

    def hold(self, value: float) -> bool:
        """Whether a value is within."""
        return (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.most is None and self.below is None and self.above is None:
            return f"at least {self.least}"
        low = f"{self.above} < " if self.above is not None else f"{self.least} <= " if self.least is not None else ""
        high = f" < {self.below}" if self.below is not None else f" <= {self.most}" if self.most is not None else ""
        return f"{low}value{high}"


def bounded(default: Any = dataclasses.MISSING, **bounds: Any) -> Any:
    """A field of a dataclass with bounds.

    Args:
        default: Of the field; without one the field must be set.
        bounds: Fields of ``Bounds``.
    """
    return dataclasses.field(default=default, metadata={_BOUNDS: Bounds(**bounds)})


def out_of_bounds(kind: type, values: Mapping[str, Any], prefix: str) -> Iterator[UserError]:
    """The errors for values out of the bounds that a dataclass declares; None and what is not a number are skipped.

    Args:
        kind: The dataclass.
        values: Values by the name of their field.
        prefix: Key of the node that holds them, with a point.
    """
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        bounds, value = field.metadata.get(_BOUNDS), values.get(field.name)
        if bounds is None or isinstance(value, bool) or not isinstance(value, (int, float)) or bounds.hold(value):
            continue
        or_null = ", or null" if type(None) in getattr(hints[field.name], "__args__", ()) else ""
        where = f"{prefix}{field.name}"
        yield UserError(where, found=str(value), expected=f"{bounds}{or_null}", fix=f"set {where}={bounds.usual}")
