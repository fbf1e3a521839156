"""Settings of a network of two encoders: what each reads, where it comes from, and the sizes of the other parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

from transformers import AutoConfig, PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from lit_humor.core.bounds import bounded, out_of_bounds
from lit_humor.core.errors import UserError, UserErrors, shorten
from lit_humor.models.pretrained import load_config

TEXT, PICTURE = "text", "picture"
Gate = Literal["learned", "half", "first", "second"]

_KEY = "model.network.encoders"
_SAVED = "encoder_configs"  # in the configuration of the network
_FIX = f"leave {_KEY} out, which takes those of the model's file"
_HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """One of the encoders.

    Attributes:
        reads: ``text`` or ``picture``.
        pretrained: Name on the hub or folder of its weights; None: for a text those of the model, ``model.pretrained``.
        config: Configuration of an encoder with random weights: its ``model_type``, as transformers calls it, and
            sizes; None: it is pretrained.
        frozen: Whether it keeps its weights.
        mean: Of red, green and blue in the pictures that it was trained on, each from 0 to 1.
        std: Their standard deviations.
    """

    reads: str
    pretrained: str | None = None
    config: Mapping[str, Any] | None = None
    frozen: bool = False
    mean: Sequence[float] = _HALF
    std: Sequence[float] = _HALF


@dataclass(frozen=True, kw_only=True)
class FusedSizes:
    """Sizes of what reads the encoders and of the decoder.

    Attributes:
        queries: Learned queries of each Q-Former; 0: no Q-Former.
        hidden_size: Size of queries, memory and decoder.
        num_heads: Heads of their attentions, a divisor of ``hidden_size``.
        qformer_feed_forward: Inner size of a Q-Former's feed-forward block.
        decoder_layers: Layers of the decoder; 0: nothing is written.
        decoder_feed_forward: Inner size of a decoder layer's feed-forward block.
        decoder_positions: Most tokens of an answer.
    """

    queries: int = bounded(256, least=0, usual=256)
    hidden_size: int = bounded(512, least=1, usual=512)
    num_heads: int = bounded(8, least=1, usual=8)
    qformer_feed_forward: int = bounded(1024, least=1, usual=1024)
    decoder_layers: int = bounded(3, least=0, usual=3)
    decoder_feed_forward: int = bounded(2048, least=1, usual=2048)
    decoder_positions: int = bounded(512, least=1, usual=512)

    def check(self) -> None:
        """Check the bounds of all sizes.

        Raises:
            UserError: A size is out of its bounds, or the heads do not divide ``hidden_size``.
        """
        problems = list(out_of_bounds(FusedSizes, vars(self), "model.network."))
        if problems:
            raise problems[0] if len(problems) == 1 else UserErrors(problems)
        if self.hidden_size % self.num_heads:
            raise UserError(
                "model.network.num_heads",
                found=str(self.num_heads),
                expected=f"a divisor of model.network.hidden_size={self.hidden_size}",
                fix="set model.network.num_heads=1",
            )


class Refused(NamedTuple):
    """What is wrong with an encoder: key behind its index, what was found, what was expected."""

    key: str
    found: str
    expected: str


def read_encoders(nodes: Iterable[Any]) -> list[EncoderSettings]:
    """Read the nodes of both encoders.

    Args:
        nodes: Mappings with the attributes of ``EncoderSettings``.

    Raises:
        UserError: There are not two, or a key or value of one is wrong.
    """
    given = list(nodes)
    problems = [Refused("", f"{len(given)}", "two encoders")] if len(given) != 2 else []
    for index, node in enumerate(given):
        problems += [Refused(f"[{index}]{one.key}", one.found, one.expected) for one in _problems(node)]
    if problems:
        key, found, expected = problems[0]
        raise UserError(_KEY, found=f"{key} {found}".strip(), expected=expected, fix=_FIX)
    return [node if isinstance(node, EncoderSettings) else EncoderSettings(**_plain(node)) for node in given]


def encoder_config(
    settings: EncoderSettings, index: int, model: PretrainedConfig, pretrained: str, with_weights: bool
) -> PretrainedConfig:
    """Return the configuration of an encoder: of a finished run that which it saved, whatever is in reach now.

    Args:
        settings: Those of the encoder.
        index: Its place among the encoders.
        model: Configuration of the model, whose tokens texts have.
        pretrained: Name or folder of the model.
        with_weights: Whether weights are loaded, too.

    Raises:
        UserError: A configuration cannot be loaded or has no sizes, or the encoder reads other tokens than the model.
    """
    saved = getattr(model, _SAVED, None)
    if saved and not with_weights:
        return _from_values(saved[index])
    if settings.config is None:
        config = load_config(settings.pretrained or pretrained)
    else:
        words = {"vocab_size": model.vocab_size} if settings.reads == TEXT else {}
        config = _from_values(words | dict(settings.config))
    found = expected = ""
    if settings.reads == TEXT and config.vocab_size != model.vocab_size:
        found = f"an encoder of {config.vocab_size} tokens"
        expected = f"one of the {model.vocab_size} tokens of model.pretrained, by whose tokenizer it reads"
    elif settings.reads == PICTURE and not all(getattr(config, name, None) for name in ("hidden_size", "image_size")):
        found = f"{config.model_type}, whose configuration has no hidden_size and image_size"
        expected = "a vision transformer, such as vit, deit, beit or swin"
    if found:
        raise UserError(_KEY, found=f"[{index}] {found}", expected=expected, fix=_FIX)
    return config


def with_encoders(model: PretrainedConfig, configs: Sequence[PretrainedConfig | None]) -> PretrainedConfig:
    """Put the configurations of the encoders into that of the model, for the run folder; None where one is not used."""
    setattr(model, _SAVED, [config and config.to_dict() for config in configs])
    return model


def _from_values(values: Mapping[str, Any]) -> PretrainedConfig:
    """Return a configuration from its values, ``model_type`` among them."""
    rest = {key: value for key, value in values.items() if key != "model_type"}
    return AutoConfig.for_model(values["model_type"], **rest)


def _plain(value: Any) -> Any:
    """Return a node with plain dictionaries and lists at any depth, whatever a configuration made of them."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, Sequence) and not isinstance(value, str) else value


