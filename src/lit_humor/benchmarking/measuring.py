"""Measures one change of a guide: steps of a training, on the same rows for all; in a process of its own."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._inductor.config
from torch import nn

from lit_humor.benchmarking.effects import (
    ALL_LOGITS,
    PINNED,
    UNRESTORED,
    Graphs,
    building,
    checkpoint_activations,
    compiling,
    compute_all_logits,
    counting,
    stepping,
    tokenizing,
)
from lit_humor.benchmarking.guide import COMPILED, STEPS, TEXTS, TRAINING
from lit_humor.benchmarking.raw_step import Setup, build, pick_global_batches
from lit_humor.config.command import compose
from lit_humor.core.batch import TRAIN, Batch
from lit_humor.data.batches.batching import GlobalBatchSampler
from lit_humor.data.batches.tokens import encode
from lit_humor.engine import factory
from lit_humor.engine.abilities import synchronise
from lit_humor.engine.machine import peak_memory_bytes

_FIRST_ROWS = 2  # of the step that is not timed, which makes what is made once
_GRADIENT_ROWS = 8  # of the batch of which gradients are compared
_SEED = 1  # of its dropout
_COUNTED = 4, 4, 2  # steps in which graphs are counted, their rows, layers: many widths in little time


def measure(
    how: str, overrides: Sequence[str], num_steps: int, effect: str = "", gradient: bool = False
) -> dict[str, Any]:
    """Measure once; in a process of its own, since compilers, forks and memory remember.

    Args:
        how: One of the kinds of ``guide``.
        overrides: Overrides of ``train.py``.
        num_steps: Optimizer steps, at most those of an epoch.
        effect: What no setting does, as ``effects`` names it.
        gradient: Whether the gradient is compared with that without activation checkpointing.

    Returns:
        ``seconds`` of ``rows`` rows, and further numbers of that kind.
    """
    if how == TEXTS:
        return measure_texts(overrides, effect)
    if how == TRAINING:
        return measure_training(overrides, num_steps)
    assert how in (STEPS, COMPILED)
    return measure_steps(overrides, num_steps, effect, gradient)


def measure_steps(overrides: Sequence[str], num_steps: int, effect: str, gradient: bool = False) -> dict[str, Any]:
    """Take the steps of ``train.py``, loading included, without Lightning.

    Compiled code runs all steps once before, so that no shape is new to it; ``first_seconds`` is that time.
    """
    torch._inductor.config.compile_threads = 1  # compile in this process, not in others that would outlive it
    with building(effect):
        setup = build(overrides)
    keep_same_rows(setup, num_steps)
    loader: Any = setup.datamodule.train_dataloader()
    loader.pin_memory = effect == PINNED
    longest = max(loader.batch_sampler, key=lambda rows: int(setup.datamodule.prepared[TRAIN].lengths[rows].max()))
    found: dict[str, Any] = {}
    if gradient:
        batch = setup.take(loader.collate_fn(longest[:_GRADIENT_ROWS]))
        found["gradient_difference"] = gradient_difference(setup, batch, preserve=effect != UNRESTORED)
    if effect == UNRESTORED:
        checkpoint_activations(setup.learner.model, preserve_rng_state=False)
    if effect == ALL_LOGITS:
        compute_all_logits(setup.learner.model)
    optimizer = setup.build_optimizer()
    with stepping(effect):
        start = time.perf_counter()
        if setup.plan.compile:
            torch._logging.set_logs(all=logging.CRITICAL)  # an error is the row's, and warnings are many
            _take(setup, optimizer, iter(loader))
            found["first_seconds"] = time.perf_counter() - start
        else:
            setup.step(optimizer, [setup.take(loader.collate_fn(longest[:_FIRST_ROWS]))])
        read_pictures(setup, loader)
        if setup.plan.num_workers:  # they start once, and stay
            list(loader)
        batches = iter(loader)
        synchronise(setup.device)
        start = time.perf_counter()
        rows = _take(setup, optimizer, batches)
        seconds = time.perf_counter() - start
    peak = peak_memory_bytes(setup.plan.accelerator) / 2**20
    return {**found, "seconds": seconds, "rows": rows, "precision": setup.plan.precision, "peak_memory_mib": peak}


def read_pictures(setup: Setup, batches: Iterable[Batch]) -> None:
    """Have a frozen vision tower read the pictures that it keeps, as it has from the second epoch on."""
    reader = getattr(setup.learner.model, "read_pictures", None)
    if reader is not None and reader.is_frozen and reader.most_bytes:
        with setup.autocast():
            for batch in batches:
                reader(setup.take(batch))


def count_graphs(overrides: Sequence[str], effect: str) -> Graphs:
    """Return the graphs of a few small forward passes; no code is made of them, so no compiler is needed.

    All layers but two are left out: layers share graphs, or are parts of one, so their number takes only time.
    """
    num_steps, rows, num_layers = _COUNTED
    with counting() as graphs:
        with compiling(backend="eager"), building(effect):
            setup = build([*overrides, f"data.batch_size={rows}", "trainer.accumulation=1"])
        keep_same_rows(setup, num_steps)
        layers = setup.learner.model.layers()
        if isinstance(layers, nn.ModuleList):
            del layers[num_layers:]
        for batch in setup.datamodule.train_dataloader():
            setup.learner.step.loss(setup.take(batch))
            _drop(setup)
    return graphs


def measure_training(overrides: Sequence[str], num_steps: int) -> dict[str, Any]:
    """Train for two epochs with Lightning and the loggers of ``train.py``; the second is timed.

    Callbacks are left out, but for that which logs in every step.
    """
    with tempfile.TemporaryDirectory() as folder:
        setup = build([*overrides, f"paths.run_dir={folder}", "trainer.max_epochs=2"])
        keep_same_rows(setup, num_steps)
        setup.cfg.callbacks = {"learning_rates": setup.cfg.callbacks.learning_rates}
        trainer = factory.build_trainer(setup.cfg, setup.plan, Path(folder))
        trainer.limit_val_batches = 0
        ends: list[float] = []
        close = setup.learner.step.close

        def closed(optimizer: torch.optim.Optimizer) -> None:
            close(optimizer)
            synchronise(setup.device)
            ends.append(time.perf_counter())

        setup.learner.step.close = closed  # type: ignore[method-assign]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            trainer.fit(setup.learner, datamodule=setup.datamodule)
    rows = len(setup.datamodule.splits[TRAIN])
    peak = peak_memory_bytes(setup.plan.accelerator) / 2**20
    seconds = ends[-1] - ends[len(ends) // 2 - 1]
    return {"seconds": seconds, "rows": rows, "precision": setup.plan.precision, "peak_memory_mib": peak}


def measure_texts(overrides: Sequence[str], effect: str) -> dict[str, Any]:
    """Tokenize the training texts twice, and time the second; ``cut`` counts those that are cut before."""
    cfg = compose("train", overrides)
    pretrained = factory.resolve_pretrained(cfg)
    texts = factory.build_datamodule(cfg, pretrained, plan=None).load()[TRAIN].texts
    with tokenizing(effect):
        from lit_humor.data.batches.tokens import MOST_CHARACTERS  # as the effect has it

        for _ in range(2):
            start = time.perf_counter()
            encode(texts, None, pretrained.tokenizer, cfg.data.max_length)
            seconds = time.perf_counter() - start
        cut = sum(len(text) > cfg.data.max_length * MOST_CHARACTERS for text in texts)
    return {"seconds": seconds, "rows": len(texts), "cut": cut}


def keep_same_rows(setup: Setup, num_steps: int) -> None:
    """Leave rows of complete optimizer steps in the training split: the same, whatever the settings of batches are.

    Raises:
        UserError: There are fewer rows than a step has.
    """
    datamodule, plan = setup.datamodule, setup.plan
    lengths, size = datamodule.prepared[TRAIN].lengths, plan.global_batch_size // plan.accumulation
    sampler = GlobalBatchSampler(
        lengths, global_batch_size=plan.global_batch_size, micro_batch_size=size, seed=setup.cfg.seed
    )
    steps = pick_global_batches(list(sampler), lengths, plan, num_steps)
    rows = np.unique([row for step in steps for batch in step for row in batch])
    datamodule.splits[TRAIN] = datamodule.splits[TRAIN].take(rows)
    del datamodule.prepared[TRAIN]
    datamodule.setup()


def gradient_difference(setup: Setup, batch: Batch, *, preserve: bool) -> float:
    """Return how far activation checkpointing moves the gradient of a batch: |with - without| / |without|.

    Args:
        setup: The training; checkpointing stays on, and restores the random state.
        batch: A batch on its device.
        preserve: Whether checkpointing restores the random state, as the project's does.
    """
    model = setup.learner.model
    checkpoint_activations(model, None)
    without = _gradient(setup, batch)
    checkpoint_activations(model, preserve)
    difference = _gradient(setup, batch) - without
    checkpoint_activations(model, True)
    return float(difference.norm() / without.norm())


def _gradient(setup: Setup, batch: Batch) -> torch.Tensor:
    """Return the gradient of all parameters as one vector, with dropout from the same random state in each call."""
    torch.manual_seed(_SEED)
    step = setup.learner.step
    step.backward(step.loss(batch))
    gradients = [p.grad.float().flatten() for p in setup.learner.model.parameters() if p.grad is not None]
    vector = torch.cat(gradients).clone()
    _drop(setup)
    return vector


def _drop(setup: Setup) -> None:
    """Drop batches and gradients of a step whose weights stay."""
    setup.learner.step.close(torch.optim.SGD(setup.learner.model.parameters()))


def _take(setup: Setup, optimizer: torch.optim.Optimizer, batches: Iterable[Batch]) -> int:
    """Take the optimizer steps of an epoch; return its rows."""
    rows = 0
    for global_batch in _global_batches(setup, iter(batches)):
        setup.step(optimizer, global_batch)
        rows += sum(len(batch["rows"]) for batch in global_batch)
    synchronise(setup.device)
    return rows


def _global_batches(setup: Setup, batches: Iterator[Batch]) -> Iterator[list[Batch]]:
    while global_batch := [setup.take(batch) for batch in islice(batches, setup.plan.accumulation)]:
        yield global_batch
