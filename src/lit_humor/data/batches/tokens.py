"""Tokenize once, keep the result in memory-mapped files."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from lit_humor.core.errors import UserError, shorten
from lit_humor.data.batches.store import TokenStore, open_store
from lit_humor.data.examples import Examples

_CHUNK_ROWS = 8192
_EMBEDDED = "leave model.pretrained away and set model=minilm"
_MOST_CHARACTERS = 100  # of a token, on average; what is cut off costs memory, in a pair by the product of both
_FORMAT = 1  # raise when the meaning of the files changes


def load_tokenizer(folder: str) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a pretrained model; only fast tokenizers, never code that the folder brings."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"model.pretrained={folder}",
            found=f"no tokenizer that loads ({shorten(str(error), 120)})",
            expected="tokenizer.json beside config.json",
            fix=f"hf download <owner>/<name> --local-dir {shlex.quote(str(folder))} puts it right, or {_EMBEDDED}",
        ) from error
    if not tokenizer.is_fast:
        raise UserError(
            f"model.pretrained={folder}",
            found="a tokenizer without tokenizer.json",
            expected="a fast tokenizer",
            fix=_EMBEDDED,
        )
    return tokenizer


def tokenize(
    examples: Examples, tokenizer: PreTrainedTokenizerBase, max_length: int, cache_dir: str | Path
) -> TokenStore:
    """Tokenize a split, or map the files that an earlier run left.

    The key of the cache is a hash of the texts, the tokenizer and ``max_length``. Files appear by one rename, so
    that two runs may start together.

    Args:
        examples: The texts.
        tokenizer: A fast tokenizer.
        max_length: Tokens of a row at most, special tokens included; a pair loses the end of its longer text.
        cache_dir: Folder of the cache; created if needed.

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
            if not (folder / "meta.json").is_file():  # else another run was faster with the same content
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return open_store(folder)


def _key(examples: Examples, tokenizer: PreTrainedTokenizerBase, max_length: int) -> str:
    digest = hashlib.sha256(f"{_FORMAT}/{max_length}/{type(tokenizer).__name__}".encode())
    tokenizer.backend_tokenizer.no_truncation()  # what the last call left is no part of the tokenizer
    tokenizer.backend_tokenizer.no_padding()
    digest.update(tokenizer.backend_tokenizer.to_str().encode())
    for column in (examples.texts, examples.text_pairs or []):
        for text in column:
            digest.update(text.encode("utf-8", "surrogatepass"))
            digest.update(b"\0")
        digest.update(b"\1")
    return digest.hexdigest()[:32]


def encode(
    texts: list[str], text_pairs: list[str] | None, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> TokenStore:
    """Tokenize texts in memory; arguments and result as of ``tokenize``."""
    parts = list(_chunks(texts, text_pairs, tokenizer, max_length))
    rows = [row for ids, _, _ in parts for row in ids]
    return TokenStore(
        input_ids=np.concatenate([np.asarray(row, dtype=np.int32) for row in rows]),
        offsets=np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)]),
        second_starts=np.asarray([start for _, starts, _ in parts for start in starts], dtype=np.int32),
        num_truncated=sum(cut for _, _, cut in parts),
    )


def _chunks(
    texts: list[str], text_pairs: list[str] | None, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Iterator[tuple[list[list[int]], list[int], int]]:
    """Token ids, starts of the second text and number of truncated rows, some thousand rows at a time."""
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
        second = [_second_start(encoding.sequence_ids) if pairs else len(encoding.ids) for encoding in encodings]
        yield encoded["input_ids"], second, sum(bool(encoding.overflowing) for encoding in encodings)


def _beginnings(texts: list[str], max_length: int) -> list[str]:
    """What a row can be made of, where a text may be a whole book."""
    return [text[: max_length * _MOST_CHARACTERS] for text in texts]


def _second_start(sequence_ids: list[int | None]) -> int:
    """Tokens before the second text of a pair; the row's length where the second text is empty."""
    return sequence_ids.index(1) if 1 in sequence_ids else len(sequence_ids)


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
