"""Tokenizes a split once, and keeps the token ids in memory-mapped files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lit_humor.data.batches.store import TokenStore, open_store

if TYPE_CHECKING:  # loader processes import this file
    from transformers import PreTrainedTokenizerBase

    from lit_humor.data.examples import Examples

_CHUNK_ROWS = 8192
MOST_CHARACTERS = 100  # per token: longer texts are cut before tokenizing, which saves memory
_FORMAT = 1  # increase when the format of the files changes


def tokenize(
    examples: Examples, tokenizer: PreTrainedTokenizerBase, max_length: int, cache_dir: str | Path
) -> TokenStore:
    """Tokenize a split, or map the files of an earlier run.

    The key of the cache is a hash of the texts, the tokenizer and ``max_length``. A folder of files appears by one
    rename, so two runs may write the same one.

    Args:
        examples: The texts.
        tokenizer: A fast tokenizer.
        max_length: Most tokens of a row, with special tokens; of a pair the longer text is truncated.
        cache_dir: Folder of the cache; made if it does not exist.

    Returns:
        The store, memory-mapped read-only.
    """
    folder = Path(cache_dir) / "tokens" / _key(examples, tokenizer, max_length)
    if not (folder / "meta.json").is_file():
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder.parent))
        try:
            _write(temporary, examples, tokenizer, max_length)
            temporary.rename(folder)
        except OSError:
            if not (folder / "meta.json").is_file():  # otherwise another run wrote the same files first
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return open_store(folder)


def _key(examples: Examples, tokenizer: PreTrainedTokenizerBase, max_length: int) -> str:
    digest = hashlib.sha256(f"{_FORMAT}/{max_length}/{type(tokenizer).__name__}".encode())
    tokenizer.backend_tokenizer.no_truncation()  # the settings of the last call are not part of the tokenizer
    tokenizer.backend_tokenizer.no_padding()
    digest.update(tokenizer.backend_tokenizer.to_str().encode())
    for column in (examples.texts, examples.text_pairs or []):
        for text in column:
            digest.update(text.encode("utf-8", "surrogatepass"))
            digest.update(b"\0")
        digest.update(b"\1")
    return digest.hexdigest()[:32]


def encode(
    texts: list[str],
    text_pairs: list[str] | None,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    prefixes: list[int] | None = None,
) -> TokenStore:
    """Tokenize texts in memory; arguments and result as in ``tokenize``.

    With ``prefixes``, the number of characters at the beginning of each text that are an instruction,
    ``second_starts`` counts the tokens of the instruction instead: those that end before the text proper begins.
    """
    parts = list(_chunks(texts, text_pairs, tokenizer, max_length, prefixes))
    rows = [row for ids, _, _ in parts for row in ids]
    return TokenStore(
        input_ids=np.concatenate([np.asarray(row, dtype=np.int32) for row in rows]),
        offsets=np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)]),
        second_starts=np.asarray([start for _, starts, _ in parts for start in starts], dtype=np.int32),
        num_truncated=sum(cut for _, _, cut in parts),
    )


def _chunks(
    texts: list[str],
    text_pairs: list[str] | None,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    prefixes: list[int] | None = None,
) -> Iterator[tuple[list[list[int]], list[int], int]]:
    """Yield token ids, starts of the second texts and the number of truncated rows, for 8192 rows at a time."""
    for start in range(0, len(texts), _CHUNK_ROWS):
        stop = start + _CHUNK_ROWS
        pairs = None if text_pairs is None else _beginnings(text_pairs[start:stop], max_length)
        encoded = tokenizer(
            _beginnings(texts[start:stop], max_length),
            pairs,
            truncation=True,
            max_length=max_length,
            padding=False,
            return_token_type_ids=False,
            return_attention_mask=False,
        )
        encodings = encoded.encodings or []
        if prefixes is not None:
            lengths = prefixes[start:stop]
            second = [_tokens_before(one.offsets, length) for one, length in zip(encodings, lengths, strict=True)]
        else:
            second = [second_start(encoding.sequence_ids) if pairs else len(encoding.ids) for encoding in encodings]
        yield encoded["input_ids"], second, sum(bool(encoding.overflowing) for encoding in encodings)


def _beginnings(texts: list[str], max_length: int) -> list[str]:
    """Cut texts that are far longer than a row, such as a whole book."""
    return [text[: max_length * MOST_CHARACTERS] for text in texts]


def second_start(sequence_ids: list[int | None]) -> int:
    """Return the number of tokens before the second text; the row's length if the second text is empty."""
    return sequence_ids.index(1) if 1 in sequence_ids else len(sequence_ids)


def _tokens_before(offsets: list[tuple[int, int]], length: int) -> int:
    """Return the number of tokens up to the last one that ends within the first ``length`` characters."""
    return max((index + 1 for index, (begin, end) in enumerate(offsets) if begin < end <= length), default=0)


def _write(folder: Path, examples: Examples, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
    lengths: list[int] = []
    second: list[int] = []
    truncated = 0
    raw = folder / "input_ids.raw"
    with raw.open("wb") as file:
        for ids, starts, cut in _chunks(examples.texts, examples.text_pairs, tokenizer, max_length):
            lengths += map(len, ids)
            second += starts
            truncated += cut
            np.concatenate([np.asarray(row, dtype=np.int32) for row in ids]).tofile(file)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    flat = np.memmap(raw, dtype=np.int32, mode="r", shape=(int(offsets[-1]),))
    np.save(folder / "input_ids.npy", flat)
    del flat
    os.remove(raw)
    np.save(folder / "offsets.npy", offsets)
    np.save(folder / "second_starts.npy", np.asarray(second, dtype=np.int32))
    (folder / "meta.json").write_text(json.dumps({"num_truncated": truncated, "num_rows": len(examples)}))
