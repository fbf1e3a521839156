"""Training on weights that are spread over the devices, with checkpoints as everywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ModelParallelStrategy, ParallelStrategy

from lit_humor.models.sharding import part_like, reshard, whole


class ShardedStrategy(ModelParallelStrategy):
    """FSDP2: each device keeps a part of weights, gradients and optimizer state.

    Checkpoints are those of one device, in one file: they load anywhere, and a run goes on under any strategy.

    Args:
        num_processes: Devices of all machines.
    """

    def __init__(self, num_processes: int) -> None:
        super().__init__(num_processes, 1, save_distributed_checkpoint=False)

    @property
    def restore_checkpoint_after_setup(self) -> bool:
        """Before: what a checkpoint says of the data is needed when the first batches are dealt."""
        return False

    @property
    def lightning_restore_optimizer(self) -> bool:
        """The Trainer hands over what a checkpoint holds."""
        return True

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a file as without this strategy."""
        return ParallelStrategy.load_checkpoint(self, checkpoint_path, weights_only)

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Every weight, whole, in main memory; in the first process alone, which writes them."""
        assert self.lightning_module is not None
        return self._collected(self.lightning_module.state_dict())

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Take this process's part of every weight."""
        assert self.lightning_module is not None
        reshard(self.lightning_module)
        own = dict(self.lightning_module.named_parameters())
        found = {
            name: part_like(value, own[name]) if name in own and own[name].shape == value.shape else value
            for name, value in checkpoint["state_dict"].items()
        }
        self.lightning_module.load_state_dict(found, strict=strict)

    def optimizer_state(self, optimizer: Any) -> dict[str, Any]:
        """The optimizer's state, whole, as the weights are."""
        found = (optimizer._optimizer if isinstance(optimizer, LightningOptimizer) else optimizer).state_dict()
        return found | {"state": {i: self._collected(one) for i, one in found["state"].items()}}

    def _collected(self, values: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for name, value in values.items():
            complete = whole(value)  # all processes take part, one tensor after the other
            if self.is_global_zero:
                found[name] = complete.cpu() if isinstance(complete, torch.Tensor) else complete
        return found

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Take this process's part of the optimizer's state."""
        for optimizer, found in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [one for group in optimizer.param_groups for one in group["params"]]
            state = {
                i: {name: _part(value, parameters[i]) for name, value in one.items()}
                for i, one in found["state"].items()
            }
            optimizer.load_state_dict(found | {"state": state})


def _part(value: Any, parameter: torch.Tensor) -> Any:
    """Moments have the shape of their parameter; counts of steps have none."""
    is_moment = isinstance(value, torch.Tensor) and value.shape == parameter.shape
    return part_like(value, parameter) if is_moment else value
