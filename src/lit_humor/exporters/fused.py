"""Exports a model of two encoders to a folder that this project loads without its run.

Legend: N rows, B of a batch, S height and width of a picture in pixels, K numbers of a row, U tokens of an answer.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lit_humor.exporters.onnx import ACTIVATIONS
from lit_humor.models.fused import Fused
from lit_humor.models.pretrained import load_tokenizer
from lit_humor.runs import record

_WEIGHTS, _SETTINGS = "model.safetensors", "settings.json"
_BATCH_ROWS = 32


def save_fused(network: Fused, backbone: Path, folder: Path, settings: Mapping[str, Any]) -> None:
    """Write weights, configuration of the encoders, tokenizer and settings.

    Args:
        network: The trained network.
        backbone: Folder with its configuration and tokenizer.
        folder: A folder that is made.
        settings: ``network``, the settings of ``Fused``; ``arguments``, what tasks add to them; ``max_length``, most
            tokens of a text; ``with_token_types``; ``picture_size``, S, or None. Of numbers their ``names``,
            ``activation`` and ``temperature``; of answers ``max_tokens``, ``num_beams`` and the id of their ``end``.
    """
    shutil.copytree(backbone, folder)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, folder / _WEIGHTS)
    record.write_json(folder / _SETTINGS, dict(settings))


class FusedModel:
    """Judges rows, and writes their answers, with a folder of ``save_fused``.

    Args:
        folder: The folder.

    Attributes:
        settings: As given to ``save_fused``.
    """

    def __init__(self, folder: str | Path) -> None:
        self.settings = record.read_json(Path(folder) / _SETTINGS)
        settings = self.settings["network"]
        self.network = Fused(str(folder), **self.settings["arguments"], **settings, with_weights=False)
        self.network.load_state_dict(load_file(Path(folder) / _WEIGHTS), assign=True)
        self.network.eval()
        self.tokenizer = load_tokenizer(str(folder))

    @property
    def names(self) -> list[str]:
        """[K] the names of the numbers, such as those of classes."""
        return self.settings["names"]

    @torch.inference_mode()
    def outputs(
        self, texts: Sequence[str], pictures: np.ndarray | None = None, text_pairs: Sequence[str] | None = None
    ) -> dict[str, Tensor]:
        """Return the outputs of the network, without those of answers; see ``Fused.forward``.

        Args:
            texts: [N] texts.
            pictures: [N, S, S, 3] uint8, if it reads pictures.
            text_pairs: [N] second texts, if it was trained on such.
        """
        parts = [self.network(batch) for batch in self._batches(texts, pictures, text_pairs)]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def numbers(
        self, texts: Sequence[str], pictures: np.ndarray | None = None, text_pairs: Sequence[str] | None = None
    ) -> np.ndarray:
        """Return [N, K], the numbers of the rows, one for each of ``names``; arguments as in ``outputs``."""
        logits = self.outputs(texts, pictures, text_pairs)["logits"] / self.settings["temperature"]
        return ACTIVATIONS[self.settings["activation"]](logits).numpy()

    def write(
        self, texts: Sequence[str], pictures: np.ndarray | None = None, text_pairs: Sequence[str] | None = None
    ) -> list[str]:
        """Return [N], the answers that are written; arguments as in ``outputs``."""
        limits = {name: self.settings[name] for name in ("max_tokens", "end", "num_beams")}
        written = [self.network.write(batch, **limits) for batch in self._batches(texts, pictures, text_pairs)]
        decoded: list[str] = self.tokenizer.batch_decode(torch.cat(written), skip_special_tokens=True)
        return [text.strip() for text in decoded]

    def _batches(
        self, texts: Sequence[str], pictures: np.ndarray | None, text_pairs: Sequence[str] | None
    ) -> Iterator[dict[str, Tensor]]:
        for start in range(0, len(texts), _BATCH_ROWS):
            rows = slice(start, start + _BATCH_ROWS)
            encoded = self.tokenizer(
                list(texts[rows]),
                None if text_pairs is None else list(text_pairs[rows]),
                truncation=True,
                max_length=self.settings["max_length"],
                padding=True,
                return_token_type_ids=self.settings["with_token_types"],
                return_tensors="pt",
            )
            batch = dict(encoded)
            if pictures is not None:
                batch["pictures"] = torch.from_numpy(np.ascontiguousarray(pictures[rows]))
            yield batch
