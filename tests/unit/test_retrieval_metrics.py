"""Ranks equal those of a plain loop, also over several processes, whatever the batches."""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from lit_humor.metrics import ranks
from lit_humor.metrics.retrieval import RetrievalMetrics

SLICES = {"language": ["en", "es"], "genre": ["pun"]}
NUMBERS = ("recall_at_1", "recall_at_5", "recall_at_10", "mrr")


class Rows(NamedTuple):
    queries: np.ndarray  # [N, D]
    passages: np.ndarray  # [N, D]
    keys: np.ndarray  # [N, 2]
    slices: np.ndarray  # [N, 2]

    def part(self, which: Any) -> "Rows":
        return Rows(*(column[which] for column in self))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def _rows(count: int = 57, texts: int = 40, seed: int = 0) -> Rows:
    """Passages of some rows are equal, and all queries are different."""
    generator = np.random.default_rng(seed)
    vectors = _unit(generator.normal(size=(texts, 8)))
    of_row = generator.integers(texts, size=count)
    queries = _unit(vectors[of_row] + generator.normal(size=(count, 8)))
    keys = np.stack([generator.permutation(count), 1000 - of_row], axis=1)
    slices = np.stack([generator.integers(-1, 2, size=count), np.zeros(count, int)], axis=1)
    return Rows(queries, vectors[of_row], keys, slices)


def _by_loop(rows: Rows) -> np.ndarray:
    candidates = {int(key): vector for key, vector in zip(rows.keys[:, 1], rows.passages, strict=True)}
    found = []
    for query, key in zip(rows.queries, rows.keys[:, 1], strict=True):
        own = float(query @ candidates[int(key)])
        others = [float(query @ vector) for other, vector in candidates.items() if other != key]
        equal = sum(abs(score - own) <= 1e-6 for score in others)
        found.append(1 + sum(score > own + 1e-6 for score in others) + equal / 2)
    return np.array(found)


def _measured(rows: Rows, size: int = 1000, padding: int = 0) -> dict[str, Any]:
    """With another passage, which is no candidate, and padding rows, which would be wrong."""
    metrics = RetrievalMetrics(SLICES)
    for start in range(0, len(rows.keys), size):
        part = rows.part(slice(start, start + size))
        count = len(part.keys)
        added = np.arange(count + padding) % count
        batch = part.part(added)
        passages = np.stack([batch.passages, batch.queries], axis=1)
        keys = np.concatenate([batch.keys, np.full((len(added), 1), -1)], axis=1)
        keys[count:] += 5000
        outputs = {
            "query_embeddings": torch.from_numpy(batch.queries),
            "passage_embeddings": torch.from_numpy(passages),
        }
        tensors = {"text_keys": torch.from_numpy(keys), "slices": torch.from_numpy(batch.slices)}
        metrics.update(outputs, tensors, torch.arange(len(added)) < count)
    return metrics.compute()


def test_ranks_equal_a_plain_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _rows()
    expected = _by_loop(rows)
    assert len({*expected}) > 5
    assert (ranks.ranks_of(rows.queries, rows.passages, rows.keys[:, 1]) == expected).all()
    monkeypatch.setattr(ranks, "_MOST_SCORES", 200)  # blocks of a few rows
    assert (ranks.ranks_of(rows.queries, rows.passages, rows.keys[:, 1]) == expected).all()


def test_ranks_by_hand() -> None:
    """Rows 0 and 3 have the same passage: for both it is a hit, and it takes one place alone."""
    passages = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    queries = _unit(np.array([[3.0, 2, 1], [3, 2, 1], [3, 2, 1], [2, 2, 1]]))
    assert ranks.ranks_of(queries, passages, np.array([7, 8, 9, 7])).tolist() == [1, 2, 3, 1.5]
    assert ranks.ranks_of(queries, passages, np.array([7, 8, 9, 6])).tolist() == [1.5, 3, 4, 2], "other texts, equal"
    scores = ranks.scores_of_ranks(np.array([1, 1.5, 5, 5.5, 11]))
    assert [scores[name].sum() for name in NUMBERS] == [1, 3, 4, pytest.approx(1 + 1 / 1.5 + 0.2 + 1 / 5.5 + 1 / 11)]


def test_a_model_for_which_all_is_alike_or_nothing_a_number_is_not_good() -> None:
    rows = _rows(31, 1000)
    count = len({*rows.keys[:, 1].tolist()})
    alike = np.repeat(rows.queries[:1], 31, axis=0)
    assert (ranks.ranks_of(alike, alike, rows.keys[:, 1]) == (count + 1) / 2).all()
    rounded = alike * np.where(np.arange(31) % 2, 1, 1 + 2**-22).astype(np.float32)[:, None]
    assert (ranks.ranks_of(alike, rounded, rows.keys[:, 1]) == (count + 1) / 2).all(), "but for the last bits"
    assert (ranks.ranks_of(alike * np.nan, alike, rows.keys[:, 1]) == count).all()


