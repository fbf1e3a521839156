"""Does what no setting of the project does, to measure what a guide says of it; and counts graphs of the compiler."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._dynamo.utils import counters
from torch.nn.attention import SDPBackend, sdpa_kernel

from lit_humor.data.batches import tokens

PINNED, UNRESTORED, UNCUT = "pin_memory=true", "preserve_rng_state=False", "texts_cut=false"
ALL_LOGITS = "logits=all"
_DYNAMIC = {"none": None, "false": False}


@contextlib.contextmanager
def building(effect: str) -> Iterator[None]:
    """Have ``dynamic=none`` or ``dynamic=false``: what is compiled meanwhile is compiled so."""
    name, _, value = effect.partition("=")
    with compiling(dynamic=_DYNAMIC[value]) if name == "dynamic" else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def stepping(effect: str) -> Iterator[None]:
    """Have ``sdpa=<name of a backend>``: torch's fused attention takes no other way meanwhile."""
    name, _, value = effect.partition("=")
    with sdpa_kernel(SDPBackend.__members__[value]) if name == "sdpa" else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def tokenizing(effect: str) -> Iterator[None]:
    """Have ``texts_cut=false``: no text is cut before it is tokenized, however long."""
    with _replaced(tokens, "MOST_CHARACTERS", sys.maxsize) if effect == UNCUT else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def compiling(**options: Any) -> Iterator[None]:
    """Have ``Module.compile`` take other options; which parts are compiled stays the choice of the network."""
    compile_module = nn.Module.compile

    def compile_so(module: nn.Module, *args: Any, **named: Any) -> None:
        compile_module(module, *args, **{**named, **options})

    with _replaced(nn.Module, "compile", compile_so):
        yield


@contextlib.contextmanager
def _replaced(holder: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(holder, name)
    setattr(holder, name, value)
    try:
        yield
    finally:
        setattr(holder, name, before)


def checkpoint_activations(network: nn.Module, preserve_rng_state: bool | None) -> None:
    """Switch activation checkpointing of a model of transformers on or off, in place.

    Args:
        network: Holds the model.
        preserve_rng_state: Whether what is computed again draws the same dropout; None switches checkpointing off.
    """
    model: Any = next(part for part in network.modules() if hasattr(part, "activation_checkpointing_enable"))
    if preserve_rng_state is None:
        model.activation_checkpointing_disable()
    else:
        model.activation_checkpointing_enable({"use_reentrant": False, "preserve_rng_state": preserve_rng_state})


def compute_all_logits(network: Any) -> None:
    """Have a ``VisionLanguage`` compute the logits of all tokens, in place; it still gives those of the answer."""
    read_prompts = network.read_prompts

    def read_all(*inputs: Any, logits_to_keep: int, **options: Any) -> tuple[Any, Any]:
        read, positions = read_prompts(*inputs, **options)
        read.logits = read.logits[:, -logits_to_keep:]
        return read, positions

    network.read_prompts = read_all


@dataclass
class Graphs:
    """What ``torch.compile`` has done in this process since it was last forgotten.

    Attributes:
        count: Graphs, one more for each recompilation.
        gave_up: Whether some code was recompiled so often that from then on it runs as if it were not compiled.
    """

    count: int = 0
    gave_up: bool = False


@contextlib.contextmanager
def counting() -> Iterator[Graphs]:
    """Forget all compiled code, and count graphs from 0; what is counted is there at the end."""
    graphs = Graphs()

    def hears(line: logging.LogRecord) -> bool:
        graphs.gave_up |= "recompile_limit" in line.getMessage()
        return False  # the table says it

    torch._dynamo.reset()
    counters.clear()
    log = logging.getLogger("torch._dynamo.convert_frame")
    log.addFilter(hears)
    try:
        yield graphs
    finally:
        log.removeFilter(hears)
        graphs.count = int(counters["stats"]["unique_graphs"])
