"""Mistakes in the settings of a vision-language model: what learns, in how many bits, how it is exported."""

from tests.e2e.remedies.asking import DRAWN_QUESTIONS
from tests.e2e.remedies.telling import Case

ADAPTER, FOUR_BITS = "model.network.adapter", "model.network.quantization=nf4"


def _drawn(*wrong: str, **more: object) -> Case:
    """A training on drawn questions, with mistakes."""
    return Case("train", (*DRAWN_QUESTIONS, *wrong), **more)  # type: ignore[arg-type]


CASES = {
    "vision: a model of texts": _drawn("model.pretrained=RUNS/one/backbone"),
    "vision: 4 bits that learn": _drawn(f"{ADAPTER}=null", FOUR_BITS),
    "vision: other bits": _drawn("model.network.quantization=int8"),
    "vision: numbers of an adapter": _drawn(f"{ADAPTER}.rank=0", f"{ADAPTER}.dropout=1", errors=2),
    "vision: an adapter of nothing": _drawn(f"{ADAPTER}.targets=nothing"),
    "vision: an adapter of the tower": _drawn(f"{ADAPTER}.targets='.*qkv'"),
    "vision: no regular expression": _drawn(f"{ADAPTER}.targets='(q'"),
    "vision: no package of adapters": _drawn(missing=("peft",)),
    "vision: no package of 4 bits": _drawn(FOUR_BITS, missing=("bitsandbytes",)),
    "vision: nothing to merge": Case("export", ("run=RUNS/one", "to=merged", "output=FOLDER/out"), to_the_end=True),
}
