"""Measures the gain of each change from the plain baseline to the default, on real optimizer steps."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from rich.progress import track
from torch import nn

from lit_humor.benchmarking import output
from lit_humor.benchmarking.apart import apart
from lit_humor.benchmarking.commands import data_overrides, model_overrides
from lit_humor.benchmarking.ladder_table import is_slower, ladder_markdown, ladder_title
from lit_humor.benchmarking.plots import bars
from lit_humor.benchmarking.raw_step import Setup, build, can_compile, pick_global_batches
from lit_humor.config.command import choice, compose
from lit_humor.config.validate import unknown_value
from lit_humor.core.batch import TRAIN, Batch
from lit_humor.core.precision import PRECISIONS
from lit_humor.data.batches.store import TokenStore
from lit_humor.engine.abilities import matmul_ceiling, synchronise
from lit_humor.engine.machine import Machine, look_at_machine, peak_memory_bytes
from lit_humor.engine.planning import build_plan
from lit_humor.runs import screen

PLAIN = (
    *("data.padding=max_length", "data.length_grouped=false", "trainer.precision=32-true", "trainer.attention=sdpa"),
    *("model.network.embeddings=all", "model.network.fast_dropout=false", "model.network.short_last_layer=false"),
    *("trainer.max_tokens=null", "optim.fused=false"),
)
DEFAULT = "default"
# (name, what it changes in addition to all rungs before it); all together are the default
RUNGS = (
    ("padded to 128, fp32", ()),
    ("padded to the longest of a batch", ("data.padding=longest",)),
    ("fused AdamW", ("optim.fused=true",)),
    ("rows of like length", ("data.length_grouped=true",)),
    ("long rows in several passes", ("trainer.max_tokens=auto",)),
    ("only embeddings in use learn", ("model.network.embeddings=used",)),
    ("dropout from cheap random bits", ("model.network.fast_dropout=true",)),
    ("attention as the plan chooses", ("trainer.attention=auto",)),
    ("last layer for the pooled token", ("model.network.short_last_layer=true",)),
    ("precision as the plan chooses", ("trainer.precision=auto",)),
)
BEYOND = (
    ("without dropout of attention", ("model.network.attention_dropout=0",)),
    ("without any dropout", ("model.network.attention_dropout=0", "model.network.dropout=0")),
    ("with embeddings frozen", ("model.network.embeddings=frozen",)),
    ("with gradient checkpointing", ("model.network.gradient_checkpointing=true",)),
    ("packed end to end", ("trainer.attention=packed",)),
    ("with each layer compiled", ("trainer.compile=true",)),
    ("with the whole encoder compiled", ("trainer.compile=full",)),
)
PROFILES = {"one_liners": (15, 0.4), "tweets": (27, 0.5), "stories": (80, 0.5), "fixed": (128, 0.0)}  # median, spread


@dataclass
class Measured:
    """Measurements of one rung.

    Attributes:
        name: Name of the rung.
        seconds: Seconds of the measured steps, one value for each repeat.
        cpu_seconds: CPU seconds of all cores for these steps.
        rows: Rows of these steps.
        real_tokens: Tokens of these rows.
        padding_waste: Share of padding among the tokens that a whole epoch computes.
        flops: Floating-point operations of the encoder's products for the real tokens, forward and backward.
        epoch_rows: Rows of an epoch.
        precision: Precision of the plan.
        peak_memory_mib: Peak memory of its own process, at the longest step; None if not measured.
    """

    name: str
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    rows: int = 0
    real_tokens: int = 0
    padding_waste: float = 0.0
    flops: float = 0.0
    epoch_rows: int = 0
    precision: str = ""
    peak_memory_mib: float | None = None


def run(cfg: DictConfig) -> dict[str, Any]:
    """Measure every rung ``repeats`` times, interleaved; write, show and return the results."""
    if cfg.profile != "own" and cfg.profile not in PROFILES:
        raise unknown_value("profile", cfg.profile, ("own", *PROFILES))
    machine = look_at_machine()
    rungs = dict(climb([*model_overrides(), *data_overrides(cfg)], machine))
    if not (cfg.compiled and can_compile(machine)):
        compiled = {"trainer.compile=true", "trainer.compile=full"}
        rungs = {name: overrides for name, overrides in rungs.items() if compiled.isdisjoint(overrides)}
    measured = {name: Measured(name) for name in rungs}
    ceilings: dict[str, float] = {}
    screen.show(f"{len(rungs)} rungs x {cfg.repeats} repeats x {cfg.steps} optimizer steps, interleaved")
    for _ in track(range(cfg.repeats), description="repeats"):
        for name, overrides in rungs.items():
            setup = _measure(overrides, cfg.profile, cfg.steps, measured[name])
            ceiling = matmul_ceiling(
                setup.plan.precision, setup.device
            )  # measured each time: the machine may slow down
            ceilings[setup.plan.precision] = max(ceilings.get(setup.plan.precision, 0.0), ceiling)
            del setup
            gc.collect()
            torch.cuda.empty_cache()  # for the processes that measure memory; has no effect without a GPU
    for name in track(list(rungs) if cfg.memory else [], description="memory"):
        measured[name].peak_memory_mib = apart(measure_peak, rungs[name], cfg.profile)
    content = _content(cfg, list(measured.values()), ceilings)
    suite = "ladder" if cfg.profile == "own" else f"ladder_{cfg.profile}"
    path = output.publish(cfg, suite, content, ladder_markdown(cfg, content))
    paces = {rung["name"]: rung["tokens_per_second"] for rung in content["rungs"]}
    bars(path.with_suffix(".png"), paces, "real tokens a second (median and range)", ladder_title(cfg))
    return content


def climb(overrides: Sequence[str], machine: Machine) -> list[tuple[str, list[str]]]:
    """Return name and overrides of ``train.py`` of each rung, without rungs that change nothing on this machine."""
    chosen, rungs, before = [*overrides, *PLAIN], [], None
    for name, changes in RUNGS:
        chosen = [*chosen, *changes]
        effect = _effect(chosen, machine)
        if effect != before:
            rungs.append((name, chosen))
        before = effect
    rungs[-1] = (f"{rungs[-1][0]} = {DEFAULT}", chosen)
    return rungs + [(f"{DEFAULT} {name}", [*chosen, *changes]) for name, changes in BEYOND]


def _effect(overrides: Sequence[str], machine: Machine) -> dict[str, Any]:
    """Return the settings of a rung that have an effect on this machine."""
    cfg = compose("train", overrides)
    plan, network = build_plan(cfg, machine), cfg.model.network
    return {
        **{"padding": cfg.data.padding, "grouped": cfg.data.length_grouped, "embeddings": network.embeddings},
        "fused": cfg.optim.fused and not PRECISIONS[plan.precision].scales_loss,
        **{"fast_dropout": network.fast_dropout and plan.accelerator == "cpu"},
        **{"short_last_layer": network.short_last_layer and network.pooling == "first"},
        **{"attention": plan.attention, "precision": plan.precision},
        "chunks": plan.max_tokens is not None and plan.max_tokens < plan.micro_batch_size * cfg.data.max_length,
    }


def _measure(overrides: Sequence[str], profile: str, steps: int, into: Measured) -> Setup:
    """Build a training, warm up, time ``steps`` optimizer steps, add the results to ``into``; return what was built."""
    setup = build(overrides)
    global_batches = _global_batches(setup, profile, steps)
    optimizer = setup.build_optimizer()
    setup.step(optimizer, global_batches[-1])
    synchronise(setup.device)
    start, cpu_start = time.perf_counter(), time.process_time()
    for global_batch in global_batches:
        setup.step(optimizer, global_batch)
    synchronise(setup.device)
    into.seconds.append(time.perf_counter() - start)
    into.cpu_seconds.append(time.process_time() - cpu_start)
    batches: list[Any] = [batch for global_batch in global_batches for batch in global_batch]
    into.rows = sum(len(batch["rows"]) for batch in batches)
    into.real_tokens = sum(int(batch["attention_mask"].sum()) for batch in batches)
    into.padding_waste = 0.0 if setup.plan.attention == "packed" else padding_waste(setup)
    into.flops = 6.0 * into.real_tokens * products(setup.learner.model, setup.cfg.model.network.short_last_layer)
    into.epoch_rows = len(setup.datamodule.prepared[TRAIN].lengths)
    into.precision = setup.plan.precision
    return setup


def padding_waste(setup: Setup) -> float:
    """Return the share of padding in all tokens that an epoch computes."""
    loader: Any = setup.datamodule.train_dataloader()
    lengths = setup.datamodule.prepared[TRAIN].lengths
    batches = [lengths[rows] for rows in loader.batch_sampler]
    computed = sum(len(batch) * loader.collate_fn.prepared.width(int(batch.max())) for batch in batches)
    return 1 - int(lengths.sum()) / computed


def measure_peak(overrides: Sequence[str], profile: str) -> float:
    """Return the peak memory, in MiB, of building a training and two steps of the longest rows; needs a new process."""
    setup = build(overrides)
    optimizer = setup.build_optimizer()
    for _ in range(2):
        setup.step(optimizer, _global_batches(setup, profile, 1, longest=True)[0])
    return peak_memory_bytes(setup.plan.accelerator) / 2**20


def _global_batches(setup: Setup, profile: str, count: int, longest: bool = False) -> list[list[Batch]]:
    """Return the global batches to measure, on the device, each a list of batches."""
    prepared: Any = setup.datamodule.prepared
    if profile != "own":
        prepared[TRAIN] = replace(prepared[TRAIN], store=recut(prepared[TRAIN].store, *PROFILES[profile]))
    loader = setup.datamodule.train_dataloader()
    batches, lengths = list(loader.batch_sampler), prepared[TRAIN].lengths  # type: ignore[arg-type]
    chosen = pick_global_batches(batches, lengths, setup.plan, count, longest)
    return [[setup.take(loader.collate_fn(rows)) for rows in global_batch] for global_batch in chosen]


def products(model: Any, short_last_layer: bool) -> int:
    """Count the weights of the encoder's linear layers for one token; in a short last layer only keys and values."""
    whole = [m.weight.numel() for m in model.layers().modules() if isinstance(m, nn.Linear)]
    last = [m.weight.numel() for m in model.layers()[-1].modules() if isinstance(m, nn.Linear)]
    is_short = short_last_layer and "forward" in vars(model.layers()[-1])
    return sum(whole) - (sum(last) - 2 * last[0] if is_short else 0)


