"""The way of Qwen3-VL's family from before to after, one change a row; docs/speed.md has the sources."""

from __future__ import annotations

from lit_humor.benchmarking.guide import GPU, NOT_PART, Change, Guide, choices_of_the_plan, compiled

_BASE = "as before: 1 x 16 rows a step, activation checkpointing"
_FOUR = "4 x 4 rows a step"
_KEPT = "without activation checkpointing"
_WORKERS = "two loader processes"
_GROUPED = "rows of like length"
_FEATURES = "features of pictures that were read before"
_ALL = "attention as the plan chooses"  # the last of the way, what the others change
_FOUR_WORKERS = "four loader processes"

_WAY = (
    Change(name=_BASE, claimed="1"),
    Change(
        name=_FOUR,
        settings=("data.batch_size=4", "trainer.accumulation=4", "trainer.micro_batch_size=4"),
        claimed="4",
        on=_BASE,
    ),
    Change(
        name=_KEPT,
        settings=("model.network.gradient_checkpointing=false",),
        claimed="2, but it stayed on",
        on=_FOUR,
    ),
    Change(name=_WORKERS, settings=("trainer.num_workers=2",), claimed="4, with 16 instead of 4", on=_KEPT),
    Change(name=_GROUPED, settings=("data.length_grouped=true",), claimed=NOT_PART, on=_WORKERS),
    Change(name=_FEATURES, settings=("model.network.picture_cache_mib=1024",), claimed=NOT_PART, on=_GROUPED),
    Change(
        name=_ALL,
        settings=("trainer.attention=auto",),
        claimed="4-8 for the whole way",
        on=_FEATURES,
    ),
)
_BESIDE = (
    Change(name="logits of all tokens", effect="logits=all", claimed="before and after", on=_ALL),
    Change(
        name="frozen weights as in their files, not in 4 bits",
        settings=("model.network.quantization=none",),
        claimed=NOT_PART,
        on=_ALL,
    ),
    *choices_of_the_plan(_ALL, precision="bf16 before and after"),
    Change(
        name=_FOUR_WORKERS,
        settings=("trainer.num_workers=4",),
        claimed="1",
        on=_ALL,
        needs=GPU,
    ),
    Change(
        name="sixteen loader processes",
        settings=("trainer.num_workers=16",),
        claimed="4",
        on=_FOUR_WORKERS,
        needs=GPU,
    ),
    *compiled("the language model", _ALL),
)

GUIDE = Guide(
    model="qwen3_vl_12m",
    tiny="qwen3_vl_tiny",
    data="cartoon_questions",
    on_gpu="qwen3_vl_2b_random",
    models=("qwen3_vl",),
    base=(
        *("data.length_grouped=false", "data.batch_size=1", "trainer.accumulation=16", "trainer.micro_batch_size=1"),
        *("model.network.gradient_checkpointing=true", "model.network.picture_cache_mib=0"),
        *("model.network.quantization=nf4", "trainer.precision=bf16-mixed", "trainer.attention=sdpa"),
        *("trainer.num_workers=0", "trainer.compile=false", "trainer.max_tokens=null"),
    ),
    changes=(*_WAY, *_BESIDE),
    note="Random weights and drawn data measure speed and nothing else. Kept features are those of the second epoch "
    "on: in the first, one question of three about a picture computes them.",
)
