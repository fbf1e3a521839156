"""Depths of the parameters of an encoder with a head, which layer-wise learning rates follow."""

from __future__ import annotations

from torch import nn


def depths_of(backbone: nn.Module, layers: nn.ModuleList, head: nn.Module) -> dict[int, int]:
    """Return the depth of each parameter by its id: 0 embeddings, 1 ... L layers (bottom to top), L + 1 head.

    The norm behind the last layer, which some encoders have, learns like the head. An encoder lists its parts in the
    order in which they are computed, except that some list the positions which all layers share last: where matrices
    stand behind the layers, everything there has depth 0.
    """
    top = len(layers) + 1
    depths = {id(p): depth for depth, layer in enumerate(layers, start=1) for p in layer.parameters()}
    parameters = list(backbone.parameters())
    last = max(index for index, p in enumerate(parameters) if id(p) in depths)
    behind = parameters[last + 1 :]
    if all(p.ndim == 1 for p in behind):
        depths |= {id(p): top for p in behind}
    return {id(p): 0 for p in parameters} | depths | {id(p): top for p in head.parameters()}
