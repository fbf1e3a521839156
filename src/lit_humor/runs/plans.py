"""What a plan of many runs expands into. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PlannedRun:
    """One training of a plan.

    Attributes:
        variant: What it is a repeat of; a row of the summary.
        repeat: Which repeat, from 1.
        overrides: Settings of ``train.py``.
        after: Variant whose run of the same repeat has to be done before; None where it waits for nothing.
    """

    variant: str
    repeat: int
    overrides: tuple[str, ...]
    after: str | None = None


def expand(
    variants: Mapping[str, Sequence[str]],
    after: Mapping[str, str],
    choices: Mapping[str, Sequence[str]],
    each: str,
    repeats: int,
) -> list[PlannedRun]:
    """Every variant under every choice, once for each repeat; parents before those that wait for them.

    Args:
        variants: Settings of each variant, on top of the choice's.
        after: The variant that another one waits for, under the same choice.
        choices: Settings that were typed, by what tells one choice from the others.
        each: The key of ``train.py`` that a repeat sets to 1, 2, ...
        repeats: How many.
    """
    runs = []
    for repeat in range(1, repeats + 1):
        for choice, typed in choices.items():
            for variant, settings in variants.items():
                overrides = (*typed, f"{each}={repeat}", *settings)
                parent = label(after[variant], choice) if variant in after else None
                runs.append(PlannedRun(label(variant, choice), repeat, overrides, parent))
    return runs


def label(variant: str, choice: str) -> str:
    """What a row of the summary is called."""
    return ", ".join(part for part in (variant, choice) if part)
