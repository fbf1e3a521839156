"""Adapters: low-rank matrices that learn beside the frozen weights of a model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import nn

from lit_humor.core.bounds import bounded, out_of_bounds
from lit_humor.core.errors import MissingExtraError, UserError, UserErrors, one_line, shorten
from lit_humor.models.quantizing import import_quietly

LORA = ".lora_"  # in the names of the adapter's parameters
_KEY = "model.network.adapter"
_TOWER = ".visual."
ATTENTION = r".*language_model.*\.(q|k|v|o)_proj"


@dataclass(frozen=True, kw_only=True)
class AdapterSettings:
    """A low-rank adapter: ``W x + alpha / rank * B A dropout(x)``, where A starts random and B at zero.

    Source: Hu et al. 2021, LoRA (arXiv 2106.09685).

    Attributes:
        rank: Rows of A.
        alpha: Its weight times ``rank``.
        dropout: Dropout of its inputs.
        targets: Regular expression for the whole name of each layer that gets one, none of the vision tower.
    """

    rank: int = bounded(4, least=1, usual=4)
    alpha: int = bounded(8, least=1, usual=8)
    dropout: float = bounded(0.05, least=0, below=1, usual=0.05)
    targets: str = ATTENTION


def read_adapter(node: Mapping[str, Any] | None) -> AdapterSettings | None:
    """Read the settings of an adapter.

    Args:
        node: Mapping with the attributes of ``AdapterSettings``; None: no adapter.

    Raises:
        UserError: A setting is unknown or out of its bounds.
    """
    if node is None:
        return None
    values = {str(name): value for name, value in node.items()}
    if unknown := sorted(values.keys() - {field.name for field in fields(AdapterSettings)}):
        expected = ", ".join(field.name for field in fields(AdapterSettings))
        where = f"{_KEY}.{unknown[0]}"
        raise UserError(where, found=shorten(values[unknown[0]]), expected=f"only {expected}", fix=f"leave {where} out")
    problems = list(out_of_bounds(AdapterSettings, values, f"{_KEY}."))
    if problems:
        raise problems[0] if len(problems) == 1 else UserErrors(problems)
    return AdapterSettings(**values)


def add_adapter(model: Any, settings: AdapterSettings) -> None:
    """Put an adapter beside layers of a model of transformers, in fp32; only its parameters learn.

    Args:
        model: The model; its parameters must be frozen already.
        settings: Settings of the adapter.

    Raises:
        UserError: No layer is meant, or one of the vision tower.
        MissingExtraError: The extra ``qlora`` is not installed.
    """
    import_quietly()  # peft imports it
    try:
        from peft import LoraConfig
    except ImportError:
        raise MissingExtraError(_KEY, package="peft", extra="qlora") from None
    check_targets(model, settings.targets)
    model.add_adapter(
        LoraConfig(
            r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules=settings.targets
        )
    )
    in_fp32(model)


def in_fp32(model: nn.Module) -> None:
    """Make the adapter of a model fp32, whatever type the frozen weights have."""
    for name, parameter in model.named_parameters():
        if LORA in name:
            parameter.data = parameter.data.float()


def check_targets(model: nn.Module, targets: str) -> None:
    """Check that a regular expression means layers, and none of the vision tower.

    Raises:
        UserError: It does not.
    """
    try:
        pattern = re.compile(targets)
    except re.error as error:
        found = f"{shorten(targets)} ({one_line(error)})"
        raise UserError(f"{_KEY}.targets", found=found, expected="a regular expression", fix=_as_usual()) from None
    meant = [name for name, one in model.named_modules() if isinstance(one, nn.Linear) and pattern.fullmatch(name)]
    of_tower = [name for name in meant if _TOWER in name]
    if not meant or of_tower:
        raise UserError(
            f"{_KEY}.targets",
            found=f"{shorten(targets)}, which means {of_tower[0] if of_tower else 'no layer'}",
            expected="names of layers of the language model",
            fix=_as_usual(),
        )


def _as_usual() -> str:
    return f"leave {_KEY}.targets out, which takes queries, keys, values and outputs of attention"


def merge_adapter(model: nn.Module) -> None:
    """Add the product of the adapter's matrices to the weights beside it, and take the adapter away.

    The weights must not have 4 bits: rounding them again would change them all.
    """
    for name, module in list(model.named_modules()):
        if hasattr(module, "get_base_layer"):
            module.merge(safe_merge=True)
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, module.get_base_layer())
    model._hf_peft_config_loaded = False  # type: ignore[assignment]  # save_pretrained would write the adapter alone
