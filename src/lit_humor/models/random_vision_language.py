"""Vision-language models with random weights: what all have, and some of published sizes, for speed alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from lit_humor.models.random_models import (
    CHAT_TOKENS,
    PAD,
    PICTURE,
    PICTURE_END,
    PICTURE_START,
    TURN_END,
    VIDEO,
    chat_tokenizer,
    random_model,
)

_TOKENS = {
    "image_token_id": PICTURE,
    "video_token_id": VIDEO,
    "vision_start_token_id": PICTURE_START,
    "vision_end_token_id": PICTURE_END,
}


def build_qwen3_vl(text: Mapping[str, Any], vision: Mapping[str, Any], *, tied: bool) -> PreTrainedModel:
    """Build a Qwen3-VL with random weights and the special tokens of ``chat_tokenizer``.

    Args:
        text: Configuration of the language model, as transformers names it.
        vision: Configuration of the vision tower.
        tied: Whether the head has the weights of the word embeddings.
    """
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration  # a broken torchvision fails here

    tokens: dict[str, Any] = {name: CHAT_TOKENS.index(token) for name, token in _TOKENS.items()}
    ends = {"pad_token_id": CHAT_TOKENS.index(PAD), "eos_token_id": CHAT_TOKENS.index(TURN_END)}
    return Qwen3VLForConditionalGeneration(
        Qwen3VLConfig(text_config={**text, **ends}, vision_config=dict(vision), tie_word_embeddings=tied, **tokens)
    )


def sized_qwen3_vl(
    cache_dir: str, *, num_pieces: int, tied: bool, text: Mapping[str, Any], vision: Mapping[str, Any]
) -> str:
    """Make a Qwen3-VL of any size with random weights in bf16, and a tokenizer that knows fewer words than it has.

    Args:
        cache_dir: Parent of the folder; an existing folder is used again.
        num_pieces: Most pieces of the tokenizer.
        tied: Whether the head has the weights of the word embeddings.
        text: Configuration of the language model, as transformers names it.
        vision: Configuration of the vision tower.

    Returns:
        A folder with config.json, model.safetensors and tokenizer.json; two bytes a parameter.
    """
    sizes = {"num_pieces": num_pieces, "tied": tied, "text": _plain(text), "vision": _plain(vision)}
    digest = hashlib.sha256(json.dumps(sizes, sort_keys=True).encode()).hexdigest()[:12]

    def build(num_tokens: int) -> PreTrainedModel:
        return build_qwen3_vl(sizes["text"], sizes["vision"], tied=tied).bfloat16()

    place = Path(cache_dir) / f"random-qwen3-vl-bf16-{digest}"
    return random_model(place, lambda: chat_tokenizer(num_pieces), build)


def _plain(value: Any) -> Any:
    """Return what a configuration holds, as dicts and lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return value
