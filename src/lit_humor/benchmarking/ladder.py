"""What each step from the plain baseline to the default is worth, measured on real optimizer steps."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from rich.progress import track
from torch import nn

from lit_humor.benchmarking import output
from lit_humor.benchmarking.commands import data_overrides, model_overrides
from lit_humor.core.batch import TRAIN, Batch
from lit_humor.core.errors import UserError
from lit_humor.data.tokens import TokenStore
from lit_humor.engine import factory, screen
from lit_humor.engine.cli import choice, compose
from lit_humor.engine.hardware import Plan, look_at_machine

PLAIN = (
    *("data.padding=max_length", "data.length_grouped=false", "trainer.precision=32-true", "trainer.attention=sdpa"),
    *("model.network.embeddings=all", "model.network.fast_dropout=false", "model.network.short_last_layer=false"),
)
SHORT_LAST_LAYER = "last layer for the pooled token"
DEFAULT = "precision as the plan chooses = the default"
# (what it is called, what it changes on top of all rungs before it)
RUNGS = (
    ("padded to 128, fp32", ()),
    ("padded to the longest of a batch", ("data.padding=longest",)),
    ("rows of like length", ("data.length_grouped=true",)),
    ("only embeddings in use learn", ("model.network.embeddings=used",)),
    ("dropout from cheap random bits", ("model.network.fast_dropout=true",)),
    ("attention as the plan chooses", ("trainer.attention=auto",)),
    (SHORT_LAST_LAYER, ("model.network.short_last_layer=true",)),
    (DEFAULT, ("trainer.precision=auto",)),
)
BEYOND = (
    ("without dropout of attention", ("model.network.attention_dropout=0",)),
    ("without any dropout", ("model.network.attention_dropout=0", "model.network.dropout=0")),
    ("with embeddings frozen", ("model.network.embeddings=frozen",)),
)
PROFILES = {"one_liners": (15, 0.4), "tweets": (27, 0.5), "stories": (80, 0.5), "fixed": (128, 0.0)}  # median, spread
_CEILING_SIZE = {"cpu": 2048, "cuda": 8192, "mps": 4096}  # large enough that starting a product costs nothing beside it


@dataclass
class Measured:
    """What was measured of one rung.

    Attributes:
        name: What it is called.
        seconds: Seconds of the measured steps, one value a repeat.
        rows: Rows of these steps.
        real_tokens: Tokens of these rows.
        computed_tokens: The same with padding.
        flops: Multiplications and additions of the encoder's products for the real tokens, forward and backward.
        precision: Precision of the plan.
    """

    name: str
    seconds: list[float] = field(default_factory=list)
    rows: int = 0
    real_tokens: int = 0
    computed_tokens: int = 0
    flops: float = 0.0
    precision: str = ""


def run_ladder(cfg: DictConfig) -> dict[str, Any]:
    """Measure every rung ``repeats`` times, interleaved; write and show the table; return what was written."""
    if cfg.profile != "own" and cfg.profile not in PROFILES:
        expected = f"one of own, {', '.join(PROFILES)}"
        raise UserError("profile", found=cfg.profile, expected=expected, fix="set profile=own")
    chosen = list(PLAIN)
    rungs: list[tuple[str, list[str]]] = []
    for name, changes in RUNGS:
        chosen = [*chosen, *changes]
        if name != SHORT_LAST_LAYER or cfg.model.network.pooling == "first":  # else it changes nothing
            rungs.append((name, chosen))
    rungs += [(f"default {name}", [*chosen, *changes]) for name, changes in BEYOND]
    found = {name: Measured(name) for name, _ in rungs}
    screen.show(f"{len(rungs)} rungs x {cfg.repeats} repeats x {cfg.steps} optimizer steps, interleaved")
    for _ in track(range(cfg.repeats), description="repeats"):
        for name, overrides in rungs:
            _measure(cfg, overrides, found[name])
    content = _content(cfg, list(found.values()))
    text = _markdown(cfg, content)
    theme = f"ladder_{cfg.name or cfg.profile}_{choice('model')}"
    output.write(cfg.output, output.file_name(theme, content["machine"]), content, text)
    screen.show(text)
    return content


def _measure(cfg: DictConfig, overrides: Sequence[str], into: Measured) -> None:
    """Build everything anew, warm up, time ``cfg.steps`` optimizer steps, and add what was seen."""
    train_cfg = compose("train", [*model_overrides(), *data_overrides(cfg), *overrides])
    plan = factory.build_plan(train_cfg, look_at_machine())
    pretrained = factory.resolve_pretrained(train_cfg)
    datamodule = factory.build_datamodule(train_cfg.data, pretrained, train_cfg.seed, plan)
    datamodule.setup()
    if cfg.profile != "own":
        datamodule.tokens[TRAIN] = recut(datamodule.tokens[TRAIN], *PROFILES[cfg.profile])
    names = datamodule.class_names
    learner = factory.build_learner(train_cfg, pretrained, datamodule, class_names=names, plan=plan)
    device = device_of(plan)
    learner.to(device).train()
    groups = learner.parameter_groups()
    optimizer = learner.optimizer.build(groups, fused=plan.precision != "16-mixed")  # type: ignore[union-attr]
    loader = datamodule.train_dataloader()
    windows = pick_windows(list(loader.batch_sampler), datamodule.tokens[TRAIN].lengths, plan, cfg.steps)  # type: ignore[arg-type]
    batches = [[to_device(loader.collate_fn(rows), device) for rows in window] for window in windows]
    train_step(learner, optimizer, batches[-1], plan, train_cfg.trainer.gradient_clip_val)
    synchronise(device)
    start = time.perf_counter()
    for window in batches:
        train_step(learner, optimizer, window, plan, train_cfg.trainer.gradient_clip_val)
    synchronise(device)
    into.seconds.append(time.perf_counter() - start)
    everything = [batch for window in batches for batch in window]
    into.rows = sum(len(batch["rows"]) for batch in everything)
    into.real_tokens = sum(int(batch["attention_mask"].sum()) for batch in everything)
    into.computed_tokens = sum(batch["input_ids"].numel() for batch in everything)
    into.flops = 6.0 * into.real_tokens * _products(learner.model, train_cfg.model.network.short_last_layer)
    into.precision = plan.precision


def _products(model: Any, short_last_layer: bool) -> int:
    """Weights of the encoder's linear layers that every token meets; of a short last layer keys and values only."""
    whole = [m.weight.numel() for m in model.layers().modules() if isinstance(m, nn.Linear)]
    last = [m.weight.numel() for m in model.layers()[-1].modules() if isinstance(m, nn.Linear)]
    is_short = short_last_layer and "forward" in vars(model.layers()[-1])
    return sum(whole) - (sum(last) - 2 * last[0] if is_short else 0)


