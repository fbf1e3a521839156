"""An objective and its parts: what they are built with, and which of them an error is about."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from lit_humor.config.validate import find_target
from lit_humor.core.errors import UserError

_REGULARIZED = "lit_humor.objectives.regularized.regularized"


@contextlib.contextmanager
def naming_parts() -> Iterator[None]:
    """Have an error of a part, which knows only ``objective``, name the key of that part while it is built."""
    try:
        yield
    except InstantiationException as failed:
        error, part = failed.__cause__, re.search(r"full_key: (objective\.parts\.\S+)", str(failed))
        if not isinstance(error, UserError) or part is None:
            raise
        where, fix = (text.replace("objective.", f"{part[1]}.") for text in (error.where, error.fix))
        raise UserError(where, found=error.found, expected=error.expected, fix=fix) from None


def with_arguments(cfg: DictConfig, arguments: Mapping[str, Any]) -> DictConfig:
    """Return the node of the objective, with the arguments that it and its parts take, each those in its signature.

    Where ``regularizers`` are on, it is the node of an objective with these terms.

    Args:
        cfg: The configuration of a run.
        arguments: What the tasks add for an objective, by name.
    """
    objective = cfg.objective.copy()
    OmegaConf.set_readonly(objective, False)
    parts = {f"objective.parts.{name}": part for name, part in (objective.get("parts") or {}).items() if part}
    for key, node in {"objective": objective, **parts}.items():
        taken = inspect.signature(find_target(key, node["_target_"])).parameters
        for name in set(arguments) & set(taken):
            OmegaConf.update(node, name, arguments[name], force_add=True)
    terms = {str(name): term for name, term in (OmegaConf.select(cfg, "regularizers") or {}).items() if _is_on(term)}
    if not terms:
        return objective
    return OmegaConf.create({"_target_": _REGULARIZED, "objective": objective, "regularizers": terms})


def _is_on(term: DictConfig | None) -> bool:
    """Whether a term of the loss has all its settings: null stands for one that is off."""
    return term is not None and None not in term.values()
