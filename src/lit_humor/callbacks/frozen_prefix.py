"""Computes the outputs of frozen layers once for each row, before the first epoch; epochs train what is above."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from shutil import disk_usage
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor

from lit_humor.core.batch import TRAIN, VAL
from lit_humor.core.errors import UserError
from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.data.preparing.states import PreparedStates
from lit_humor.data.preparing.texts import PreparedTexts
from lit_humor.runs import screen

_FORMAT = 1  # increase when the format of the files changes
_KEY = "callbacks.frozen_prefix.cached"


def frozen_prefix(cached: bool) -> pl.Callback:
    """Return the callback that computes the outputs of frozen layers once; not ``cached``: one that does nothing."""
    return FrozenStates() if cached else pl.Callback()


class FrozenStates(pl.Callback):
    """Keeps the outputs of the highest frozen layer of all training and validation rows in the cache.

    The files stand in ``states/`` of the cache, named by a hash of tokens, frozen weights, precision and device; a
    later run with the same ones reads them. Numbers are rounded to bf16 there. The scores at the end of a training, and
    those of all other commands, are computed from the texts, without the cache.

    Source: feature extraction as in Peters et al. 2019, To Tune or Not to Tune?, for a part of the layers.
    Cost: 2 D bytes of disk for each token, which are told before; one forward pass over the rows.
    Alternatives: ``model.network.frozen_layers`` alone computes them in every epoch, in full precision.
    """

    def __init__(self) -> None:
        self._states: dict[str, PreparedStates] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Compute the states that are not there yet; the first process does, the others wait for it.

        This is before the loaders are made, and before a run that goes on has its weights: these are loaded here, too.

        Raises:
            UserError: No layer is frozen, its layers return more than their outputs, rows change, weights are sharded,
                or the disk has too little room.
        """
        if stage != "fit":
            return
        datamodule, network = trainer.datamodule, pl_module.model  # type: ignore[attr-defined]
        assert isinstance(datamodule, HumorDataModule)
        if not getattr(getattr(network, "prefix", None), "count", 0):
            expected = "a network that has some, as with model.network.frozen_layers=2"
            raise UserError(_KEY, found="no frozen layer", expected=expected, fix=f"set {_KEY}=false")
        if isinstance(trainer.strategy, ModelParallelStrategy):
            expected, fix = "ddp, where each process has all weights", "set trainer.strategy=ddp"
            raise UserError("trainer.strategy", found=f"fsdp, with {_KEY}=true", expected=expected, fix=fix)
        if datamodule.settings.augment:
            fix = f"set {_KEY}=false"
            raise UserError(_KEY, found="true, with data.augment", expected="rows that stay as they are", fix=fix)
        texts = {split: datamodule.prepared[split] for split in (TRAIN, VAL) if split in datamodule.prepared}
        self._states = {split: PreparedStates(one) for split, one in texts.items()}  # type: ignore[arg-type]
        if trainer.ckpt_path:
            saved = trainer.strategy.checkpoint_io.load_checkpoint(trainer.ckpt_path)
            pl_module.load_state_dict(saved["state_dict"])
        pl_module.to(trainer.strategy.root_device)
        self._fill(trainer, pl_module)
        datamodule.prepared |= self._states

    def _fill(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Compute the states of the splits, or find those that an earlier run has computed."""
        compute = functools.partial(self._compute, trainer, pl_module)
        compute(self._states[TRAIN].texts.collate(np.zeros(1, dtype=np.int64)))  # every process sees if it can be done
        for states in self._states.values():
            states.folder = self._place(trainer, pl_module, states.texts)
        size = pl_module.model.config.hidden_size
        missing = [states for states in self._states.values() if not states.is_there]
        _check_room(missing, size, trainer.is_global_zero)
        for is_turn in (trainer.is_global_zero, not trainer.is_global_zero):
            for states in missing:
                if is_turn and not states.is_there:  # the others have none only where they have a disk of their own
                    states.write(size, trainer.datamodule.settings.eval_batch_size, compute)  # type: ignore[attr-defined]
            trainer.strategy.barrier()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Have the scores at the end computed from the texts."""
        trainer.datamodule.prepared |= {split: states.texts for split, states in self._states.items()}  # type: ignore[attr-defined]

    def _place(self, trainer: pl.Trainer, pl_module: Any, texts: PreparedTexts) -> Path:
        """Return the folder of a split's states, which may not be there yet."""
        model = pl_module.model
        facts = (_FORMAT, torch.__version__, trainer.precision, pl_module.device.type, model.prefix.count)
        digest = hashlib.sha256(f"{facts}{model.config.to_json_string()}".encode())
        texts.update_digest(digest)
        for parameter in model.backbone.parameters():
            if not parameter.requires_grad:
                digest.update(parameter.detach().cpu().float().contiguous().numpy().data)
        return Path(trainer.datamodule.settings.cache_dir) / "states" / digest.hexdigest()[:32]  # type: ignore[attr-defined]

    def _compute(self, trainer: pl.Trainer, pl_module: Any, batch: dict[str, Tensor]) -> Tensor:
        on_device = {name: tensor.to(pl_module.device) for name, tensor in batch.items()}
        with trainer.precision_plugin.forward_context():
            return pl_module.model.prefix.compute(pl_module.model, on_device)


def _check_room(missing: Sequence[PreparedStates], size: int, is_told: bool) -> None:
    """Show the disk that states [T, size] need; raise a UserError if there is too little."""
    if not missing:
        return
    folder = missing[0].folder.parent
    folder.mkdir(parents=True, exist_ok=True)
    needed = sum(2 * size * int(states.lengths.sum()) for states in missing)
    free = disk_usage(folder).free
    if free < needed:
        found, expected = f"{free / 2**30:.1f} GiB free for {folder}", f"{needed / 2**30:.1f} GiB"
        raise UserError(_KEY, found=found, expected=expected, fix=f"set {_KEY}=false")
    if is_told:
        screen.show(f"Computing the frozen layers once: {needed / 2**20:,.1f} MiB below {folder}")
