"""The model card of an exported run."""

from __future__ import annotations

from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from lit_humor.pages.page import render

_METRICS = ("f1", "accuracy", "f1_macro", "auroc")  # none of which a temperature changes


def model_card(run: dict[str, Any]) -> str:
    """``README.md`` as the hub expects it.

    Args:
        run: ``name``, ``to``, ``class_names``, ``result``, ``environment``, ``data_report``, ``backbone``,
            ``max_length``, ``temperature``, ``calibrated``, ``parity``, and for ONNX ``opset`` and ``inputs``.
    """
    evaluated = [
        EvalResult(
            task_type="text-classification",
            dataset_type=split,
            dataset_name=run["data_report"]["splits"][split]["origin"],
            metric_type=name,
            metric_value=round(found[name], 4),
        )
        for split, found in (run["result"]["results"].items() if run["to"] != "onnx_int8" else ())  # measured before
        for name in _METRICS
        if isinstance(found.get(name), float)
    ]
    front = ModelCardData(
        library_name="transformers" if run["to"] == "huggingface" else "onnx",
        pipeline_tag="text-classification",
        tags=["humor"],
        model_name=run["name"],
        eval_results=evaluated or None,
    )
    return render("card.md", front=front.to_yaml(), metrics=_METRICS, **run)
