"""Exports a run that embeds, for sentence-transformers, and checks that the exported model gives the same vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from lit_humor.config.saved import SavedRun
from lit_humor.core.batch import VAL
from lit_humor.core.errors import UserError
from lit_humor.engine.factory import build_tasks
from lit_humor.exporters.sentence_transformer import embedded_by_folder, save_embedder
from lit_humor.inference.scoring import load_scorer
from lit_humor.inference.searching import embed_answers
from lit_humor.runs import record
from lit_humor.tasks.embedding import Embedding

_LARGEST_DIFFERENCE = 1e-4
_CARD = """# {name}: vectors of texts

```python
from sentence_transformers import SentenceTransformer

vectors = SentenceTransformer("<this folder>").encode(["a text"])  # of length 1; near texts have a high product
```

Or by transformers alone: `AutoModel`, the mean of the tokens' vectors, divided by its length. Trained by `{command}`.
On validation ({rows} rows, which chose the checkpoint): {scores}. Vectors of the exported model and of the checkpoint
differ by at most {difference:.1e} on these rows.

A text near to another is about the same things, in the same words or form; it need not be funny for that.
"""


def check_embeds(saved: SavedRun) -> None:
    """Check that a run embeds.

    Raises:
        UserError: It does not.
    """
    kinds = [task.kind for task in build_tasks(saved.config, saved.class_names).values()]
    if Embedding.kind not in kinds:
        expected = f"a run of {Embedding.kind}"
        raise UserError("to", found=f"a run of {' and '.join(kinds)}", expected=expected, fix="set to=huggingface")


def write_embedder(saved: SavedRun) -> Callable[[Path], dict[str, Any]]:
    """Return a function that writes the export into a folder and returns what was checked.

    The function raises a UserError if the vectors differ.
    """

    def write(folder: Path) -> dict[str, Any]:
        texts = pq.read_table(record.predictions_path(saved.folder, VAL))["answer"].to_pylist()
        scorer = replace(load_scorer(saved), dtype=torch.float32)
        expected = embed_answers(scorer, texts)
        save_embedder(scorer.learner.model.cpu(), scorer.tokenizer, folder, scorer.max_length)  # type: ignore[arg-type]
        difference = float(np.abs(embedded_by_folder(folder, texts) - expected).max())
        if difference > _LARGEST_DIFFERENCE:
            raise UserError(
                "to",
                found=f"vectors that differ from those of the checkpoint by {difference:.1e}",
                expected=f"at most {_LARGEST_DIFFERENCE:g}",
                fix="report this with the run's config.yaml; nothing was kept",
            )
        result = record.read_json(saved.folder / record.RESULT)["results"][VAL]
        scores = ", ".join(f"{name} {result[name]:.3f}" for name in Embedding.compared)
        command = record.command_line(record.read_json(saved.folder / record.ENVIRONMENT))
        named = {"name": saved.folder.name, "command": command, "rows": len(texts)}
        card = _CARD.format(**named, scores=scores, difference=difference)
        record.write_text(folder / "README.md", card)
        return {"rows": len(texts), "largest_difference": difference}

    return write
