"""Exports a run that answers questions about pictures, for transformers and peft, and says how far its logits move.

Legend: B rows, A tokens of the longest answer, V words.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lit_humor.config.saved import SavedRun
from lit_humor.config.validate import find_target
from lit_humor.core.batch import VAL
from lit_humor.core.errors import UserError
from lit_humor.engine.configuration import settled
from lit_humor.engine.factory import open_pretrained, resolve_pretrained
from lit_humor.inference.loading import load_run
from lit_humor.models.vision_language import VisionLanguage
from lit_humor.runs import record

HUGGINGFACE, MERGED = "huggingface", "merged"
_LARGEST_DIFFERENCE = 1e-4  # of logits, and of the largest one if that is above 1
_ROWS = 32  # a large vocabulary makes many logits
_CARD = """# {name}: answers questions about pictures

```python
from transformers import AutoTokenizer, Qwen3VLForConditionalGeneration

tokenizer = AutoTokenizer.from_pretrained("<this folder>")  # its chat template is that of the training
{loading}
```

Trained by `{command}`.

On the answers of {rows} validation rows ({tokens} tokens) logits differ from those of the checkpoint by at most
{largest_difference:.1e}, {mean_difference:.1e} in the mean; in {moved_tokens} places another token is the likeliest.
"""
_ADAPTER = """model = Qwen3VLForConditionalGeneration.from_pretrained("{base}", ...)  # {how}
model.load_adapter("<this folder>")"""
_WHOLE = 'model = Qwen3VLForConditionalGeneration.from_pretrained("<this folder>")'


def reads_vision(saved: SavedRun) -> bool:
    """Whether the network of a run answers questions about pictures."""
    kind = saved.config.model.get("network", {}).get("_target_", "")
    return bool(kind) and issubclass(find_target("model.network", kind), VisionLanguage)


def write_vision(saved: SavedRun, to: str) -> Callable[[Path], dict[str, Any]]:
    """Return a function that writes the export into a folder and returns what was compared.

    The function raises a UserError if an exported adapter, or an exported whole model, computes something else. What is
    merged may: weights that had 4 bits in training have all their bits, so it is another model, and the differences are
    told.

    Args:
        saved: The run.
        to: ``huggingface``: the adapter as a folder of peft, or the whole model where all weights were trained;
            ``merged``: the whole model, the adapter added to weights that were never rounded.

    Raises:
        UserError: ``to`` is something else, or there is no adapter to merge.
    """
    has_adapter = saved.config.model.get("network", {}).get("adapter") is not None
    if to not in (HUGGINGFACE, MERGED) or (to == MERGED and not has_adapter):
        found = f"{to}, of a run whose {'adapter' if has_adapter else 'whole model'} was trained"
        expected = f"{HUGGINGFACE} or {MERGED}" if has_adapter else HUGGINGFACE
        raise UserError("to", found=found, expected=expected, fix=f"set to={HUGGINGFACE}")

    def write(folder: Path) -> dict[str, Any]:
        cfg, run = settled(saved.config), load_run(saved)
        run.datamodule.setup()
        network, prepared = run.learner.model.cpu(), run.datamodule.prepared[VAL]
        assert isinstance(network, VisionLanguage)
        batch = prepared.collate(np.arange(min(_ROWS, len(prepared.lengths))))
        expected, base = _logits(network, batch), resolve_pretrained(cfg).name
        model = network.merged(base) if to == MERGED else network.lm
        model.save_pretrained(folder)
        open_pretrained(cfg, saved.backbone).tokenizer.save_pretrained(folder)
        network.read_exported(str(folder), base if has_adapter and to == HUGGINGFACE else None)
        compared = _compared(expected, _logits(network, batch), batch["answer_mask"].bool())
        bound = _LARGEST_DIFFERENCE * max(1.0, float(expected.abs().max()))
        if to == HUGGINGFACE and compared["largest_difference"] > bound:
            raise UserError(
                "to",
                found=f"an export whose logits differ by {compared['largest_difference']:.1e}",
                expected=f"at most {bound:.1e}",
                fix="report this with the run's config.yaml; nothing was kept",
            )
        how = "in NF4, as in training" if network.quantization != "none" else "in the type of its files"
        loading = _ADAPTER.format(base=base, how=how) if has_adapter and to == HUGGINGFACE else _WHOLE
        command = record.command_line(record.read_json(saved.folder / record.ENVIRONMENT))
        card = _CARD.format(name=saved.folder.name, loading=loading, command=command, **compared)
        record.write_text(folder / "README.md", card)
        return compared

    return write


@torch.inference_mode()
def _logits(network: VisionLanguage, batch: dict[str, Tensor]) -> Tensor:
    """Return the logits [B, A, V] of the answers."""
    return network.eval()(batch)["answer_logits"].float()


def _compared(expected: Tensor, found: Tensor, there: Tensor) -> dict[str, Any]:
    """Compare logits [B, A, V] where tokens are, [B, A] bool."""
    difference = (found - expected)[there].abs()
    moved = found[there].argmax(dim=-1) != expected[there].argmax(dim=-1)
    return {
        "rows": len(expected),
        "tokens": int(there.sum()),
        "largest_difference": float(difference.max()),
        "mean_difference": float(difference.mean()),
        "moved_tokens": int(moved.sum()),
    }
