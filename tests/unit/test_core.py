import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from lit_humor.core.batch import chunks, row_tokens
from lit_humor.core.errors import UserError, UserErrors
from lit_humor.core.seeds import derive_seed
from lit_humor.learning.memory import halve_chunks
from lit_humor.runs import screen


def test_streams_differ_by_seed_and_name_and_are_stable() -> None:
    seeds = [derive_seed(seed, name, n) for seed in (1, 2) for name in ("order", "split") for n in (0, 1)]
    assert len(set(seeds)) == 8
    code = "from lit_humor.core.seeds import derive_seed; print(derive_seed(42, 'order', 3))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(found) == derive_seed(42, "order", 3), "another process, another hash seed, the same stream"


def test_neighbouring_seeds_are_unrelated() -> None:
    draws = np.array([np.random.default_rng(derive_seed(s, "order")).random(64) for s in range(20)])
    correlations = np.corrcoef(draws)[np.triu_indices(20, 1)]
    assert abs(correlations).max() < 0.55


def test_an_error_names_place_finding_expectation_and_remedy() -> None:
    error = UserError("data.max_length", found="513", expected="at most 512", fix="set data.max_length=512")
    assert str(error) == "data.max_length: found 513, expected at most 512. Fix: set data.max_length=512."
    assert str(UserErrors([error, error])).count("\n") == 1


@pytest.mark.parametrize(
    ("max_tokens", "sizes"),
    [(None, [7]), (70, [7]), (69, [4, 3]), (40, [4, 3]), (39, [3, 3, 1]), (20, [2, 2, 2, 1]), (3, [1] * 7)],
)
def test_passes_are_the_batch_in_parts_of_bounded_size(max_tokens: int | None, sizes: list[int]) -> None:
    batch = {"input_ids": torch.arange(70).view(7, 10), "labels": torch.arange(7), "row_weights": torch.ones(7)}
    parts = chunks(batch, max_tokens)  # type: ignore[arg-type]
    assert [len(part["labels"]) for part in parts] == sizes
    for name, value in batch.items():
        assert torch.equal(torch.cat([part[name] for part in parts]), value)  # type: ignore[literal-required]


def test_a_row_costs_all_its_tokens_whatever_they_are_called() -> None:
    """Texts with their token types; a query with three passages, and something to write; nothing with tokens."""
    common = {"rows": torch.arange(6), "row_weights": torch.ones(6), "slices": torch.zeros(6, 9)}
    ids = torch.zeros(6, 10, dtype=torch.long)
    texts: Any = common | {"input_ids": ids, "attention_mask": ids, "token_type_ids": ids}
    assert row_tokens(texts) == 10
    pairs: Any = common | {"query_ids": ids, "passage_ids": torch.zeros(6, 3, 5), "written_ids": torch.zeros(6, 7)}
    assert row_tokens(pairs) == 10 + 15 + 7
    assert [len(part["passage_ids"]) for part in chunks(pairs, 64)] == [2, 2, 2]
    assert halve_chunks([pairs], None) == 6 * 32 // 2
    others: Any = common
    assert [len(part["rows"]) for part in chunks(others, 3)] == [3, 3]


def test_a_column_of_numbers_stands_at_the_right_where_one_is_missing() -> None:
    made = screen.table("title", ("metric", "model", "note", "none"), [("f1", 0.5, "low", ""), ("loss", "", "", "")])
    assert [column.justify for column in made.columns] == ["left", "right", "left", "left"]