def test_numbers_of_a_split() -> None:
    rows = _rows()
    found, expected = _measured(rows), _by_loop(rows)
    for name, values in {
        **{f"recall_at_{most}": expected <= most for most in (1, 5, 10)},
        "mrr": 1 / expected,
    }.items():
        assert found[name] == pytest.approx(values.mean()), name
    assert found["rows"] == 57
    assert found["alignment"] == pytest.approx(np.mean([((q - p) ** 2).sum() for q, p in zip(*rows[:2], strict=True)]))
    pairs = [(rows.passages[i], rows.passages[j]) for i in range(57) for j in range(i)]
    assert found["uniformity"] == pytest.approx(
        math.log(np.mean([math.exp(-2 * ((a - b) ** 2).sum()) for a, b in pairs]))
    )
    for code, value in enumerate(SLICES["language"]):
        of_value = expected[rows.slices[:, 0] == code]
        assert found["slices"]["language"][value] == {
            "rows": len(of_value),
            "recall_at_10": pytest.approx((of_value <= 10).mean()),
            "mrr": pytest.approx((1 / of_value).mean()),
        }
    assert found["slices"]["genre"]["pun"]["rows"] == 57


def test_uniformity_leaves_out_pairs_of_one_query_and_takes_a_sample() -> None:
    passages = np.eye(3, dtype=np.float32)[[0, 0, 1]]
    assert ranks.uniformity(passages, np.array([4, 4, 5])) == pytest.approx(-4)
    assert ranks.uniformity(passages, np.array([4, 4, 4])) is None
    many = np.repeat(np.eye(2, dtype=np.float32), [2001, 2001], axis=0)
    assert ranks.uniformity(many, np.arange(4002)) == pytest.approx(math.log((999 + 1000 * math.exp(-4)) / 1999))


@pytest.mark.parametrize("size", [1, 7, 20])
def test_batches_order_and_padding_rows_change_nothing(size: int) -> None:
    rows = _rows()
    whole = _measured(rows)
    assert _measured(rows, size, padding=3) == whole
    assert _measured(rows.part(np.random.default_rng(size).permutation(57)), size) == whole


def test_order_changes_nothing_where_equal_texts_have_other_vectors() -> None:
    """As they do in the last bits, which depend on the batch that a text was in."""
    rows = _rows()
    noise = np.random.default_rng(1).normal(size=rows.passages.shape)
    rows = rows._replace(passages=_unit(rows.passages + noise / 4))
    rows.keys[:, 0] = 0
    whole = _measured(rows)
    assert _measured(rows.part(slice(None, None, -1)), 5) == whole
    assert whole["uniformity"] is None


def test_order_changes_nothing_where_a_sample_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "_SAMPLE", 10)
    rows = _rows()
    whole = _measured(rows)
    assert whole["uniformity"] is not None
    assert _measured(rows.part(slice(None, None, -1)), 5) == whole


def test_rows_without_a_passage_of_their_own_are_left_out() -> None:
    rows = _rows()
    rows.keys[40:, 1] = -1
    assert _measured(rows) == _measured(rows.part(slice(40)))


def test_no_rows_and_reset() -> None:
    metrics = RetrievalMetrics(SLICES)
    nothing = {
        **dict.fromkeys((*NUMBERS, "alignment", "uniformity")),
        "rows": 0,
        "slices": {"language": {}, "genre": {}},
    }
    assert metrics.compute() == nothing
    keys, vectors = torch.tensor([[1, 2]]), torch.ones(1, 1)
    slices = torch.zeros(1, 2, dtype=torch.long)
    outputs = {"query_embeddings": vectors, "passage_embeddings": vectors[:, None]}
    metrics.update(outputs, {"text_keys": keys, "slices": slices}, torch.tensor([True]))
    found = metrics.compute()
    assert (found["rows"], found["mrr"], found["alignment"], found["uniformity"]) == (1, 1, 0, None)
    metrics.reset()
    assert metrics.compute() == nothing


def test_intervals_hold_the_means_of_the_ranks() -> None:
    found = _by_loop(_rows(200, 200))
    intervals = ranks.retrieval_intervals(found)
    assert [*intervals] == [*NUMBERS]
    for name, values in ranks.scores_of_ranks(found).items():
        low, high = intervals[name]
        deviation = values.std() / math.sqrt(len(values))
        assert low == pytest.approx(values.mean() - 1.96 * deviation, abs=0.01)
        assert high == pytest.approx(values.mean() + 1.96 * deviation, abs=0.01)


def _measure_a_share(rank: int, folder: Path, ends: list[int]) -> None:
    store = torch.distributed.FileStore(str(folder / "store"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    found = _measured(_rows().part(slice(ends[rank], ends[rank + 1])), 6, padding=2)
    (folder / f"{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("ends", [[0, 30, 57], [0, 0, 57], [0, 1, 1]])
def test_two_processes_rank_among_all_rows(tmp_path: Path, ends: list[int]) -> None:
    """Also where one of them is dealt no rows."""
    torch.multiprocessing.start_processes(_measure_a_share, (tmp_path, ends), nprocs=2, start_method="fork")
    expected = _measured(_rows().part(slice(ends[2])))
    for rank in range(2):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == expected
