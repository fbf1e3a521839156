"""Takes the steps of train.py without Lightning, to measure them."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from lit_humor.config.command import compose
from lit_humor.core.batch import Batch
from lit_humor.core.errors import UserError
from lit_humor.core.precision import FP32, PRECISIONS
from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.engine import factory
from lit_humor.engine.abilities import dtype_of
from lit_humor.engine.hardware import Plan
from lit_humor.engine.libraries import set_up_libraries
from lit_humor.engine.machine import Machine, look_at_machine
from lit_humor.engine.planning import build_plan
from lit_humor.learning.learner import Learner


@dataclass(frozen=True)
class Setup:
    """All parts of a training, on its device.

    Attributes:
        cfg: Configuration of ``train.py``.
        plan: Hardware plan.
        datamodule: The data module, after ``setup``.
        learner: In training mode.
        device: The first device of the plan.
        scaler: Scaler of fp16 gradients; does nothing in other precisions.
    """

    cfg: DictConfig
    plan: Plan
    datamodule: HumorDataModule
    learner: Learner
    device: torch.device
    scaler: torch.amp.GradScaler

    def build_optimizer(self) -> torch.optim.Optimizer:
        """Build the optimizer of the recipe."""
        assert self.learner.optimizer is not None
        return self.learner.optimizer.build(self.learner.parameter_groups(), is_scaled=self.scaler.is_enabled())

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return the autocast context of the plan's precision, as Lightning applies it."""
        if self.plan.precision == FP32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=dtype_of(self.plan.precision))

    def take(self, batch: Batch) -> Batch:
        """Move a batch to the device."""
        return {name: value.to(self.device) for name, value in batch.items()}  # type: ignore[return-value,attr-defined]

    def step(self, optimizer: torch.optim.Optimizer, global_batch: Sequence[Batch]) -> None:
        """Take one optimizer step, with the code of train.py: forward, backward, clip, AdamW."""
        step = self.learner.step
        for batch in global_batch:
            step.backward(step.scale(step.loss(batch)))
        self.scaler.unscale_(optimizer)
        norm = step.clip(self.cfg.trainer.gradient_clip_val)
        if not self.scaler.is_enabled():
            step.check_finite(norm, optimizer, "the loop without Lightning")
        self.scaler.step(optimizer)
        self.scaler.update()
        step.close(optimizer)


def build(overrides: Sequence[str], machine: Machine | None = None) -> Setup:
    """Build all parts of a training, as ``train.py`` with these overrides does."""
    set_up_libraries()
    cfg = compose("train", overrides)
    pretrained = factory.resolve_pretrained(cfg)
    plan = build_plan(cfg, machine or look_at_machine(), pretrained)
    datamodule = factory.build_datamodule(cfg, pretrained, plan)
    datamodule.setup()
    names = datamodule.class_names
    learner = factory.build_learner(cfg, pretrained, datamodule, class_names=names, plan=plan)
    device = torch.device("cuda" if plan.accelerator == "gpu" else plan.accelerator)
    scaler = torch.amp.GradScaler(device.type, enabled=PRECISIONS[plan.precision].scales_loss)
    setup = Setup(cfg, plan, datamodule, learner.to(device).train(), device, scaler)
    learner.step.connect(scale=scaler.scale, autocast=setup.autocast)
    return setup


def pick_global_batches(
    batches: Sequence[list[int]], lengths: np.ndarray, plan: Plan, count: int, longest: bool = False
) -> list[list[list[int]]]:
    """Choose complete global batches of an epoch, evenly spaced by length, or the longest; each is a list of batches.

    Raises:
        UserError: There are fewer rows than a global batch has.
    """
    per_step = plan.accumulation
    num_rows = sum(map(len, batches))
    candidates = [list(batches[i : i + per_step]) for i in range(0, len(batches), per_step)]
    complete = [candidate for candidate in candidates if sum(map(len, candidate)) == plan.global_batch_size]
    if not complete:
        expected = f"at least {plan.global_batch_size}, for a complete global batch"
        fix = f"set rows={plan.global_batch_size}, or a train_path with as many rows"
        raise UserError("rows", found=f"{num_rows} training rows", expected=expected, fix=fix)
    if longest:  # with the largest batch, padding included
        return sorted(complete, key=lambda chosen: max(len(rows) * int(lengths[rows].max()) for rows in chosen))[
            -count:
        ]
    complete.sort(key=lambda chosen: sum(int(lengths[rows].sum()) for rows in chosen))
    return [complete[int((index + 0.5) * len(complete) / count)] for index in range(count)]


def can_compile(machine: Machine) -> bool:
    """Whether the machine has what ``trainer.compile`` needs: a GPU, or a C++ compiler."""
    return bool(machine.gpu_names or shutil.which("c++"))
