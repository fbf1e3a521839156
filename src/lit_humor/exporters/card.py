"""The model card of an exported run."""

from __future__ import annotations

from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from lit_humor.pages.page import render


def model_card(run: dict[str, Any]) -> str:
    """Return the text of ``README.md`` in the hub's format.

    Args:
        run: ``name``, ``to``, ``form``, ``result``, ``intervals``, ``environment``, ``data_report``, ``backbone``,
            ``max_length``, ``calibration``, ``parity``, and for ONNX ``opset`` and ``inputs``.
    """
    # The results were measured before the quantization.
    results = run["result"]["results"] if run["to"] != "onnx_int8" else {}
    eval_results = [
        EvalResult(
            task_type="text-classification",
            dataset_type=split,
            dataset_name=run["data_report"]["splits"][split]["origin"],
            metric_type=name,
            metric_value=round(scores[name], 4),
        )
        for split, scores in results.items()
        for name in run["form"].metrics
        if isinstance(scores.get(name), float)
    ]
    metadata = ModelCardData(
        library_name="transformers" if run["to"] == "huggingface" else "onnx",
        pipeline_tag=None if "pictures" in run["inputs"] else "text-classification",
        tags=["humor"],
        model_name=run["name"],
        eval_results=eval_results or None,
    )
    return render("card.md", front=metadata.to_yaml(), metrics=run["form"].metrics, **run)
