"""The way of DIMTDA's family from before to after, one change a row; docs/speed.md has the sources."""

from __future__ import annotations

from lit_humor.benchmarking.guide import NOT_PART, Change, Guide, choices_of_the_plan, compiled

_BASE = "as before: padded to the longest text allowed, fp32, 1 x 32"
_LONGEST = "padded to the longest of a batch"
_GROUPED = "rows of like length"
_BF16 = "bf16"
_TWO = "2 x 16 rows a step"
_WORKERS = "two loader processes"
_FUSED = "fused AdamW"
_ALL = "attention as the plan chooses"  # the last of the way, what the others change
_NO_NUMBER = "faster; no number"

_WAY = (
    Change(name=_BASE, claimed="1: 25+ minutes a step of its training"),
    Change(name=_LONGEST, settings=("data.padding=longest",), claimed=NOT_PART, on=_BASE),
    Change(name=_GROUPED, settings=("data.length_grouped=true",), claimed=NOT_PART, on=_LONGEST),
    Change(name=_BF16, settings=("trainer.precision=bf16-mixed",), claimed=f"{_NO_NUMBER}, in fp16", on=_GROUPED),
    Change(
        name=_TWO,
        settings=("data.batch_size=2", "trainer.accumulation=16", "trainer.micro_batch_size=2"),
        claimed=_NO_NUMBER,
        on=_BF16,
    ),
    Change(name=_WORKERS, settings=("trainer.num_workers=2",), claimed="6 instead of 8; no number", on=_TWO),
    Change(name=_FUSED, settings=("optim.fused=true",), claimed=NOT_PART, on=_WORKERS),
    Change(
        name=_ALL,
        settings=("trainer.attention=auto",),
        claimed="2-3 for the whole way: 10-15 minutes a step of its training",
        on=_FUSED,
    ),
)
_BESIDE = (
    *choices_of_the_plan(_ALL),
    Change(
        name="activation checkpointing",
        settings=("model.network.gradient_checkpointing=true",),
        claimed="on before and after: less memory, slower",
        on=_ALL,
    ),
    Change(
        name="picture encoder frozen",
        settings=("model.network.encoders.1.frozen=true",),
        claimed=NOT_PART,
        on=_ALL,
    ),
    *compiled("the encoders", _ALL),
)

GUIDE = Guide(
    model="fused",
    tiny="fused_tiny",
    data="cartoons",
    models=("fused",),
    base=(
        *("data.padding=max_length", "data.length_grouped=false", "data.batch_size=1", "optim.fused=false"),
        *("trainer.accumulation=32", "trainer.micro_batch_size=1", "trainer.precision=32-true"),
        *("trainer.attention=sdpa", "trainer.num_workers=0", "trainer.compile=false", "trainer.max_tokens=null"),
    ),
    changes=(*_WAY, *_BESIDE),
    note="Random weights (only the text encoder of model=fused is trained) and drawn data measure speed and nothing "
    "else. The minutes that are claimed are of another step: answers padded to 1,536 tokens, on a Mac.",
)
