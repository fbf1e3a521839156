"""Adversarial training on the embeddings of tokens. Legend: B rows, T tokens, N tokens of all rows, D hidden size."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lit_humor.core.errors import UserError
from lit_humor.objectives.objective import Model, Objective, Outcome, Shared
from lit_humor.objectives.regularized import Forward, Regularizer, check_above


class FGM(Regularizer):
    """The loss, and the loss where the embeddings of a row are moved in the direction that raises it (fast gradient).

    Formula, for a row with embeddings x [T, D] and g the gradient of its loss with respect to x:
    ``loss(x) + loss(x + epsilon * g / |g|)``, where ``|g|`` is the norm over all of the row's T D numbers.

    The norm is that of each row, not of the batch as in common code: so a step does not depend on how its rows are
    divided into micro-batches, chunks and processes.

    Source: Miyato et al. 2017, Adversarial Training Methods for Semi-Supervised Text Classification, equations 3 and 5;
    the embeddings are not normalized here, and are those of the tokens, before positions and norm are applied.
    Cost: a second forward and backward pass, and the part of a third that leads to the embeddings.
    Alternatives: ``RDrop`` compares two dropout masks, which needs no gradient.

    Args:
        epsilon: Length of the move, above 0.
        from_epoch: The first epoch, from 0, in which the embeddings are moved.

    Raises:
        UserError: ``epsilon`` or ``from_epoch`` is out of range.
    """

    def __init__(self, epsilon: float | None, from_epoch: int = 0) -> None:
        check_above("regularizers.fgm.epsilon", epsilon, 0, 1)
        check_above("regularizers.fgm.from_epoch", from_epoch, -1, 0)
        self.epsilon, self.from_epoch = epsilon or 0.0, from_epoch

    def check(self, objective: Objective) -> None:
        """Check that the loss of a row depends on that row alone.

        Raises:
            UserError: It does not.
        """
        if objective.couples_rows:
            found, expected = "a loss that compares rows with each other", "one that depends on the row alone"
            raise UserError("regularizers.fgm", found=found, expected=expected, fix="set regularizers.fgm.epsilon=null")

    def forward(
        self, inner: Forward, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None
    ) -> Outcome:
        """Return the losses, ``fgm`` [B], and the outputs where nothing is moved.

        Raises:
            UserError: The embeddings of the network cannot be moved.
        """
        if self.epoch < self.from_epoch:
            return inner(model, batch, shared)
        if "states" in batch:
            found, expected = "true, with regularizers.fgm", "false: given states do not depend on embeddings that move"
            fix = "set callbacks.frozen_prefix.cached=false"
            raise UserError("callbacks.frozen_prefix.cached", found=found, expected=expected, fix=fix)
        layers = _embeddings_of(model)
        given: list[Tensor] = []
        with _replacing(layers, lambda output: _remember(output, given)):
            outcome = inner(model, batch, shared)
        with torch.autocast(outcome.total.device.type, enabled=False):
            gradients = torch.autograd.grad(outcome.total.sum(), given, retain_graph=True, materialize_grads=True)
        moves = iter([self.epsilon * _unit(gradient, batch) for gradient in gradients])
        with _replacing(layers, lambda output: output + next(moves).to(output.dtype)):
            moved = inner(model, batch, shared)
        return Outcome({**outcome.losses, "fgm": moved.total}, outcome.outputs)


def _embeddings_of(model: Any) -> list[nn.Module]:
    """Return the layers that embed what the encoders of a network read."""
    encoders = [one for one in model.modules() if hasattr(one, "get_input_embeddings")]
    layers = list({id(layer): layer for layer in (one.get_input_embeddings() for one in encoders)}.values())
    compiled = [one for one in model.modules() if getattr(one, "_compiled_call_impl", None) is not None]
    if any(layer is inside for one in compiled for inside in one.modules() for layer in layers):
        raise UserError(
            "trainer.compile",
            found="full: the embeddings are compiled, and regularizers.fgm could not move them",
            expected="true, which compiles the layers alone, or false",
            fix="set trainer.compile=true",
        )
    return layers


@contextlib.contextmanager
def _replacing(layers: Sequence[nn.Module], change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Change the output of layers within this context, in the order of their calls."""
    hooks = [layer.register_forward_hook(lambda module, inputs, output: change(output)) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _remember(output: Tensor, given: list[Tensor]) -> Tensor:
    given.append(output if output.requires_grad else output.detach().requires_grad_())  # frozen ones have no gradient
    return given[-1]


def _unit(gradient: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the gradient [B, T, D], or [1, N, D] of packed rows, scaled so that each row has the norm 1."""
    squares = gradient.float().square().flatten(2).sum(dim=2)
    num_rows = len(batch["row_weights"])
    if len(gradient) == num_rows:
        norms = squares.sum(dim=1).sqrt()[:, None, None]
    else:
        rows = batch["attention_mask"].nonzero()[:, 0]
        norms = squares.new_zeros(num_rows).index_add(0, rows, squares[0]).sqrt()[rows][None, :, None]
    return gradient / norms.clamp(min=torch.finfo(torch.float32).tiny)
