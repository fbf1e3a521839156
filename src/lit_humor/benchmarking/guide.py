"""What a guide to speed of a family is: settings to begin from, and changes, each with what is said of it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lit_humor.benchmarking import guides
from lit_humor.config.declared import CONFIG_DIR

STEPS, TRAINING, TEXTS, COMPILED = "steps", "training", "texts", "compiled"
GPU = "gpu"
NOT_PART = "not part of it"  # claimed of what the original does not do


@dataclass(frozen=True, kw_only=True)
class Change:
    """One row of the table: one change of another row.

    Attributes:
        name: What it is, in words.
        settings: Settings of ``train.py`` that make the change.
        on: Name of the row that is changed; None: of the guide's first row.
        how: What is measured: ``STEPS`` of a training without Lightning; a ``TRAINING`` with it; the tokenizing of
            ``TEXTS``; steps that are ``COMPILED``, whose graphs are counted too.
        effect: What no setting does, as ``effects`` names it.
        claimed: What the original says of it.
        gradient: Whether it may change the gradient, so that the difference is measured.
        needs: ``GPU`` if it needs one.
        refused: Why the project does not offer it.
        unmeasured: Why no machine measures it.
    """

    name: str
    settings: tuple[str, ...] = ()
    on: str | None = None
    how: str = STEPS
    effect: str = ""
    claimed: str = ""
    gradient: bool = False
    needs: str = ""
    refused: str = ""
    unmeasured: str = ""


@dataclass(frozen=True, kw_only=True)
class Guide:
    """A guide to speed.

    Attributes:
        model: The family's usual model, a file of ``configs/model``.
        tiny: Its model for ``debug=tiny``.
        data: Its usual data, a file of ``configs/data``.
        base: Settings of ``train.py`` that its first row has, and all others unless they change them.
        changes: The rows; the first has no change.
        on_cpu: Settings of all rows where there is no GPU, so that minutes suffice.
        on_gpu: The model where there is a GPU; empty: the usual one.
        models: First words of the names of its models, beside the name of the family.
        note: What a reader of the table has to know of what is measured.
    """

    model: str
    tiny: str
    data: str
    base: tuple[str, ...]
    changes: tuple[Change, ...]
    on_cpu: tuple[str, ...] = ()
    on_gpu: str = ""
    models: tuple[str, ...] = ()
    note: str = ""

    def settings_of(self, change: Change) -> list[str]:
        """Return the settings of a row, on top of those of an experiment."""
        if change.on is None:
            return [*self.base, *change.settings]
        return [*self.settings_of(self.named(change.on)), *change.settings]

    def named(self, name: str) -> Change:
        """Return the row of a name."""
        return next(change for change in self.changes if change.name == name)


def choices_of_the_plan(on: str, precision: str = NOT_PART) -> tuple[Change, ...]:
    """Return what a plan chooses of its own, each as a change of a row.

    Args:
        on: Name of the row.
        precision: What the original says of the precision.
    """
    return (
        Change(name="bf16 where it is faster here", settings=("trainer.precision=auto",), claimed=precision, on=on),
        Change(name="all rows of a step at once", settings=("trainer.micro_batch_size=auto",), claimed=NOT_PART, on=on),
    )


def compiled(layers: str, on: str) -> tuple[Change, ...]:
    """Return the rows of ``trainer.compile``, each a change of the row ``on``; ``layers``: which layers it compiles."""
    return tuple(
        Change(name=f"{part} compiled", settings=(f"trainer.compile={value}",), how=COMPILED, claimed=NOT_PART, on=on)
        for part, value in ((f"each layer of {layers}", "true"), ("the whole model", "full"))
    )


def guide_names() -> list[str]:
    """Return the families that have a guide, which are the files of ``guides/``."""
    return sorted(path.stem for path in Path(guides.__path__[0]).glob("*.py") if path.stem != "__init__")


def family_of(choice: str) -> str | None:
    """Return the family with a guide that an experiment or model belongs to by its name; None if there is none."""
    for family in guide_names():
        if any(choice == name or choice.startswith(f"{name}_") for name in (family, *load_guide(family).models)):
            return family
    return None


def choices_with_guide(group: str, families: Sequence[str] | None = None) -> list[str]:
    """Return the choices of a group of ``configs/`` that belong to a family with a guide.

    Args:
        group: ``experiment`` or ``model``.
        families: Only those of these families; None: of all.
    """
    names = sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml") if not path.stem.endswith("_base"))
    return [name for name in names if family_of(name) in (families or guide_names())]


def load_guide(family: str) -> Guide:
    """Return the guide of a family."""
    guide: Guide = importlib.import_module(f"{guides.__name__}.{family}").GUIDE
    return guide