def recut(store: TokenStore, median: int, spread: float, longest: int = 128) -> TokenStore:
    """Cut the same tokens into rows of other lengths: log-normal with this median and spread of the logarithm."""
    count = len(store.lengths)
    drawn = np.random.default_rng(0).lognormal(np.log(median), spread, count)
    lengths = np.clip(drawn.round(), 4, longest).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.resize(np.asarray(store.input_ids), int(offsets[-1]))
    return TokenStore(ids, offsets, lengths.astype(np.int32), 0)


def _content(cfg: DictConfig, measured: Sequence[Measured], ceilings: Mapping[str, float]) -> dict[str, Any]:
    default = next(index for index, rung in enumerate(measured) if rung.name.endswith(f"= {DEFAULT}"))
    rungs: list[dict[str, Any]] = []
    for index, rung in enumerate(measured):
        seconds = statistics.median(rung.seconds)
        rungs.append(
            {
                "name": rung.name,
                "precision": rung.precision,
                "seconds": rung.seconds,
                "tokens_per_second": [rung.real_tokens / value for value in rung.seconds],
                "rows_per_second": rung.rows / seconds,
                "epoch_seconds": rung.epoch_rows * seconds / rung.rows,
                "cores_busy": sum(rung.cpu_seconds) / sum(rung.seconds) / torch.get_num_threads(),
                "peak_memory_mib": rung.peak_memory_mib,
                "ratio": statistics.median(_ratios(rung, measured[0])),
                "ratio_before": statistics.median(before := _ratios(rung, measured[max(min(index - 1, default), 0)])),
                "is_slower": is_slower(before),
                "padding_waste": rung.padding_waste,
                "flop_utilisation": rung.flops / seconds / ceilings[rung.precision],
            }
        )
    settings = {"model": choice("model"), **{key: cfg[key] for key in ("profile", "repeats", "steps")}}
    ceiling = {kind: value / 1e9 for kind, value in ceilings.items()}
    rest = {"asked": settings, "data": output.data_name(cfg), "ceiling_gflops": ceiling, "default": default}
    return {**output.describe_here(), **rest, "rungs": rungs}


def _ratios(rung: Measured, base: Measured) -> list[float]:
    """Return the ratio of real tokens per second of a rung to those of another, for each repeat."""
    share = rung.real_tokens / base.real_tokens
    return [theirs / ours * share for ours, theirs in zip(rung.seconds, base.seconds, strict=True)]