def recut(store: TokenStore, median: int, spread: float, longest: int = 128) -> TokenStore:
    """The same tokens, cut into rows of other lengths: log-normal with this median and spread of the logarithm."""
    count = len(store.lengths)
    drawn = np.random.default_rng(0).lognormal(np.log(median), spread, count)
    lengths = np.clip(drawn.round(), 4, longest).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.resize(np.asarray(store.input_ids), int(offsets[-1]))
    return TokenStore(ids, offsets, lengths.astype(np.int32), 0)


def pick_windows(batches: Sequence[list[int]], lengths: np.ndarray, plan: Plan, count: int) -> list[list[list[int]]]:
    """Whole optimizer steps of an epoch, evenly spaced from the shortest to the longest, each a list of batches."""
    per_step = plan.accumulation
    windows = [list(batches[i : i + per_step]) for i in range(0, len(batches), per_step)]
    windows = [window for window in windows if sum(map(len, window)) == plan.window_size]
    windows.sort(key=lambda window: sum(int(lengths[rows].sum()) for rows in window))
    return [windows[int((index + 0.5) * len(windows) / count)] for index in range(count)]


def device_of(plan: Plan) -> torch.device:
    """The device that a plan trains on, as torch calls it."""
    return torch.device("cuda" if plan.accelerator == "gpu" else plan.accelerator)


