"""Rates of dropout in the configuration of an encoder."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PretrainedConfig

from lit_humor.core.errors import UserError

HEAD_RATE = 0.1  # of the head, where the encoder keeps its own rates
_HIDDEN = ("hidden_dropout_prob", "dropout", "mlp_dropout", "embedding_dropout")
_ATTENTION = ("attention_probs_dropout_prob", "attention_dropout")


def set_rates(config: PretrainedConfig, dropout: float | None, attention_dropout: float | None) -> float:
    """Set the rates of an encoder and return that of the head.

    Args:
        config: Configuration of the encoder.
        dropout: Dropout of hidden states and of the head; None keeps the encoder's own, and the head has 0.1.
        attention_dropout: Dropout of attention probabilities; None keeps the encoder's own.

    Raises:
        UserError: A rate is out of range, or the encoder has no such rate.
    """
    set_dropout(config, "dropout", _HIDDEN, dropout)
    set_dropout(config, "attention_dropout", _ATTENTION, attention_dropout)
    return HEAD_RATE if dropout is None else dropout


def set_dropout(config: PretrainedConfig, key: str, names: Sequence[str], rate: float | None) -> None:
    """Set a dropout rate under all of ``names`` that the configuration has; None leaves it as it is.

    Raises:
        UserError: The rate is out of range, or above 0 and the configuration has none of the names.
    """
    if rate is None:
        return
    if not 0 <= rate < 1:
        raise UserError(
            f"model.network.{key}", found=str(rate), expected="0 <= rate < 1", fix=f"set model.network.{key}=0.1"
        )
    own = [name for name in names if hasattr(config, name)]
    if rate and not own:
        raise UserError(
            f"model.network.{key}",
            found=f"{rate}, but no such rate in {config.model_type}",
            expected=f"null, as its configuration has none of {', '.join(names)}",
            fix=f"set model.network.{key}=null",
        )
    for name in own:
        setattr(config, name, rate)
