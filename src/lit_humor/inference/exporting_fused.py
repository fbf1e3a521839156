"""Exports a run of two encoders with all its parts, and checks that the exported model judges and writes the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from omegaconf import OmegaConf

from lit_humor.config.saved import SavedRun
from lit_humor.config.validate import find_target
from lit_humor.core.batch import VAL
from lit_humor.core.errors import UserError
from lit_humor.data.examples import Examples
from lit_humor.data.preparing.pairs import marks_of_texts
from lit_humor.exporters.fused import FusedModel, save_fused
from lit_humor.inference.pictures import reads_pictures, validation_pictures
from lit_humor.inference.scoring import Scorer, load_scorer
from lit_humor.models.fused import Fused
from lit_humor.runs import record
from lit_humor.tasks.generation import Generation
from lit_humor.tasks.task import join_results

_LARGEST_DIFFERENCE = 1e-5  # of logits, or of the vectors before them, and of the largest one if that is above 1
_ROWS = 32
_WRITTEN = 8  # rows whose answers are written, which takes longer than reading
_CARD = """# {name}: {what}

```python
{lines}
```

This project has to be installed: no other program knows this architecture. `model.safetensors` has the weights,
`config.json` the configurations of both encoders, `settings.json` the sizes of the other parts.
Trained by `{command}`.
On validation ({rows} rows, which chose the checkpoint): {scores}. {checked} of the exported model and of the checkpoint
differ by at most {largest_difference:.1e} on these rows{written}.

Humor is a judgement of those who labelled the data; on other rows expect less.
"""
_LOAD = """from lit_humor.exporters.fused import FusedModel

model, texts = FusedModel("<this folder>"), ["Another quiet day at sea."]"""
_LOAD_WITH_PICTURES = """from pathlib import Path

import numpy as np

from lit_humor.data.pictures.files import read_picture
from lit_humor.exporters.fused import FusedModel

model, texts = FusedModel("<this folder>"), ["Another quiet day at sea."]
pictures = np.stack([read_picture(Path("cat.png"), {size}, "cat.png")])  # whole, on white"""


def is_fused(saved: SavedRun) -> bool:
    """Return whether the network of a run fuses two encoders."""
    return issubclass(find_target("model.network", saved.config.model.network["_target_"]), Fused)


def write_fused(saved: SavedRun) -> Callable[[Path], dict[str, Any]]:
    """Return a function that writes the export into a folder and returns what was checked.

    The function raises a UserError if logits or written answers differ.
    """

    def write(folder: Path) -> dict[str, Any]:
        columns = pq.read_table(record.predictions_path(saved.folder, VAL)).to_pydict()
        rows = Examples.unlabelled(columns["text"], columns.get("text_pair"))
        rows = replace(rows, pictures=validation_pictures(saved, rows.texts))
        scorer = replace(load_scorer(saved), dtype=torch.float32, device=torch.device("cpu"))
        network = scorer.learner.model.cpu()
        assert isinstance(network, Fused)
        save_fused(network, Path(saved.backbone), folder, _settings(saved, scorer))
        exported = FusedModel(folder)
        checked, bound = _compare(scorer, network, exported, rows)
        other = 0
        if "max_tokens" in exported.settings:
            some = _some(rows, np.arange(min(_WRITTEN, len(rows))))
            own, found = _written(scorer, some), exported.write(some.texts, _pictures(some), some.text_pairs)
            other = sum(one != another for one, another in zip(own, found, strict=True))
            checked["answers"] = len(some)
        if checked["largest_difference"] > bound or other:
            raise UserError(
                "to",
                found=f"numbers that differ by {checked['largest_difference']:.1e}, and {other} other answers",
                expected=f"at most {bound:.1e}, and the same answers",
                fix="report this with the run's config.yaml; nothing was kept",
            )
        record.write_text(folder / "README.md", _card(saved, exported, checked))
        return checked

    return write