def autocast(plan: Plan, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """The precision of a plan, as the Trainer applies it."""
    if plan.precision == "32-true":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16 if plan.precision == "bf16-mixed" else torch.float16)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move a batch."""
    return {name: value.to(device) for name, value in batch.items()}  # type: ignore[return-value,attr-defined]


def train_step(
    learner: Any, optimizer: torch.optim.Optimizer, window: Sequence[Batch], plan: Plan, clip: float
) -> None:
    """Take one optimizer step as train.py does, without Lightning."""
    for batch in window:
        with autocast(plan, batch["labels"].device):
            losses = learner.objective(learner.model, batch).losses
        (sum(losses.values()).sum() / plan.window_size).backward()
    learner.configure_gradient_clipping(optimizer, clip)
    optimizer.step()
    optimizer.zero_grad()


def synchronise(device: torch.device) -> None:
    """Wait for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def matmul_ceiling(precision: str, device: torch.device) -> float:
    """Floating-point operations a second of a large product on this machine, the best of ten."""
    kind = torch.float32 if precision == "32-true" else torch.bfloat16
    size = _CEILING_SIZE[device.type]
    one, other = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    seconds = []
    for _ in range(10):
        synchronise(device)
        start = time.perf_counter()
        torch.matmul(one, other)
        synchronise(device)
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)


def _content(cfg: DictConfig, found: Sequence[Measured]) -> dict[str, Any]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    ceilings = {kind: matmul_ceiling(kind, device) for kind in {one.precision for one in found}}
    base = statistics.median(found[0].seconds) / found[0].real_tokens
    rungs: list[dict[str, Any]] = []
    for one in found:
        seconds = statistics.median(one.seconds)
        rungs.append(
            {
                "name": one.name,
                "precision": one.precision,
                "seconds": one.seconds,
                "tokens_per_second": [one.real_tokens / value for value in one.seconds],
                "rows_per_second": one.rows / seconds,
                "ratio": base / (seconds / one.real_tokens),
                "padding_waste": 1 - one.real_tokens / one.computed_tokens,
                "flop_utilisation": one.flops / seconds / ceilings[one.precision],
            }
        )
    asked = {"model": choice("model"), **{key: cfg[key] for key in ("profile", "repeats", "steps")}}
    data = Path(cfg.train_path).name if cfg.train_path else "embedded corpus, English"
    ceiling = {kind: value / 1e9 for kind, value in ceilings.items()}
    return {**output.describe_here(), "asked": asked, "data": data, "ceiling_gflops": ceiling, "rungs": rungs}


def _markdown(cfg: DictConfig, content: Mapping[str, Any]) -> str:
    ceilings = ", ".join(f"{value:.0f} GFLOPS in {kind}" for kind, value in content["ceiling_gflops"].items())
    data = "train_path=<train> " if cfg.train_path else ""
    default = next(index for index, rung in enumerate(content["rungs"]) if rung["name"] == DEFAULT)
    lines = [
        f"# Ladder: {choice('model')}, {content['data']}, length profile {cfg.profile}",
        "",
        f"- Command: `python src/lit_humor/bench.py suite=ladder model={choice('model')} {data}profile={cfg.profile} "
        f"repeats={cfg.repeats} steps={cfg.steps}`",
        f"- {cfg.steps} optimizer steps of 32 rows, evenly spaced from the shortest to the longest of an epoch; "
        "forward, backward, clip, fused AdamW; interleaved; median of the repeats, range in brackets.",
        "- Ratios compare real tokens a second, padding not counted. FLOP use: the encoder's linear products for real "
        f"tokens against a measured product of large square matrices ({ceilings}).",
        output.machine_line(content["machine"], content["rungs"][default]["precision"]),
        output.commit_line([content]),
        "",
    ]
    header = ["rung", "real tokens/s", "rows/s", "x baseline", "x rung before", "padding", "FLOP use"]
    rows, before = [], content["rungs"][0]["ratio"]
    for index, rung in enumerate(content["rungs"]):
        cells = [rung["name"], output.median_range(rung["tokens_per_second"], 0), f"{rung['rows_per_second']:.1f}"]
        cells += [f"{rung['ratio']:.2f}", f"{rung['ratio'] / before:.2f}", f"{rung['padding_waste']:.1%}"]
        rows.append([*cells, f"{rung['flop_utilisation']:.0%}"])
        before = content["rungs"][min(index, default)]["ratio"]
    return "\n".join(lines + output.table(header, rows)) + "\n"
