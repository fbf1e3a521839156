"""Expands a plan into its runs. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

EVALUATION = "command=eval"


@dataclass(frozen=True)
class PlannedRun:
    """One training or evaluation of a plan.

    Attributes:
        variant: Name of the variant that it repeats; each variant is a row of the summary.
        repeat: Number of the repeat, from 1.
        overrides: Settings of the command.
        after: Variants whose run of the same repeat has to be done first.
        command: ``train``, or ``eval`` to evaluate runs that others have trained.
    """

    variant: str
    repeat: int
    overrides: tuple[str, ...]
    after: tuple[str, ...] = ()
    command: str = "train"


def expand(
    variants: Mapping[str, Sequence[str]],
    after: Mapping[str, str | Sequence[str]],
    choices: Mapping[str, Sequence[str]],
    each: str | None,
    repeats: int,
) -> list[PlannedRun]:
    """Return all runs: each variant with each choice, once for each repeat; parents before their children.

    Args:
        variants: Settings of each variant, added to those of the choice. One that begins with ``command=eval`` has only
            settings of ``eval.py``.
        after: For a variant, the variants that it waits for, with the same choice.
        choices: Settings from the command line, by the name of the choice: the values that distinguish it.
        each: Key of ``train.py`` that is set to the number of the repeat; None: no key.
        repeats: Number of repeats.
    """
    runs = []
    for repeat in range(1, repeats + 1):
        number = (f"{each}={repeat}",) if each else ()
        for choice, typed in choices.items():
            for variant, settings in variants.items():
                parents = tuple(label(parent, choice) for parent in parents_of(variant, after))
                name = label(variant, choice)
                if settings and settings[0] == EVALUATION:
                    runs.append(PlannedRun(name, repeat, tuple(settings[1:]), parents, "eval"))
                else:
                    runs.append(PlannedRun(name, repeat, (*typed, *number, *settings), parents))
    return runs


def parents_of(variant: str, after: Mapping[str, str | Sequence[str]]) -> list[str]:
    """Return the variants that a variant waits for."""
    parents = after.get(variant, ())
    return [parents] if isinstance(parents, str) else list(parents)


def label(variant: str, choice: str) -> str:
    """Return the name of a row of the summary."""
    return ", ".join(part for part in (variant, choice) if part)