def _settings(saved: SavedRun, scorer: Scorer) -> dict[str, Any]:
    """Return the settings of the exported folder; see ``save_fused``."""
    node: Any = OmegaConf.to_container(saved.config.model.network, resolve=True)
    node.pop("_target_")
    tasks = scorer.tasks.values()
    arguments = join_results(task.network_arguments for task in tasks)
    settings: dict[str, Any] = {"network": node, "arguments": arguments}
    settings |= {"max_length": scorer.max_length, "with_token_types": scorer.with_token_types}
    settings["picture_size"] = saved.config.data.get("size") if reads_pictures(saved) else None
    if (form := next((task.form for task in tasks if task.form is not None), None)) is not None:
        settings |= {"names": list(form.names), "activation": form.activation}
        settings["temperature"] = scorer.calibration.get("temperature", 1.0)
    if (task := next((one for one in tasks if isinstance(one, Generation)), None)) is not None:
        settings |= {"max_tokens": task.max_tokens, "num_beams": task.num_beams}
        settings["end"] = marks_of_texts(scorer.tokenizer)[1]
    return settings


def _compare(scorer: Scorer, network: Fused, exported: FusedModel, rows: Examples) -> tuple[dict[str, Any], float]:
    """Return the number of rows with the largest difference of their outputs, and the most that this may be."""
    prepared = scorer.preparation.prepare(rows, None)
    largest, size = 0.0, 1.0
    for start in range(0, len(rows), _ROWS):
        places = np.arange(start, min(start + _ROWS, len(rows)))
        some = _some(rows, places)
        with torch.inference_mode():
            expected = network(prepared.collate(places))
        found = exported.outputs(some.texts, _pictures(some), some.text_pairs)
        name = _compared(expected)
        largest = max(largest, float((expected[name] - found[name]).abs().max()))
        size = max(size, float(expected[name].abs().max()))
    return {"rows": len(rows), "largest_difference": largest}, _LARGEST_DIFFERENCE * size


def _compared(outputs: Mapping[str, Any]) -> str:
    return "logits" if "logits" in outputs else "embeddings"


def _some(rows: Examples, places: np.ndarray) -> Examples:
    """Return some of the rows."""
    texts, pairs = ([column[row] for row in places] if column else None for column in (rows.texts, rows.text_pairs))
    pictures = None if rows.pictures is None else rows.pictures.take(places)
    return replace(Examples.unlabelled(texts or [], pairs), pictures=pictures)


def _pictures(rows: Examples) -> np.ndarray | None:
    return None if rows.pictures is None else rows.pictures.of_rows(np.arange(len(rows)))


def _written(scorer: Scorer, rows: Examples) -> list[str]:
    """Return the answers that the checkpoint writes."""
    task = next(one for one in scorer.tasks.values() if isinstance(one, Generation))
    ids = scorer.outputs_of(rows)["generated_ids"].astype(np.int64)
    return task.texts_of(torch.from_numpy(ids))


def _card(saved: SavedRun, exported: FusedModel, checked: Mapping[str, Any]) -> str:
    settings = exported.settings
    size, names = settings["picture_size"], settings.get("names")
    given = "texts, pictures" if size else "texts"
    lines = [_LOAD_WITH_PICTURES.format(size=size) if size else _LOAD]
    lines += [f"print(model.numbers({given}))  # [rows, {len(names)}]: {', '.join(names)}"] if names else []
    lines += [f"print(model.write({given}))"] if "max_tokens" in settings else []
    result = record.read_json(saved.folder / record.RESULT)["results"][VAL]
    scores = [f"{name} {result[name]:.3f}" for name in record.read_tasks(saved.folder).compared if result.get(name)]
    return _CARD.format(
        name=saved.folder.name,
        what="reads a picture and its text" if size else "reads a text by two encoders",
        lines="\n".join(lines),
        command=record.command_line(record.read_json(saved.folder / record.ENVIRONMENT)),
        scores=", ".join(scores),
        checked="Logits" if names else "Vectors",
        written=f"; to {checked['answers']} of them both wrote the same answers" if "answers" in checked else "",
        **{name: checked[name] for name in ("rows", "largest_difference")},
    )
