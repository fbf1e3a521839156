"""Expands the tricks of a plan into variants, each with the variant that it is compared with. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lit_humor.core.errors import UserError
from lit_humor.core.settings import typed

TOGETHER = "together"


class Ablation(NamedTuple):
    """The variants of a plan with tricks.

    Attributes:
        variants: Settings of each variant.
        after: For a variant whose settings name ``{parent}``: the variant that it waits for.
        bases: For each variant but the first: the variant that it is compared with.
    """

    variants: dict[str, list[str]]
    after: dict[str, Any]
    bases: dict[str, str]


def ablation_of(cfg: Any) -> Ablation:
    """Return the variants of a plan, with those of its tricks; without tricks nothing is compared with anything.

    Args:
        cfg: Configuration of ``sweep.py``.

    Raises:
        UserError: A name in ``together`` is no trick.
    """
    variants, tricks = (
        {str(name): list(settings or ()) for name, settings in cfg[key].items()} for key in ("variants", "tricks")
    )
    if not tricks and not cfg.together:
        return Ablation(variants, dict(cfg.after), {})
    plan = with_tricks(variants, tricks, list(cfg.together))
    return plan._replace(after={**cfg.after, **plan.after})


def with_tricks(
    variants: Mapping[str, Sequence[str]], tricks: Mapping[str, Sequence[str]], together: Sequence[str]
) -> Ablation:
    """Return the variants, the first one with each trick, with all of ``together``, and with all but one of them.

    Args:
        variants: Settings of each variant; the first one is the recipe, to which tricks are added.
        tricks: Settings of each trick.
        together: Names of the tricks that are tried together.

    Raises:
        UserError: A name in ``together`` is no trick.
    """
    if unknown := [name for name in together if name not in tricks]:
        fix = f"set {typed(TOGETHER, [name for name in together if name in tricks])}"
        expected = f"names of tricks: {', '.join(tricks)}"
        raise UserError(TOGETHER, found=", ".join(unknown), expected=expected, fix=fix)
    recipe, *others = variants
    made = {name: list(settings) for name, settings in variants.items()}
    bases = dict.fromkeys(others, recipe)

    def add(name: str, names: Sequence[str], base: str) -> None:
        made[name] = [*variants[recipe], *(setting for trick in names for setting in tricks[trick])]
        bases[name] = base

    for trick in tricks:
        add(f"+ {trick}", [trick], recipe)
    if together:
        add(TOGETHER, together, recipe)
    for trick in together if len(together) > 1 else ():
        add(f"{TOGETHER} - {trick}", [name for name in together if name != trick], TOGETHER)
    after = {name: recipe for name in bases if any("{parent}" in setting for setting in made[name])}
    return Ablation(made, after, bases)
