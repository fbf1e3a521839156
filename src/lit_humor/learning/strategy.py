"""Training with weights that are sharded over devices, with the checkpoints of unsharded training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ModelParallelStrategy, ParallelStrategy

from lit_humor.models.sharding import part_like, reshard, whole


class ShardedStrategy(ModelParallelStrategy):
    """FSDP2: each device keeps a part of weights, gradients and optimizer state.

    A checkpoint is one file, as on one device, so it can be loaded and resumed under any strategy.

    Args:
        num_processes: Number of devices of all machines.
    """

    def __init__(self, num_processes: int) -> None:
        super().__init__(num_processes, 1, save_distributed_checkpoint=False)

    @property
    def restore_checkpoint_after_setup(self) -> bool:
        """False: the state of the data module in the checkpoint is needed before the setup."""
        return False

    @property
    def lightning_restore_optimizer(self) -> bool:
        """True: the Trainer restores the optimizer by ``load_optimizer_state_dict``."""
        return True

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint file as in unsharded training."""
        return ParallelStrategy.load_checkpoint(self, checkpoint_path, weights_only)

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Return all full weights in main memory; in processes other than the first, which writes them, no weights."""
        assert self.lightning_module is not None
        return self._collected(self.lightning_module.state_dict())

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Load this process's shard of every weight."""
        assert self.lightning_module is not None
        reshard(self.lightning_module)
        own = dict(self.lightning_module.named_parameters())
        state = {
            name: part_like(value, own[name]) if name in own and own[name].shape == value.shape else value
            for name, value in checkpoint["state_dict"].items()
        }
        self.lightning_module.load_state_dict(state, strict=strict)

    def optimizer_state(self, optimizer: Any) -> dict[str, Any]:
        """Return the full state of the optimizer; without moments in processes other than the first."""
        saved = (optimizer._optimizer if isinstance(optimizer, LightningOptimizer) else optimizer).state_dict()
        return saved | {"state": {i: self._collected(moments) for i, moments in saved["state"].items()}}

    def _collected(self, values: Mapping[str, Any]) -> dict[str, Any]:
        collected = {}
        for name, value in values.items():
            complete = whole(value)  # all processes must call this
            if self.is_global_zero:
                collected[name] = complete.cpu() if isinstance(complete, torch.Tensor) else complete
        return collected

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Load this process's shard of the optimizer's state."""
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            state = {
                i: {name: _part(value, parameters[i]) for name, value in moments.items()}
                for i, moments in saved["state"].items()
            }
            optimizer.load_state_dict(saved | {"state": state})


def _part(value: Any, parameter: torch.Tensor) -> Any:
    """Return the shard of a moment, which has the shape of its parameter; other values (step counts) as they are."""
    is_moment = isinstance(value, torch.Tensor) and value.shape == parameter.shape
    return part_like(value, parameter) if is_moment else value
