"""Texts as long as books."""

import time
import tracemalloc

import pytest

from lit_humor.data.batches.tokens import encode
from lit_humor.models.pretrained import load_tokenizer


@pytest.fixture
def book() -> str:
    return "Nobody laughs at the last line of a joke that is ten megabytes long. " * 160_000


def test_a_book_gives_the_tokens_of_its_beginning(tiny_model: str, book: str) -> None:
    tokenizer = load_tokenizer(tiny_model)
    found, expected = (encode([text, "x"], [text, book], tokenizer, 64) for text in (book, book[:4000]))
    assert found.input_ids.tolist() == expected.input_ids.tolist()
    assert found.num_truncated == expected.num_truncated == 2


def test_a_book_costs_little(tiny_model: str, book: str) -> None:
    """The issue is orders of magnitude, not milliseconds: the whole of it takes a minute and a gigabyte."""
    tokenizer = load_tokenizer(tiny_model)
    tracemalloc.start()
    start = time.monotonic()
    encode([book], None, tokenizer, 128)
    seconds, (_, peak) = time.monotonic() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(book) > 10 * 2**20
    assert seconds < 10
    assert peak < 200 * 2**20
