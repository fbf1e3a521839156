"""The precisions that a run may train in: a row of one table each."""

from __future__ import annotations

from dataclasses import dataclass

FP32, BF16, FP16 = "32-true", "bf16-mixed", "16-mixed"


@dataclass(frozen=True, kw_only=True)
class Precision:
    """How numbers are computed in a training.

    Attributes:
        name: What ``trainer.precision`` and the plan call it.
        computes_in: The type of torch in which matrices are multiplied.
        passed_on: What Lightning's Trainer calls it.
        scales_loss: Small gradients would become zero, so they are scaled; a step whose gradients overflow is left out.
    """

    name: str
    computes_in: str
    passed_on: str
    scales_loss: bool = False


PRECISIONS = {
    one.name: one
    for one in (
        Precision(name=FP32, computes_in="float32", passed_on="32-true"),
        Precision(name=BF16, computes_in="bfloat16", passed_on="bf16-mixed"),
        Precision(name=FP16, computes_in="float16", passed_on="16-mixed", scales_loss=True),
    )
}
