"""A tiny tokenizer with a chat template, as Qwen's vision-language models have one, and what reads with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from lit_humor.data.preparing.chat import ChatPreparation
from lit_humor.data.settings import DataSettings
from tests.unit.test_questions import settings

PAD, START, END, PICTURE = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|image_pad|>"
SPECIAL = [PAD, START, END, "<|vision_start|>", PICTURE, "<|vision_end|>"]
WORDS = ["Who is in this picture?", "Is the caption funny, and why?", "an elephant", "Yes, at sea, not in the desert."]
TEMPLATE = """{%- for message in messages -%}
<|im_start|>{{ message.role }}
{% for part in message.content -%}
{%- if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif -%}
{%- endfor %}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif -%}"""


def make_tokenizer(template: str | None = TEMPLATE, eos: str = END) -> PreTrainedTokenizerFast:
    """One of bytes, with a few longer pieces."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        WORDS, BpeTrainer(vocab_size=300, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=eos,
        pad_token=PAD,
        additional_special_tokens=[one for one in SPECIAL if one not in (PAD, eos)],
    )
    made.chat_template = template
    return made


@dataclass
class _Vision:
    patch_size: int = 4
    spatial_merge_size: int = 2


@dataclass
class _Config:
    image_token_id: int
    vision_config: _Vision


class Chatting:
    """What a preparation needs of a pretrained model."""

    def __init__(self, tokenizer: Any = None, longest_input: int = 4096) -> None:
        self.tokenizer = tokenizer or make_tokenizer()
        self.longest_input = longest_input
        picture: Any = self.tokenizer.convert_tokens_to_ids(PICTURE)
        self.config = _Config(picture, _Vision())


def preparation(folder: Path, pretrained: Any = None, **named: Any) -> ChatPreparation:
    """One of pictures of 64 to 1,024 pixels; settings of data may be among the names."""
    of_data = {name: named.pop(name) for name in list(named) if name in DataSettings.__dataclass_fields__}
    options = {"answer_tokens": 48, "min_pixels": 64, "max_pixels": 1024} | named
    return ChatPreparation(pretrained or Chatting(), settings(folder, **({"max_length": 256} | of_data)), **options)
