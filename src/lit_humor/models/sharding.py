"""Shards weights over several devices (FSDP2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from lit_humor.models.network import Network


def shard(model: Network, mesh: DeviceMesh) -> None:
    """Shard a model layer by layer, in place: a layer's full weights exist only while it computes.

    A second call does nothing.

    Source: Zhao et al. 2023, PyTorch FSDP.

    Args:
        model: Every process has the same weights.
        mesh: One-dimensional mesh of the devices.
    """
    if not isinstance(model, FSDPModule):
        for module in (*model.layers(), model):
            fully_shard(module, mesh=mesh)


def reshard(model: nn.Module) -> None:
    """Shard the weights again: after an evaluation the outermost module has its full weights."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def is_sharded(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimizer updates sharded parameters."""
    return any(isinstance(parameter, DTensor) for group in optimizer.param_groups for parameter in group["params"])


def whole(value: Any) -> Any:
    """Return the full tensor of a sharded one (all processes must call this), or any other value as it is."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def part_like(value: Tensor, part: Tensor) -> Tensor:
    """Return this process's shard of a full tensor, sharded like ``part``; all of it if ``part`` is not sharded."""
    if not isinstance(part, DTensor):
        return value
    return distribute_tensor(value.to(part.device), part.device_mesh, part.placements, src_data_rank=None)