def _problems(node: Any) -> Iterator[Refused]:
    """What is wrong with the node of an encoder."""
    if isinstance(node, EncoderSettings):
        return
    if not isinstance(node, Mapping):
        yield Refused("", shorten(node), "its settings, such as {reads: text}")
        return
    known = [field.name for field in fields(EncoderSettings)]
    yield from (Refused(f".{key}", "an unknown key", f"one of {', '.join(known)}") for key in node if key not in known)
    reads, config, pretrained = node.get("reads"), node.get("config"), node.get("pretrained")
    if reads not in (TEXT, PICTURE):
        yield Refused(".reads", shorten(reads), f"{TEXT} or {PICTURE}")
    if reads == PICTURE and config is None and pretrained is None:
        yield Refused("", "an encoder of pictures that comes from nowhere", "its pretrained, or its config")
    if config is not None and pretrained is not None:
        yield Refused("", "both pretrained and config", "one of them")
    if not isinstance(pretrained, str | None):
        yield Refused(".pretrained", shorten(pretrained), "a name or folder, or null")
    if not isinstance(node.get("frozen", False), bool):
        yield Refused(".frozen", shorten(node["frozen"]), "true or false")
    for key in ("mean", "std"):
        if not _is_color(node.get(key, _HALF), least=0.0 if key == "mean" else 1e-6):
            yield Refused(f".{key}", shorten(node[key]), "three numbers from 0 to 1, of red, green and blue")
    if config is not None:
        yield from _problems_of_config(config)


def _problems_of_config(config: Any) -> Iterator[Refused]:
    """What is wrong with the configuration of an encoder: transformers takes any key, and any value."""
    kind = config.get("model_type") if isinstance(config, Mapping) else None
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        yield Refused(".config.model_type", shorten(kind), "an architecture of transformers, such as vit or bert")
        return
    usual = CONFIG_MAPPING[kind]()
    known = {*usual.to_dict(), *usual.attribute_map}
    yield from (
        Refused(f".config.{key}", "an unknown key", f"a setting of {kind}") for key in config if key not in known
    )


def _is_color(value: Any, least: float) -> bool:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and len(value) == 3 and all(isinstance(one, int | float) and least <= one <= 1 for one in value)
