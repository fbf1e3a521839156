"""Parts of the configuration that several commands share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

IS_TEXT = "is_text"  # metadata of a field that OmegaConf must see as Any, although users type a text


@dataclass
class PathsConfig:
    """Folders of the checkout and of the run."""

    root_dir: str = MISSING
    logs_dir: str = MISSING
    cache_dir: str = MISSING
    run_dir: str = MISSING


@dataclass
class ModelConfig:
    """A network, what it reads, where its weights come from, and the factor of its learning rate."""

    network: dict[str, Any] = MISSING
    preparation: Any = None  # texts, as in runs of older code
    pretrained: Any = field(default=MISSING, metadata={IS_TEXT: True})  # a name, a folder, or a node that returns one
    lr_scale: Any = MISSING  # a number, or "auto"
