"""Weights spread over several devices, each of which keeps a part (FSDP2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor


def shard(model: nn.Module, mesh: DeviceMesh) -> None:
    """Spread a model, layer by layer, in place: a layer's weights are whole only while it computes.

    A second call does nothing.

    Source: Zhao et al. 2023, PyTorch FSDP.

    Args:
        model: Has ``layers()``; every process holds the same weights.
        mesh: The devices, one dimension.
    """
    if not isinstance(model, FSDPModule):
        for module in (*model.layers(), model):  # type: ignore[operator]
            fully_shard(module, mesh=mesh)


def reshard(model: nn.Module) -> None:
    """Keep parts again: after an evaluation the outermost weights are whole."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def is_sharded(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimizer steps on parts."""
    return any(isinstance(one, DTensor) for group in optimizer.param_groups for one in group["params"])


def whole(value: Any) -> Any:
    """A tensor from the parts of all processes, which must all ask; anything else as it is."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def part_like(value: Tensor, part: Tensor) -> Tensor:
    """This process's part of a tensor that is whole, spread as another one is; whole where that is."""
    if not isinstance(part, DTensor):
        return value
    return distribute_tensor(value.to(part.device), part.device_mesh, part.placements, src_data_rank=None)
