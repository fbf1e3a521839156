"""Writes small files of the format E5S1, whole or damaged."""

import struct
from pathlib import Path

import numpy as np

PIECES = [
    "<s>",
    "<pad>",
    "</s>",
    "<unk>",
    "\u2581",
    "\u2581ha",
    "ha",
    "\u2581de",
    "s",
    "fi",
    "\uff5e",
    "\u00e9",
    "<mask>",
]
SIZES = {"hidden": 32, "layers": 1, "heads": 2, "inner": 64, "rows": 16, "positions": 24, "types": 2}


def quantized(weights: np.ndarray) -> bytes:
    """Blocks of 32 weights: a scale, the largest weight / -8, and 4 bits a weight."""
    blocks = weights.reshape(-1, 32).astype(np.float32)
    largest = blocks[np.arange(len(blocks)), np.abs(blocks).argmax(1)]
    scales = (largest / -8).astype(np.float16)
    steps = np.clip(np.round(blocks / scales.astype(np.float32)[:, None]) + 8, 0, 15).astype(np.uint8)
    return b"".join(
        scale.tobytes() + (row[:16] | row[16:] << 4).tobytes() for scale, row in zip(scales, steps, strict=True)
    )


def shapes() -> dict[str, tuple[int, ...]]:
    hidden, inner = SIZES["hidden"], SIZES["inner"]
    named: dict[str, tuple[int, ...]] = {
        "emb.word": (SIZES["rows"], hidden),
        "emb.pos": (SIZES["positions"], hidden),
        "emb.type": (SIZES["types"], hidden),
        "emb.ln.w": (hidden,),
        "emb.ln.b": (hidden,),
    }
    for name in ("q", "k", "v", "ao", "aln", "fi", "fo", "oln"):
        out, into = {"fi": (inner, hidden), "fo": (hidden, inner)}.get(name, (hidden, hidden))
        named |= {f"l0.{name}.w": (hidden,) if name.endswith("ln") else (out, into), f"l0.{name}.b": (out,)}
    return named


def write(path: Path, *, version: int = 1, epsilon: float = 1e-12, lengthen: int = 0, **sizes: int) -> Path:
    """A file with drawn weights; ``lengthen`` adds to the size that the directory tells of ``emb.pos``."""
    told = SIZES | sizes
    drawn = np.random.default_rng(0)
    texts = [piece.encode() for piece in PIECES]
    joined = b"".join(texts)
    scores = [0.0 if piece.startswith("<") else -3.0 - index for index, piece in enumerate(PIECES)]
    out = struct.pack("<4sI7ifi", b"E5S1", version, *told.values(), epsilon, 32)
    out += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, len(joined))
    out += np.cumsum([0, *map(len, texts)], dtype="<u4").tobytes() + np.array(scores, "<f4").tobytes() + joined
    out += struct.pack("<iI", 0, 0)
    data = []
    for name, shape in shapes().items():
        values = drawn.normal(0, 0.1, shape).astype(np.float32)
        is_matrix = len(shape) == 2 and name not in ("emb.pos", "emb.type")
        data.append((name, int(is_matrix), values.size, quantized(values) if is_matrix else values.tobytes()))
    size = len(out) + 4 + sum(2 + len(name) + 21 for name, *_ in data)
    offset = first = -(-size // 64) * 64
    out += struct.pack("<i", len(data))
    for name, kind, count, content in data:
        extra = lengthen if name == "emb.pos" else 0
        place = struct.pack("<BIQQ", kind, count + extra, offset, len(content) + 4 * extra)
        out += struct.pack("<H", len(name)) + name.encode() + place
        offset += len(content)
    path.write_bytes(out + bytes(first - len(out)) + b"".join(content for *_, content in data))
    return path
