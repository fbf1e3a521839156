"""What a plan of many runs expands into. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

EVALUATION = "command=eval"


@dataclass(frozen=True)
class PlannedRun:
    """One training of a plan.

    Attributes:
        variant: What it is a repeat of; a row of the summary.
        repeat: Which repeat, from 1.
        overrides: Settings of the command.
        after: Variants whose runs of the same repeat have to be done before.
        command: ``train``, or ``eval`` for one that scores what others have trained.
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
    """Every variant under every choice, once for each repeat; parents before those that wait for them.

    Args:
        variants: Settings of each variant, on top of the choice's; of one that begins with ``command=eval`` settings of
            ``eval.py``, and no others.
        after: The variants that another one waits for, under the same choice.
        choices: Settings that were typed, by what tells one choice from the others.
        each: The key of ``train.py`` that a repeat sets to 1, 2, ...; None sets none.
        repeats: How many.
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
    """What a variant waits for."""
    found = after.get(variant, ())
    return [found] if isinstance(found, str) else list(found)


def label(variant: str, choice: str) -> str:
    """What a row of the summary is called."""
    return ", ".join(part for part in (variant, choice) if part)
