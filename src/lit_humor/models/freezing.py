"""The lowest layers of an encoder do not learn; the highest start anew. Legend: B rows, T tokens, D hidden size."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator, Mapping
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from lit_humor.core.errors import UserError
from lit_humor.models.depths import depths_of
from lit_humor.models.packing import Packing
from lit_humor.models.pretrained import find_layers, load_backbone

_KEY = "model.network.frozen_layers"
STATES = "states"  # [B, T, D] bf16, the outputs of the highest frozen layer, where a batch has them


class FrozenPrefix:
    """The embeddings and the lowest layers of an encoder, without gradients, optimizer state and dropout.

    What they compute of a row is the same in every epoch. A batch that has it as ``states`` is not computed again: the
    encoder runs with layers that return the given states, so masks and positions are its own.

    Source: Lee et al. 2019, What Would Elsa Do? Freezing Layers During Transformer Fine-Tuning.
    Cost: saves the backward pass and the optimizer state of the frozen layers, and with ``states`` their forward pass.
    Alternatives: ``optim.layer_decay`` lets low layers learn slowly.

    Args:
        network: Has ``backbone``, an encoder, and ``layers()``, those of the encoder.
        count: Number of frozen layers; 0 freezes nothing.

    Raises:
        UserError: No layer would learn.
    """

    def __init__(self, network: Any, count: int) -> None:
        self.count, self.layers = count, network.layers() if count else nn.ModuleList()
        if count and not 0 < count < len(self.layers):
            most = len(self.layers) - 1
            expected, fix = f"0 to {most}, so that a layer learns", f"set {_KEY}={most if count > 0 else 0}"
            raise UserError(_KEY, found=str(count), expected=expected, fix=fix)
        self._given = [_Given(layer) for layer in self.layers[:count]]
        if count:
            depths = depths_of(network.backbone, self.layers, nn.Identity())
            for parameter in network.backbone.parameters():
                parameter.requires_grad_(parameter.requires_grad and depths[id(parameter)] > count)
            _stay_in_evaluation(network.backbone, self.layers[count:])

    @contextlib.contextmanager
    def given(self, batch: Mapping[str, Tensor]) -> Iterator[None]:
        """Have the frozen layers return the states of a batch, if it has some, within this context."""
        if STATES not in batch:
            yield
            return
        for stand_in in self._given:
            stand_in.states = batch[STATES]
        try:
            with self._replaced(dict(enumerate(self._given))):
                yield
        finally:
            for stand_in in self._given:
                stand_in.states = None

    @torch.no_grad()
    def compute(self, network: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the outputs [B, T, D] of the highest frozen layer, without computing what is above.

        Raises:
            UserError: The layers return more than their outputs.
        """
        highest = {self.count - 1: self._given[-1], self.count: _End(self.layers[self.count])}
        try:
            with self._replaced(highest):
                network(batch)
        except _EndError as end:
            return end.states
        raise AssertionError("a layer above the frozen ones runs")

    @contextlib.contextmanager
    def _replaced(self, stand_ins: Mapping[int, nn.Module]) -> Iterator[None]:
        """Put other modules into the list of layers within this context; compiled layers stay as they are."""
        own = dict(self.layers._modules)
        self.layers._modules |= {str(place): stand_in for place, stand_in in stand_ins.items()}
        try:
            yield
        finally:
            self.layers._modules |= own


class _EndError(Exception):
    """The layers above need not be computed."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states


class _StandIn(nn.Module):
    """Stands in the place of a layer, and has its attributes, such as the kind of attention, which encoders read."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.__dict__["layer"] = layer  # not a part of it

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.__dict__["layer"], name)


class _Given(_StandIn):
    """Returns what a frozen layer has computed before, or computes it."""

    states: Tensor | None = None

    def forward(self, hidden: Tensor, *args: Any, packing: Packing | None = None, **named: Any) -> Tensor:
        """[B, T, D], or packed [1, N, D] -> the same shape."""
        if self.states is not None:
            return (self.states if packing is None else packing.pack(self.states)).to(hidden.dtype)
        more = {} if packing is None else {"packing": packing}
        output = self.__dict__["layer"](hidden, *args, **more, **named)
        if not isinstance(output, Tensor):
            raise UserError(
                "callbacks.frozen_prefix.cached",
                found=f"layers that return more than their outputs ({type(self.__dict__['layer']).__name__})",
                expected="false, or an encoder whose layers do not",
                fix="set callbacks.frozen_prefix.cached=false",
            )
        return output


class _End(_StandIn):
    """Ends a pass in front of a layer."""

    def forward(self, hidden: Tensor, *_: Any, packing: Packing | None = None, **__: Any) -> Tensor:
        """Raise the states [B, T, D]."""
        raise _EndError(hidden if packing is None else packing.pad(hidden))


def _stay_in_evaluation(backbone: nn.Module, learning: Iterable[nn.Module]) -> None:
    """Switch off the dropout of all that neither is, nor is in, nor contains a layer that learns."""
    inside = {id(module) for layer in learning for module in layer.modules()}
    for module in backbone.modules():
        if not any(id(part) in inside for part in module.modules()) and id(module) not in inside:
            module.eval()
            module.train = MethodType(_stay, module)  # type: ignore[method-assign]


def _stay(module: nn.Module, mode: bool = True) -> nn.Module:
    return module


def reinitialize(network: Any, count: int, frozen: int) -> None:
    """Give the highest layers random weights, as a new encoder has them.

    Source: Zhang et al. 2021, Revisiting Few-sample BERT Fine-tuning, section 5.
    Cost: a second encoder in memory while they are drawn.
    Alternatives: a higher rate for the highest layers (``optim.layer_decay``).

    Args:
        network: Has ``backbone``, an encoder, and ``layers()``, those of the encoder.
        count: Number of layers that start anew.
        frozen: Number of layers that do not learn.

    Raises:
        UserError: There are not so many layers that learn.
    """
    layers = network.layers()
    if not 0 <= count <= len(layers) - frozen:
        key, most = "model.network.reinitialized_layers", len(layers) - frozen
        expected, fix = f"0 to {most}, the number of layers that learn", f"set {key}={most if count > 0 else 0}"
        raise UserError(key, found=str(count), expected=expected, fix=fix)
    if not any(parameter.is_meta for parameter in network.backbone.parameters()):  # otherwise a checkpoint follows
        config = copy.deepcopy(network.config)
        fresh = load_backbone(None, config, "sdpa", with_weights=True)
        for layer, other in zip(layers[-count:], find_layers(fresh, config)[-count:], strict=True):
            layer.load_state_dict(other.state_dict())
