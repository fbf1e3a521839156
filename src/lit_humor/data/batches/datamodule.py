"""The data module: from a source of texts to batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
import numpy as np
from torch.utils.data import DataLoader

from lit_humor.core.batch import SPLITS, TEST, TRAIN, VAL
from lit_humor.core.rows import TrainingRows
from lit_humor.data.batches.batching import Collator, GlobalBatchSampler
from lit_humor.data.batches.slices import slice_codes, slice_values
from lit_humor.data.batches.workers import build_loader
from lit_humor.data.dividing.fitness import check_fit, notes_on_labels, notes_on_test
from lit_humor.data.dividing.ordering import fixed_order, take_stage
from lit_humor.data.dividing.splits import Drawn, draw_missing
from lit_humor.data.examples import Examples
from lit_humor.data.preparing.preparation import Preparation, Prepared
from lit_humor.data.report import data_report
from lit_humor.data.settings import DataSettings
from lit_humor.data.sources.source import MixingSource, Source


class HumorDataModule(pl.LightningDataModule):
    """Loads the rows, draws missing splits, prepares the rows and makes batches.

    Args:
        source: Loads the texts.
        preparation: Makes tensors of the rows (token ids).
        settings: Settings of splits and batches.
        global_batch_size: Rows of an optimizer step over all devices; None takes ``settings.batch_size``.
        micro_batch_size: Rows of a batch on one device; None takes ``settings.batch_size``.
        num_workers: Loader processes; None takes ``settings.num_workers``.
        seed: Seed of the order of training rows.
        announce: Called with a message for the user before work that takes long.
    """

    def __init__(
        self,
        source: Source,
        preparation: Preparation,
        settings: DataSettings,
        *,
        global_batch_size: int | None = None,
        micro_batch_size: int | None = None,
        num_workers: int | None = None,
        seed: int = 42,
        announce: Callable[[str], object] = lambda line: None,
    ) -> None:
        super().__init__()
        self.source, self.preparation, self.settings, self.seed = source, preparation, settings, seed
        self.global_batch_size = global_batch_size or settings.batch_size
        self.micro_batch_size = micro_batch_size or settings.batch_size
        self.num_workers = settings.num_workers if num_workers is None else num_workers
        self.announce = announce
        self.splits: dict[str, Examples] = {}
        self.drawn = Drawn({})
        self.prepared: dict[str, Prepared] = {}
        self.slice_values: dict[str, list[str]] = {}
        self._test_split = TEST
        self._resumed_at = (0, 0)

    def load(self) -> dict[str, Examples]:
        """Load the splits, and draw missing ones from the training rows; a second call returns the same splits.

        Raises:
            UserError: The data cannot be used; the message names the key, file or row.
        """
        if self.splits:
            return self.splits
        self.drawn = draw_missing(self.source.load(), self.settings, self.announce)
        splits = dict(self.drawn.splits)
        if TRAIN in splits and isinstance(self.source, MixingSource):
            splits[TRAIN] = self.source.mixed(splits[TRAIN], self.settings.split_seed)
        if TRAIN in splits and self.settings.stages:
            splits = take_stage(splits, self.settings)
        self.splits = {name: splits[name] for name in SPLITS if len(splits.get(name, ()))}
        self.slice_values = slice_values(self.splits)
        return self.splits

    def setup(self, stage: str | None = None) -> None:
        """Load and prepare the splits, once."""
        for name, examples in self.load().items():
            if name not in self.prepared:
                self.prepared[name] = self.preparation.prepare(examples, self.settings.cache_dir)

    def check_fit_for_training(self, *checks: Callable[..., None]) -> None:
        """Check that the splits can be used for training and validation; raise a UserError if not.

        Args:
            checks: ``Task.check`` of the tasks; without any, that of classification.
        """
        self.load()
        for check in checks or (check_fit,):
            check(self.splits, self.drawn, self.settings, getattr(self.source, "val_key", "data.val_path"))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in class order, or the names of several targets."""
        return next(iter(self.load().values())).answer_names

    @property
    def training_rows(self) -> TrainingRows:
        """Facts about the training rows for network and objective: class counts, tokens in use."""
        self.setup()
        class_counts = np.bincount(self.splits[TRAIN].labels, minlength=len(self.splits[TRAIN].class_names))
        used_tokens = self.preparation.used_tokens(self.prepared.values())
        return TrainingRows(class_counts, self.prepared[TRAIN].mean_target_tokens, used_tokens)

    def report(self) -> dict[str, Any]:
        """Return counts of the data; see ``data_report``."""
        self.setup()
        order = fixed_order(self.splits[TRAIN], self.settings, self.seed)
        counts = data_report(self.splits, self.prepared, self.settings, order)
        test_key = getattr(self.source, "test_key", "data.test_path")
        notes = notes_on_labels(self.splits) + notes_on_test(self.splits, self.drawn, self.settings, test_key)
        return counts | {"alike": dict(self.drawn.alike), "notes": counts["notes"] + notes}

    def train_dataloader(self) -> DataLoader:
        """Training batches of this process, in an order drawn from (seed, epoch), or by difficulty."""
        return self._loader(TRAIN, self._sampler(TRAIN, training=True))

    def val_dataloader(self) -> DataLoader:
        """Validation batches of this process, each row once over all processes."""
        return self._loader(VAL, self._sampler(VAL, training=False))

    @property
    def test_split(self) -> str:
        """The split that ``trainer.test`` scores."""
        return self._test_split

    def test_on(self, split: str) -> None:
        """Make ``trainer.test`` score another split."""
        self._test_split = split

    def replace_texts(self, split: str, texts: Sequence[str]) -> None:
        """Put other texts into a split, in the order of its rows, and prepare them."""
        self.splits[split] = replace(self.splits[split], texts=list(texts))
        self.prepared.pop(split, None)
        self.setup()

    def test_dataloader(self) -> DataLoader:
        """Batches of ``test_split``, each row once over all processes."""
        return self._loader(self.test_split, self._sampler(self.test_split, training=False))

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch and the number of its batches that are done, for a checkpoint."""
        if self.trainer is None:
            return {"epoch": 0, "num_batches_done": 0}
        done = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        at_end = done >= self.trainer.num_training_batches
        return {"epoch": self.trainer.current_epoch + at_end, "num_batches_done": 0 if at_end else done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue at the position in a checkpoint: skip the batches of that epoch that are done."""
        self._resumed_at = (state_dict["epoch"], state_dict["num_batches_done"])

    def _sampler(self, split: str, training: bool) -> GlobalBatchSampler:
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        rows = self.settings.eval_batch_size
        sampler = GlobalBatchSampler(
            self.prepared[split].lengths,
            global_batch_size=self.global_batch_size if training else rows * world_size,
            micro_batch_size=self.micro_batch_size if training else rows,
            seed=self.seed if training else None,
            length_grouped=self.settings.length_grouped and training,
            fixed_order=fixed_order(self.splits[TRAIN], self.settings, self.seed) if training else None,
            rank=rank,
            world_size=world_size,
        )
        if training:  # set here, since loader processes take rows before set_epoch is called
            sampler.epoch, sampler.num_batches_to_skip = self._resumed_at
        return sampler

    def _loader(self, split: str, sampler: GlobalBatchSampler) -> DataLoader:
        examples = self.splits[split]
        codes = slice_codes(examples, self.slice_values)
        collator = Collator(self.prepared[split], examples.labels, codes, examples.targets, weights=examples.weights)
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return build_loader(collator, sampler, len(examples), self.num_workers, pin_memory=on_gpu)
