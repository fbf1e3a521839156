"""Vectors of texts, by a run that embeds or by an embedded model as it is. Legend: N texts, D size of a vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from lit_humor.config.saved import open_run
from lit_humor.core.errors import UserError
from lit_humor.core.place import ROOT_DIR
from lit_humor.data.examples import Examples
from lit_humor.engine.factory import build_tasks
from lit_humor.exporters.sentence_transformer import embedded_by_folder
from lit_humor.inference.scoring import Scorer, load_scorer
from lit_humor.models.embedded import packaged_e5_small, packaged_minilm
from lit_humor.runs.watch import find_run
from lit_humor.tasks.embedding import Embedding

# Name: full name, folder of the model, and what its makers put before a text.
_EMBEDDED: Mapping[str, tuple[str, Callable[[str], str], str]] = {
    "minilm": ("all-MiniLM-L6-v2", lambda cache_dir: packaged_minilm(), ""),
    "e5_small": ("multilingual-e5-small", packaged_e5_small, "query: "),
}


@dataclass(frozen=True)
class TextVectors:
    """A model that embeds texts.

    Attributes:
        name: The model, for a page.
        of: Function from N texts, none of them blank, to their vectors [N, D] float32 of length 1.
    """

    name: str
    of: Callable[[Sequence[str]], np.ndarray]


def open_vectors(source: str, cache_dir: str) -> TextVectors:
    """Open a run that embeds, or an embedded model (the mean of its tokens); weights are loaded when they are used.

    Computed in fp32, on a GPU if there is one and ``source`` is a run.

    Args:
        source: Folder or name of a run, or ``minilm`` or ``e5_small``.
        cache_dir: Where an embedded model is unpacked.

    Raises:
        UserError: There is no such run or model, or the run does not embed.
    """
    if source in _EMBEDDED:
        name, folder_in, prefix = _EMBEDDED[source]
        return TextVectors(
            name,
            lambda texts: _longest_first(
                texts, prefix, lambda one: embedded_by_folder(Path(folder_in(cache_dir)), one)
            ),
        )
    found = "no such folder or model"
    if (folder := find_run(source, ROOT_DIR / "logs")) is not None:
        saved = open_run(str(folder))
        kinds = [task.kind for task in build_tasks(saved.config, saved.class_names).values()]
        if Embedding.kind in kinds:
            return TextVectors(
                f"the run {folder.name}", lambda texts: _by_run(replace(load_scorer(saved), dtype=torch.float32), texts)
            )
        found = f"a run of {' and '.join(kinds)}"
    elif Path(source).exists():
        found = "a folder without config.yaml"
    expected = f"a run of {Embedding.kind}, or one of {', '.join(_EMBEDDED)}"
    raise UserError(f"vectors={source}", found=found, expected=expected, fix="set vectors=minilm")


def _by_run(scorer: Scorer, texts: Sequence[str]) -> np.ndarray:
    """Return the vectors [N, D] of texts as queries, with the run's own instruction."""
    outputs = scorer.outputs_of(Examples.unlabelled(texts), answered=False)
    vectors: np.ndarray = outputs["query_embeddings"].astype(np.float32)
    return vectors


def _longest_first(texts: Sequence[str], prefix: str, embed: Callable[[list[str]], np.ndarray]) -> np.ndarray:
    """Embed texts sorted by length, so that a batch has little padding; return [N, D] in the order of the texts."""
    order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
    return embed([prefix + texts[row] for row in order])[np.argsort(order)]
