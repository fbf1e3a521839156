"""Reads files of the format E5S1: a BERT encoder in blocks of 4 bits with its unigram tokenizer.

Layout (little-endian): header, tokenizer, directory of tensors, and from the next multiple of 64 the tensors' data.
Legend: N rows of a matrix, W its width, B blocks of 32 weights.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lit_humor.core.errors import UserError

MAGIC, VERSION = b"E5S1", 1
BLOCK = 32  # weights that share a scale
BLOCK_BYTES = 18  # a float16 scale, then 16 bytes of two weights each
FLOAT32, BLOCKS = 0, 1  # kinds of tensors
_HEADER = struct.Struct("<4sI7ifi")
_TOKENIZER = struct.Struct("<5iQ")
_MOST = {"hidden size": 16_384, "layers": 512, "heads": 512, "intermediate size": 131_072}
_MOST |= {"vocabulary": 8_000_000, "positions": 1_000_000, "token types": 64}


@dataclass(frozen=True)
class Shape:
    """Sizes of the encoder, in the order of the header."""

    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    vocabulary_size: int
    num_positions: int
    num_token_types: int
    epsilon: float


@dataclass(frozen=True)
class _Place:
    """Where the data of a tensor are."""

    kind: int
    num_weights: int
    offset: int
    num_bytes: int


class E5File:
    """One file, which stays open: sizes, pieces of the tokenizer, and tensors, which are read in parts.

    Attributes:
        shape: Sizes of the encoder.
        pieces: Pieces of the vocabulary with their log probabilities; the index is the token id.
        special_ids: Token ids of ``bos``, ``eos``, ``pad`` and ``unk``.

    Args:
        path: The file.
        fix: What a user can do about a damaged file.

    Raises:
        UserError: The file is not of this format or version, or is damaged.
    """

    def __init__(self, path: str | Path, fix: str) -> None:
        self.path, self._fix = Path(path), fix
        self._file = self.path.open("rb")
        self._num_bytes = self.path.stat().st_size
        self.shape = self._read_shape()
        self.pieces, self.special_ids = self._read_tokenizer()
        self._tensors = self._read_directory()

    def names(self) -> list[str]:
        """Return the names of the tensors, in the order of the file."""
        return list(self._tensors)

    def tensor(self, name: str, *shape: int) -> np.ndarray:
        """Return a tensor as fp32.

        Raises:
            UserError: There is no such tensor, or it has another number of weights.
        """
        return np.concatenate(list(self.rows(name, *shape)))

    def rows(self, name: str, *shape: int, per_part: int = 4_096) -> Iterator[np.ndarray]:
        """Yield the rows of a tensor as fp32, in parts of at most ``per_part`` rows.

        Raises:
            UserError: There is no such tensor, or it has another number of weights.
        """
        place = self._tensors.get(name)
        num_weights = int(np.prod(shape))
        if place is None or place.num_weights != num_weights:
            found = f"{place.num_weights} weights" if place else "no such tensor"
            raise self._damaged(f"{found} of '{name}'", f"{num_weights} weights of it")
        width = num_weights // shape[0]
        bytes_per_row = place.num_bytes // shape[0]
        for start in range(0, shape[0], per_part):
            count = min(per_part, shape[0] - start)
            self._file.seek(place.offset + start * bytes_per_row)
            data = self._file.read(count * bytes_per_row)
            part = np.frombuffer(data, "<f4") if place.kind == FLOAT32 else dequantize(data)
            yield part.reshape(count, width) if len(shape) > 1 else part

    def _read_shape(self) -> Shape:
        magic, version, *sizes, epsilon, block = self._unpack(_HEADER, "the header")
        if magic != MAGIC:
            raise self._damaged(f"the first bytes {magic!r}", f"{MAGIC!r}")
        if (version, block) != (VERSION, BLOCK):
            raise self._damaged(f"version {version}, blocks of {block}", f"version {VERSION}, blocks of {BLOCK}")
        for (name, most), size in zip(_MOST.items(), sizes, strict=True):
            if not 0 < size <= most:
                raise self._damaged(f"{name} {size}", f"1 to {most}")
        hidden, layers, heads, inner, vocabulary, positions, token_types = sizes
        if hidden % heads or hidden % BLOCK or inner % BLOCK:
            raise self._damaged(f"hidden size {hidden}, {heads} heads, intermediate size {inner}", "whole blocks")
        if not 0 < epsilon < 1:
            raise self._damaged(f"epsilon {epsilon}", "a number between 0 and 1")
        return Shape(hidden, layers, heads, inner, vocabulary, positions, token_types, epsilon)

    def _read_tokenizer(self) -> tuple[list[tuple[str, float]], tuple[int, int, int, int]]:
        count, *special_ids, num_bytes = self._unpack(_TOKENIZER, "the tokenizer's sizes")
        if not 0 < count <= self.shape.vocabulary_size or not all(0 <= index < count for index in special_ids):
            raise self._damaged(f"{count} pieces, special ones {special_ids}", f"1 to {self.shape.vocabulary_size}")
        offsets = self._array("<u4", count + 1, "the offsets of pieces").astype(np.int64)
        scores = self._array("<f4", count, "the scores of pieces")
        if offsets[0] != 0 or offsets[-1] != num_bytes or not (np.diff(offsets) > 0).all():
            raise self._damaged("offsets of pieces that do not rise from 0 to their end", "such offsets")
        if not np.isfinite(scores).all():
            raise self._damaged("a score that is not a number", "finite scores")
        joined = self._take(num_bytes, "the pieces")
        try:
            texts = [joined[a:b].decode() for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]
        except UnicodeDecodeError:
            raise self._damaged("a piece that is not UTF-8", "pieces in UTF-8") from None
        if len(set(texts)) != count:
            raise self._damaged("a piece that occurs twice", f"{count} different pieces")
        bos, eos, pad, unk = special_ids
        _, num_table_bytes = self._unpack(struct.Struct("<iI"), "the size of the normalizer")
        self._take(num_table_bytes, "the normalizer")  # equal to rules that the tokenizer states itself
        return list(zip(texts, scores.tolist(), strict=True)), (bos, eos, pad, unk)

    def _read_directory(self) -> dict[str, _Place]:
        (count,) = self._unpack(struct.Struct("<i"), "the number of tensors")
        places: dict[str, _Place] = {}
        for _ in range(count):
            (length,) = self._unpack(struct.Struct("<H"), "the length of a tensor's name")
            name = self._take(length, "a tensor's name").decode("ascii", errors="replace")
            place = _Place(*self._unpack(struct.Struct("<BIQQ"), f"the place of '{name}'"))
            blocks, rest = divmod(place.num_weights, BLOCK)
            num_bytes = {FLOAT32: 4 * place.num_weights, BLOCKS: BLOCK_BYTES * blocks if not rest else -1}.get(
                place.kind
            )
            if place.num_bytes != num_bytes or place.offset + place.num_bytes > self._num_bytes:
                sizes = f"{place.num_weights} weights, {place.num_bytes} bytes at {place.offset}"
                raise self._damaged(
                    f"'{name}' of kind {place.kind}, {sizes}",
                    f"a tensor within the {self._num_bytes} bytes of the file",
                )
            places[name] = place
        return places

    def _unpack(self, form: struct.Struct, what: str) -> tuple[Any, ...]:
        return form.unpack(self._take(form.size, what))

    def _array(self, dtype: str, count: int, what: str) -> np.ndarray:
        return np.frombuffer(self._take(count * np.dtype(dtype).itemsize, what), dtype)

    def _take(self, num_bytes: int, what: str) -> bytes:
        """Return the next bytes; nothing is allocated for more bytes than the file has."""
        end = self._file.tell() + num_bytes
        if end > self._num_bytes:
            raise self._damaged(f"{self._num_bytes} bytes", f"{end} or more, up to the end of {what}")
        return self._file.read(num_bytes)

    def _damaged(self, found: str, expected: str) -> UserError:
        return UserError(str(self.path), found=found, expected=expected, fix=self._fix)


def dequantize(data: bytes) -> np.ndarray:
    """Return the weights [32 B] of blocks ``q4_0`` as fp32: scale x (4 bits - 8).

    The low halves of a block's 16 bytes are its first 16 weights, the high halves the other 16; as in ggml.

    Args:
        data: 18 B bytes.
    """
    blocks = np.frombuffer(data, np.dtype([("scale", "<f2"), ("pairs", "u1", 16)]))
    halves = np.concatenate([blocks["pairs"] & 15, blocks["pairs"] >> 4], axis=1)
    return ((halves.astype(np.float32) - 8) * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)
