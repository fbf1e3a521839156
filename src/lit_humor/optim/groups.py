"""AdamW with layer-wise learning-rate decay. Legend: L layers of the encoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from lit_humor.core.errors import UserError
from lit_humor.optim.schedules import WarmupDecay


class LayerwiseAdamW:
    """AdamW whose learning rate decreases from the head down to the embeddings.

    A parameter at depth d (embeddings 0, layers 1 ... L, head L + 1) has the learning rate
    ``learning_rate * lr_scale * layer_decay ** (L + 1 - d)``: the head has the full rate, the top layer ``layer_decay``
    times this rate, the embeddings ``layer_decay ** (L + 1)`` times. Biases and norms (one-dimensional parameters) have
    no weight decay.

    Source: Howard & Ruder 2018, section 3.2 (discriminative fine-tuning); Clark et al. 2020, section 3.1.
    Cost: none; the same optimizer with more groups.

    Args:
        learning_rate: Rate of the head at the peak of the schedule.
        schedule: Factor of all rates during training.
        lr_scale: Factor of the model, so that one recipe works for large and small encoders.
        layer_decay: Factor from one depth to the next lower one; 1 disables it.
        weight_decay: Decoupled weight decay of parameters with two or more dimensions.
        eps: AdamW's epsilon.
        betas: AdamW's betas.
        fused: Use the fused kernel, which updates all parameters at once; otherwise torch chooses.

    Raises:
        UserError: A value is out of range.
    """

    def __init__(
        self,
        learning_rate: float,
        schedule: WarmupDecay,
        lr_scale: float = 1.0,
        layer_decay: float = 1.0,
        weight_decay: float = 0.01,
        eps: float = 1e-8,
        betas: Sequence[float] = (0.9, 0.999),
        fused: bool = True,
    ) -> None:
        for key, value, default in (
            ("learning_rate", learning_rate, 3e-5),
            ("lr_scale", lr_scale, 1),
            ("layer_decay", layer_decay, 0.95),
        ):
            if not value > 0 or (key == "layer_decay" and value > 1):
                limit = "0 < value <= 1" if key == "layer_decay" else "a number above 0"
                raise UserError(f"optim.{key}", found=str(value), expected=limit, fix=f"set optim.{key}={default}")
        self.schedule = schedule
        self.learning_rate, self.lr_scale, self.layer_decay = learning_rate, lr_scale, layer_decay
        self.weight_decay, self.eps, self.betas = weight_decay, eps, (betas[0], betas[1])
        self.fused = fused

    def groups(self, parameters: Iterable[tuple[str, nn.Parameter]], depths: Mapping[str, int]) -> list[dict[str, Any]]:
        """Put each trainable parameter into exactly one group.

        Args:
            parameters: Names and parameters.
            depths: Depth of each parameter by name; see ``LayerwiseAdamW``.

        Returns:
            Groups for ``torch.optim`` with ``name``, ``depth``, ``lr``, ``weight_decay``; embeddings first, head last.
        """
        top = max(depths.values())
        groups: dict[tuple[int, bool], dict[str, Any]] = {}
        for name, parameter in parameters:
            if not parameter.requires_grad:
                continue
            depth, is_matrix = depths[name], parameter.ndim > 1
            label = "embeddings" if depth == 0 else "head" if depth == top else f"layer {depth - 1}"
            group = groups.setdefault(
                (depth, not is_matrix),
                {
                    "name": label if is_matrix else f"{label}, biases and norms",
                    "depth": depth,
                    "lr": self.learning_rate * self.lr_scale * self.layer_decay ** (top - depth),
                    "weight_decay": self.weight_decay if is_matrix else 0.0,
                    "params": [],
                },
            )
            group["params"].append(parameter)
        return [groups[key] for key in sorted(groups)]

    def groups_of(self, model: nn.Module, objective: nn.Module) -> list[dict[str, Any]]:
        """Groups of all parameters; those of the objective itself learn like the head.

        Args:
            model: Has ``parameter_depths()``.
            objective: What training minimises.
        """
        depths: dict[str, int] = model.parameter_depths()  # type: ignore[operator]
        own = {f"objective.{name}": parameter for name, parameter in objective.named_parameters()}
        named = [*model.named_parameters(), *own.items()]
        return self.groups(named, depths | dict.fromkeys(own, max(depths.values())))

    def build(self, groups: list[dict[str, Any]], *, is_scaled: bool = False) -> torch.optim.AdamW:
        """Make the optimizer; it is not fused where gradients are scaled, which must be undone before the update."""
        fused = self.fused and not is_scaled
        return torch.optim.AdamW(groups, lr=self.learning_rate, betas=self.betas, eps=self.eps, fused=fused)
