"""Exports the writing half of a model to a folder that transformers loads as a causal language model.

Legend: B rows, T tokens of the longest row, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from lit_humor.models.gritlm import GritLM
from lit_humor.models.pretrained import first_position


def save_writer(
    network: GritLM,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    *,
    max_length: int,
    max_tokens: int,
    end: int,
    num_beams: int = 1,
) -> None:
    """Write the model with its head and with causal attention, its tokenizer, and how a text is written.

    An encoder is written as a decoder of transformers (``is_decoder``), which reads causally, as it was trained to.

    Args:
        network: The trained network.
        tokenizer: Its tokenizer; the folder's pads on the left, so that an answer follows its prompt.
        folder: A folder that is made.
        max_length: Most tokens of a prompt.
        max_tokens: Most tokens of an answer.
        end: Id of the token that ends an answer.
        num_beams: Beginnings that are kept while writing.
    """
    config = type(network.config).from_dict(network.config.to_dict())  # drops our attention backend
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(network.lm.state_dict())
    model.generation_config = GenerationConfig(
        max_new_tokens=max_tokens, num_beams=num_beams, do_sample=False, eos_token_id=end, pad_token_id=end
    )
    model.save_pretrained(folder)
    saved = deepcopy(tokenizer)
    settings = {"padding_side": "left", "model_input_names": ["input_ids", "attention_mask"]}
    saved.init_kwargs |= settings  # of these names it saves its attributes
    vars(saved).update(settings, model_max_length=max_length)
    saved.save_pretrained(folder)


class ExportedWriter:
    """An exported folder, read by transformers alone.

    Args:
        folder: As ``save_writer`` wrote it.
    """

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    @property
    def first_position(self) -> int:
        """Position of the first token: RoBERTa's is 2, where ``generate`` counts from 0."""
        return first_position(self.model.config)

    @torch.inference_mode()
    def logits(self, rows: Sequence[Tensor]) -> Tensor:
        """Return the logits [B, T, V] behind each token of rows of token ids, padded on the right."""
        ids = nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=self.tokenizer.pad_token_id)
        lengths = torch.tensor([[len(row)] for row in rows])
        logits: Tensor = self.model(input_ids=ids, attention_mask=(torch.arange(ids.shape[1]) < lengths).long()).logits
        return logits

    @torch.inference_mode()
    def write(self, prompts: Sequence[str]) -> list[str]:
        """Return the text that is written to each prompt, as the folder's README does it."""
        inputs = self.tokenizer(list(prompts), padding=True, truncation=True, return_tensors="pt")
        if self.first_position:
            positions = inputs["attention_mask"].cumsum(-1) - 1 + self.first_position
            inputs["position_ids"] = positions.clamp(min=self.first_position)
        ids = self.model.generate(**inputs)[:, inputs["input_ids"].shape[1] :]
        texts: list[str] = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [text.strip() for text in texts]
