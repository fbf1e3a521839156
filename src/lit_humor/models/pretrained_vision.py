"""Vision-language models by name or folder: their sizes, and hashes of their files."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import snapshot_download
from torch import Tensor
from transformers import PretrainedConfig

from lit_humor.core.errors import UserError
from lit_humor.models.pretrained import Pretrained, load_config

KIND = "qwen3_vl"
BASE_FILE = "base.json"  # in backbone/ of a run folder: where the weights came from, with the hashes of their files
_WEIGHTS = ("*.safetensors", "*.bin")
_SIZES = ("hidden_size", "intermediate_size", "num_attention_heads", "max_position_embeddings")
_FIX = "leave model.pretrained away and set model=qwen3_vl_tiny"


class PretrainedVisionLanguage(Pretrained):
    """A vision-language model: a name on the hub, a folder, or ``backbone/`` of a run folder."""

    @cached_property
    def config(self) -> PretrainedConfig:
        """The configuration, with the sizes of the language model, which plans and rates follow."""
        config = load_vision_config(self.name)
        for name in _SIZES:
            setattr(config, name, getattr(config.text_config, name))
        return config

    def checkpoint_bytes(self) -> int:
        """Return the least bytes of a training checkpoint: that of an adapter is small."""
        return 0

    def save(self, folder: Path, config: PretrainedConfig | None, class_names: Sequence[str]) -> None:
        """Write configuration, tokenizer, and the name of the weights with the hashes of their files."""
        super().save(folder, config, class_names)
        told = {"name": self.name, "sha256": sums_of(self.name)}
        (folder / BASE_FILE).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def load_vision_config(pretrained: str) -> Any:
    """Read the configuration of a vision-language model.

    Raises:
        UserError: It cannot be found, or is that of a model of another kind.
    """
    config = load_config(pretrained)
    if config.model_type != KIND:
        raise UserError(
            f"model.pretrained={pretrained}",
            found=f"a model of the kind {config.model_type}",
            expected=f"a vision-language model of the kind {KIND}",
            fix=_FIX,
        )
    return config


def sums_of(pretrained: str) -> dict[str, str]:
    """Return the SHA-256 of each file of weights by its name; of 17 GB it takes some ten seconds, once a process.

    Args:
        pretrained: Folder, or name on the hub whose files are in the cache.
    """
    folder = Path(pretrained)
    if not folder.is_dir():
        folder = Path(snapshot_download(pretrained, allow_patterns=list(_WEIGHTS), local_files_only=True))
    paths = sorted(path for pattern in _WEIGHTS for path in folder.glob(pattern))
    return {path.name: _sum_of(path, path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def combined_sum(pretrained: str) -> Tensor:
    """Return one SHA-256 over those of all files of weights, [32] uint8; see ``sums_of``."""
    lines = "".join(f"{digest}\n" for digest in sums_of(pretrained).values())
    return torch.from_numpy(np.frombuffer(hashlib.sha256(lines.encode()).digest(), np.uint8).copy())


@functools.lru_cache(maxsize=64)
def _sum_of(path: Path, size: int, time: int) -> str:
    """Return the SHA-256 of a file; one that was written again is read again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
