"""The guide to speed of the model that embeds and writes, one change a row; docs/speed.md has the sources."""

from __future__ import annotations

from lit_humor.benchmarking.guide import COMPILED, GPU, TEXTS, TRAINING, Change, Guide

_BASE = "as before the guide: padded to the longest text allowed, fp32"
_LONGEST = "padded to the longest of a batch"
_GROUPED = "rows of like length"
_FUSED = "fused AdamW"
_ATTENTION = "attention as the plan chooses"
_BF16 = "bf16"  # of all rows so far, what the others change
_NO_ATTENTION_DROPOUT = "without dropout of attention"
_CHECKPOINTING = "activation checkpointing"
_LOGGED = "train.py, which logs every step"
_FILTERED = "tokenizing, far too long texts cut before"
_FASTER = "faster; no number"

_WAY = (
    Change(name=_BASE, claimed="1"),
    Change(name=_LONGEST, settings=("data.padding=longest",), claimed=_FASTER, on=_BASE),
    Change(name=_GROUPED, settings=("data.length_grouped=true",), claimed="not part of it", on=_LONGEST),
    Change(name=_FUSED, settings=("optim.fused=true",), claimed=_FASTER, on=_GROUPED),
    Change(name=_ATTENTION, settings=("trainer.attention=auto",), claimed="not part of it", on=_FUSED),
    Change(name=_BF16, settings=("trainer.precision=bf16-mixed",), claimed=_FASTER, on=_ATTENTION),
    Change(
        name="fp16, its loss scaled",
        settings=("trainer.precision=16-mixed",),
        claimed="faster on older GPUs; no number",
        on=_ATTENTION,
        needs=GPU,
    ),
)
_MEMORY = (
    *(
        Change(
            name=f"steps cut into chunks of {tokens} tokens, two passes",
            settings=(f"trainer.max_tokens={tokens}",),
            claimed="3/4 of the pace by its operations, in the memory of one chunk",
            on=_BF16,
        )
        for tokens in (256, 64)
    ),
    Change(
        name=_CHECKPOINTING,
        settings=("model.network.gradient_checkpointing=true",),
        claimed="less memory, slower; no number",
        on=_BF16,
        gradient=True,
    ),
    Change(
        name="activation checkpointing, random state not restored",
        effect="preserve_rng_state=False",
        claimed=_FASTER,
        on=_CHECKPOINTING,
        gradient=True,
        refused="it changes the gradient where there is dropout",
    ),
    Change(
        name="set_per_process_memory_fraction(0.95)",
        claimed="named without a number",
        unmeasured="no effect on speed: a limit of memory, at which it runs out sooner",
    ),
)
_LOADING = (
    Change(name=_FILTERED, how=TEXTS, claimed=_FASTER),
    Change(name="tokenizing, texts of any length", how=TEXTS, effect="texts_cut=false", claimed="slower", on=_FILTERED),
    Change(
        name="one loader process, the guide's rule below 1,000 rows",
        settings=("trainer.num_workers=1",),
        claimed=_FASTER,
        on=_BF16,
    ),
    Change(name="pinned memory", effect="pin_memory=true", claimed=_FASTER, on=_BF16, needs=GPU),
    Change(name=_LOGGED, settings=("trainer.log_every_n_steps=1",), how=TRAINING, on=_BF16),
    Change(
        name="train.py without loggers",
        settings=("logger.csv=null", "logger.tensorboard=null"),
        how=TRAINING,
        claimed=_FASTER,
        on=_LOGGED,
    ),
)
_BACKENDS = (
    Change(
        name=_NO_ATTENTION_DROPOUT,
        settings=("model.network.attention_dropout=0",),
        on=_FUSED,
    ),
    *(
        Change(
            name=f"{words} attention of torch alone", effect=f"sdpa={kind}", claimed=claimed, on=_NO_ATTENTION_DROPOUT
        )
        for words, kind, claimed in (
            ("plain", "MATH", "1"),
            ("memory-efficient", "EFFICIENT_ATTENTION", _FASTER),
            ("flash", "FLASH_ATTENTION", _FASTER),
        )
    ),
    Change(
        name="enable_flash_sdp(True), enable_mem_efficient_sdp(True), enable_math_sdp(True)",
        claimed=_FASTER,
        unmeasured="no effect: torch begins with all three on",
    ),
)
_SHAPES = {
    "any width, as the project does": ("", "not part of it"),
    "torch decides, dynamic=None": ("dynamic=none", "not part of it"),
    "a graph for each shape, dynamic=False": ("dynamic=false", _FASTER),
}
_COMPILING = (
    *(
        Change(
            name=f"{part} compiled: {words}",
            settings=(f"trainer.compile={value}",),
            how=COMPILED,
            effect=effect,
            claimed=claimed,
            on=_BF16,
        )
        for part, value in (("each layer", "true"), ("the whole model", "full"))
        for words, (effect, claimed) in _SHAPES.items()
    ),
    Change(
        name="compiled in mode reduce-overhead or max-autotune",
        claimed=_FASTER,
        unmeasured="not offered: CUDA graphs need one width, and one pass over each chunk",
    ),
)

GUIDE = Guide(
    model="gritlm_minilm",
    tiny="gritlm_tiny",
    data="joke_halves",
    base=(
        *("data.padding=max_length", "data.length_grouped=false", "optim.fused=false", "trainer.precision=32-true"),
        *("trainer.attention=sdpa", "trainer.num_workers=0", "trainer.compile=false", "trainer.max_tokens=null"),
    ),
    changes=(*_WAY, *_MEMORY, *_LOADING, *_BACKENDS, *_COMPILING),
    on_cpu=("data.batch_size=8",),
)
