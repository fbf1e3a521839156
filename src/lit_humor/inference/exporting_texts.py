"""Exports the writing half of a run for transformers, and checks that the exported model reads and writes the same.

Legend: B rows, U tokens of the longest answer, V vocabulary.
"""

from __future__ import annotations

import json
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
from lit_humor.data.answers import Answers
from lit_humor.data.examples import Examples
from lit_humor.data.preparing.pairs import PairPreparation, filled, marks_of_texts
from lit_humor.exporters.language_model import ExportedWriter, save_writer
from lit_humor.inference.scoring import Scorer, load_scorer
from lit_humor.models.gritlm import GritLM
from lit_humor.runs import record
from lit_humor.tasks.generation import Generation

_LARGEST_DIFFERENCE = 1e-4  # of logits, and of the largest one if that is above 1
_ROWS = 4  # a large vocabulary makes many logits
_WRITTEN = 8  # prompts that texts are written to, which takes longer than reading
_CARD = """# {name}: writes texts

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer, model = AutoTokenizer.from_pretrained("<this folder>"), AutoModelForCausalLM.from_pretrained("<this folder>")
inputs = tokenizer([{prompt}], return_tensors="pt", padding=True, truncation=True)
{positions}ids = model.generate(**inputs)[:, inputs["input_ids"].shape[1] :]
print(tokenizer.batch_decode(ids, skip_special_tokens=True))
```

`...` is the text that is answered; what stands round it is the form that was trained. Trained by `{command}`.
On validation ({rows} rows, which chose the checkpoint): {scores}. Logits of the exported model and of the checkpoint
differ by at most {largest_difference:.1e} on the answers of these rows; to {texts} of them both wrote the same texts.

This is the half that writes: attention goes in one direction. If the model embeds as well, its vectors need attention
in both and are exported by `to=sentence_transformers`. What it writes is what often followed in its training texts.
"""
_POSITIONS = """# generate() counts from 0, this model from {first}; so pipeline("text-generation") gives other texts
inputs["position_ids"] = (inputs["attention_mask"].cumsum(-1) - 1 + {first}).clamp(min={first})
"""


def write_writer(saved: SavedRun) -> Callable[[Path], dict[str, Any]]:
    """Return a function that writes the export into a folder and returns what was checked.

    The function raises a UserError if the logits or texts differ.
    """

    def write(folder: Path) -> dict[str, Any]:
        columns = pq.read_table(record.predictions_path(saved.folder, VAL)).to_pydict()
        scorer = replace(load_scorer(saved), dtype=torch.float32, device=torch.device("cpu"))
        network, preparation = scorer.learner.model.cpu(), scorer.preparation
        assert isinstance(network, GritLM)
        assert isinstance(preparation, PairPreparation)
        task = next(task for task in scorer.tasks.values() if isinstance(task, Generation))
        limits = {"max_tokens": task.max_tokens, "num_beams": task.num_beams}
        end = marks_of_texts(scorer.tokenizer)[1]
        save_writer(network, scorer.tokenizer, folder, max_length=scorer.max_length, end=end, **limits)
        exported = ExportedWriter(folder)
        checked = _compare(scorer, network, exported, columns["text"], columns["answer"])
        template, instruction = preparation.writing_template, preparation.instruction
        texts = columns["text"][:_WRITTEN]
        own = scorer.outputs(texts)["generated_ids"].astype(np.int64)
        written = exported.write([filled(template, text, instruction) for text in texts])
        same = sum(a == b for a, b in zip(task.texts_of(torch.from_numpy(own)), written, strict=True))
        if checked["largest_difference"] > _LARGEST_DIFFERENCE * checked.pop("bound") or same < len(texts):
            raise UserError(
                "to",
                found=f"logits that differ by {checked['largest_difference']:.1e}, and {len(texts) - same} other texts",
                expected="those of the checkpoint",
                fix="report this with the run's config.yaml; nothing was kept",
            )
        checked["texts"] = len(texts)
        first = exported.first_position
        result = record.read_json(saved.folder / record.RESULT)["results"][VAL]
        named = {
            "name": saved.folder.name,
            "prompt": json.dumps(filled(template, "...", instruction), ensure_ascii=False),
            "positions": _POSITIONS.format(first=first) if first else "",
            "command": record.command_line(record.read_json(saved.folder / record.ENVIRONMENT)),
            "scores": ", ".join(f"{name} {result[name]:.3f}" for name in Generation.compared if result.get(name)),
        }
        record.write_text(folder / "README.md", _CARD.format(**named, **checked))
        return checked

    return write


def _compare(
    scorer: Scorer, network: GritLM, exported: ExportedWriter, texts: list[str], answers: list[str]
) -> dict[str, Any]:
    """Return the largest difference of the logits of all answers, and the bound it is measured by."""
    there = Answers(texts=answers, negatives=[[] for _ in texts], instructions=[""] * len(texts))
    prepared = scorer.preparation.prepare(replace(Examples.unlabelled(texts), answers=there), None)
    largest, bound = 0.0, 1.0
    for start in range(0, len(texts), _ROWS):
        batch = prepared.collate(np.arange(start, min(start + _ROWS, len(texts))))
        written = {name: value for name, value in batch.items() if name.startswith(("prompt", "answer"))}
        with torch.inference_mode():
            expected = network(written)["answer_logits"]
        prompts, ends = (
            [ids[mask.bool()] for ids, mask in zip(batch[f"{use}_ids"], batch[f"{use}_mask"], strict=True)]
            for use in ("prompt", "answer")
        )
        logits = exported.logits([torch.cat(pair) for pair in zip(prompts, ends, strict=True)])
        for row, (prompt, answer) in enumerate(zip(prompts, ends, strict=True)):
            own = expected[row, : len(answer)]
            found = logits[row, len(prompt) - 1 : len(prompt) + len(answer) - 1]
            largest, bound = max(largest, float((own - found).abs().max())), max(bound, float(own.abs().max()))
    return {"rows": len(texts), "largest_difference": largest, "bound": bound}
