"""Two runs that find or write answers are compared on the same rows; the numbers are worked out again here."""

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import binom

from lit_humor.core.errors import UserError
from lit_humor.metrics import generated_texts, ngrams
from lit_humor.reporting.comparison import Comparison, write_comparison
from lit_humor.runs import record
from lit_humor.tasks.classification import Classification
from lit_humor.tasks.embedding import Embedding
from lit_humor.tasks.generation import Generation
from lit_humor.tasks.recorded import record_tasks
from tests.unit.test_report_texts import rows_of
from tests.unit.test_reporting import EVIL, make_run

BOTH = ("embedding", "generation")
TASKS = {"embedding": Embedding(), "generation": Generation(), "classification": Classification(("not humor", "humor"))}
ROWS, SIZE = 24, 6
WORDS = ("sun", "rain", "cat", "dog", "tea", "book")
Columns = dict[str, Any]


def _columns(seed: int, kinds: Sequence[str], tokens: int = 0) -> Columns:
    """Rows that are the same for every seed, with a model's numbers and texts, which are not."""
    rows, judge = np.random.default_rng(7), np.random.default_rng(seed)
    answers = [" ".join(rows.choice(WORDS, 4)) for _ in range(ROWS - 1)]
    columns: Columns = {
        "id": [f"row{row}" for row in range(ROWS)],
        "text": [EVIL, *(f"set-up {row}" for row in range(1, ROWS))],
        "answer": [*answers, answers[0]],
        "tokens": [9] * ROWS,
    }
    if "embedding" in kinds:
        columns["answer_key"] = [*range(ROWS - 1), 0]
    if "generation" in kinds:
        counts = rows.integers(2, 9, size=ROWS) + tokens
        columns |= {"nll": (counts * judge.uniform(1, 3, size=ROWS)).tolist(), "answer_tokens": counts.tolist()}
        columns["prediction"] = [_written(answer, judge) for answer in columns["answer"]]
        columns["prediction"][5] = ""
    if "classification" in kinds:
        names = ["humor", "not humor"] * (ROWS // 2)
        scores = judge.random(ROWS)
        columns |= {"label": names, "p_not humor": 1 - scores, "p_humor": scores}
    return columns


def _written(answer: str, judge: np.random.Generator) -> str:
    return " ".join(word if judge.random() < 0.6 else str(judge.choice(WORDS)) for word in answer.split())


def _vectors(seed: int) -> tuple[np.ndarray, np.ndarray]:
    passages = np.random.default_rng(3).normal(size=(ROWS, SIZE))
    passages[-1] = passages[0]
    queries = passages + np.random.default_rng(seed).normal(scale=1.2, size=(ROWS, SIZE))
    return tuple((one / np.linalg.norm(one, axis=1, keepdims=True)).astype(np.float32) for one in (queries, passages))  # type: ignore[return-value]


def _make(folder: Path, seed: int, kinds: Sequence[str] = BOTH, tokens: int = 0) -> Path:
    """A finished run of these kinds of tasks, with a test split alone."""
    make_run(folder)
    for file in (folder / record.PREDICTIONS).iterdir():
        file.unlink()
    pq.write_table(pa.table(_columns(seed, kinds, tokens)), record.predictions_path(folder, "test"))
    if "embedding" in kinds:
        for name, vectors in zip(("query", "passage"), _vectors(seed), strict=True):
            np.save(record.vectors_path(folder, "test", name), vectors)
    tasks = record_tasks({kind: TASKS[kind] for kind in kinds}, "val/loss", "min")
    record.write_json(folder / record.TASKS, tasks.to_json())
    return folder


def _compare(first: Path, second: Path) -> tuple[Comparison, str]:
    """What was found, and the page with plain cells."""
    page = first.with_name("page.html")
    found = write_comparison(first, second, page)
    return found, re.sub(r'<td class="[^"]*"(?: dir="auto")?>', "<td>", page.read_text())


def _cells(html: str, caption: str) -> dict[str, list[str]]:
    return {name: cells for name, *cells in rows_of(html, caption)}


def _bootstrap(score: Callable[[np.ndarray], float]) -> tuple[float, float]:
    """The ends of an interval of a score of rows, one resample after the other."""
    draws = np.random.default_rng(0).integers(ROWS, size=(2000, ROWS))
    low, high = np.quantile([score(rows) for rows in draws], (0.025, 0.975))
    return float(low), float(high)


def _shown(value: float, ends: tuple[float, float], sign: str = "") -> str:
    return f"{value:{sign}.3f} [{ends[0]:{sign}.3f}, {ends[1]:{sign}.3f}]"


def _ranks(seed: int) -> np.ndarray:
    """One row after the other, among the different answers: the last row has that of the first."""
    queries, passages = _vectors(seed)
    own = [*range(ROWS - 1), 0]
    scores = queries.astype(float) @ passages[: ROWS - 1].T.astype(float)
    return np.asarray(
        [1 + sum(score > line[at] + 1e-6 for score in line) for line, at in zip(scores, own, strict=True)]
    )


def test_answers_that_are_found_are_compared_row_by_row(tmp_path: Path) -> None:
    first, second = _make(tmp_path / "one", 1, ["embedding"]), _make(tmp_path / "two", 3, ["embedding"])
    found, html = _compare(first, second)
    a, b = _ranks(1), _ranks(3)
    cells = _cells(html, "test: 24 rows, answers found")
    scores: dict[str, Callable[[np.ndarray], Any]] = {
        "recall@1": lambda ranks: ranks <= 1, "recall@5": lambda ranks: ranks <= 5,
        "recall@10": lambda ranks: ranks <= 10, "MRR": lambda ranks: 1 / ranks,
    }  # fmt: skip
    assert list(cells) == list(scores)
    for name, of in scores.items():
        of_a, of_b = of(a).astype(float), of(b).astype(float)
        gap, ends = of_b.mean() - of_a.mean(), _bootstrap(lambda rows, x=of_a, y=of_b: y[rows].mean() - x[rows].mean())
        of_each = [_shown(x.mean(), _bootstrap(lambda rows, x=x: x[rows].mean())) for x in (of_a, of_b)]
        assert cells[name] == [*of_each, _shown(gap, ends, "+")]
        key = name.replace("@", "_at_").lower()
        assert found.differences[f"{key}_difference"] == pytest.approx(gap)
        assert (found.differences[f"{key}_low"], found.differences[f"{key}_high"]) == pytest.approx(ends)
    alone = int(((a == 1) & (b > 1)).sum()), int(((b == 1) & (a > 1)).sum())
    p = min(1.0, 2 * binom.cdf(min(alone), sum(alone), 0.5))
    assert rows_of(html, "McNemar") == [[str(alone[0]), str(alone[1]), f"{p:.4f}"]]
    assert p < 0.05
    assert found.differences["mcnemar_p"] == pytest.approx(p)
    assert f"recall@1 {cells['recall@1'][2]}, recall@10 {cells['recall@10'][2]}" in found.words
    assert f"(two less one; 95 % intervals); McNemar's p of recall@1 {p:.4f}" in found.words


def test_rows_whose_ranks_differ_stand_side_by_side(tmp_path: Path) -> None:
    _, html = _compare(_make(tmp_path / "one", 1, ["embedding"]), _make(tmp_path / "two", 2, ["embedding"]))
    a, b = _ranks(1), _ranks(2)
    differ = np.flatnonzero(a != b)
    counts = f"{(b < a).sum()} better in B, {(a < b).sum()} better in A, {(a == b).sum()} alike"
    table = rows_of(html, f"Ranks of the answers of test: {counts}")
    columns = _columns(1, ["embedding"])
    gaps = [abs(1 / int(cells[3]) - 1 / int(cells[4])) for cells in table]
    assert gaps == sorted(gaps, reverse=True)
    shown = {cells[0]: cells for cells in table}
    assert shown.keys() == {columns["id"][row] for row in differ}
    for row in differ:
        answer, *ranks = shown[columns["id"][row]][2:]
        assert (answer, *ranks) == (columns["answer"][row], str(a[row]), str(b[row]))


def test_texts_that_are_written_are_compared_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((generated_texts, "row_of"), (ngrams, "counts_of")):  # each row is drawn thousands of times
        monkeypatch.setattr(module, name, functools.cache(getattr(module, name)))
    first, second = _make(tmp_path / "one", 1, ["generation"]), _make(tmp_path / "two", 2, ["generation"])
    found, html = _compare(first, second)
    sides = [_columns(seed, ["generation"]) for seed in (1, 2)]

    def score(columns: Columns, rows: Sequence[int] | np.ndarray, name: str) -> float:
        taken = {key: [values[row] for row in rows] for key, values in columns.items()}
        return float(Generation().measure_columns(taken)[name])

    def perplexity(columns: Columns, rows: np.ndarray) -> float:
        return float(np.exp(np.sum(np.take(columns["nll"], rows)) / np.sum(np.take(columns["answer_tokens"], rows))))

    cells = _cells(html, "test: 24 rows, answers written")
    everything = range(ROWS)
    for key, name in {"token_f1": "token F1", "chrf": "chrF", "bleu": "BLEU", "exact_match": "exact match"}.items():
        values = [score(columns, everything, key) for columns in sides]
        assert [cell.split()[0] for cell in cells[name]] == [
            *(f"{v:.3f}" for v in values),
            f"{values[1] - values[0]:+.3f}",
        ]
    ends = _bootstrap(lambda rows: score(sides[1], rows, "chrf") - score(sides[0], rows, "chrf"))
    assert (found.differences["chrf_low"], found.differences["chrf_high"]) == pytest.approx(ends)
    known = [perplexity(columns, np.arange(ROWS)) for columns in sides]
    of_each = [_bootstrap(lambda rows, columns=columns: perplexity(columns, rows)) for columns in sides]
    ends = _bootstrap(lambda rows: perplexity(sides[1], rows) - perplexity(sides[0], rows))
    assert cells["perplexity"] == [*map(_shown, known, of_each), _shown(known[1] - known[0], ends, "+")]
    assert f"perplexity {cells['perplexity'][2]}, chrF {cells['chrF'][2]}, token F1" in found.words
    for side, columns in enumerate(sides):
        ends = Generation().intervals(columns)["exact_match"]
        assert cells["exact match"][side].endswith(f"[{ends[0]:.3f}, {ends[1]:.3f}]"), "that of the page of one run"
    assert cells["empty"][2] == "+0.000 [+0.000, +0.000]", "both left the same row empty"


def test_written_texts_stand_beside_the_answer(tmp_path: Path) -> None:
    _, html = _compare(_make(tmp_path / "one", 1, ["generation"]), _make(tmp_path / "two", 2, ["generation"]))
    a, b = (_columns(seed, ["generation"]) for seed in (1, 2))
    differ = [row for row in range(ROWS) if a["prediction"][row] != b["prediction"][row]]
    assert 5 < len(differ) < ROWS
    table = rows_of(html, f"{len(differ)} of 24 texts of test differ")
    shown = {cells[0]: cells[2:5] for cells in table}
    names = [a["id"][row] for row in differ]
    assert shown == {
        name: [a["answer"][row], a["prediction"][row], b["prediction"][row]]
        for name, row in zip(names, differ, strict=True)
    }
    gaps = [abs(float(cells[-1]) - float(cells[-2])) for cells in table]
    assert gaps == sorted(gaps, reverse=True)


def test_two_runs_of_both_are_compared_in_both(tmp_path: Path) -> None:
    found, html = _compare(_make(tmp_path / "one", 1), _make(tmp_path / "two", 2))
    sections = re.findall(r'<section id="([^"]+)"', html)
    parts = ["answers-found-in-test", "ranks-in-test", "answers-written-in-test", "texts-in-test"]
    assert sections == [*parts, "learning", "settings"]
    assert {"mcnemar_p", "mrr_difference", "perplexity_difference", "chrf_high"} <= found.differences.keys()
    recall, perplexity = found.words.splitlines()
    assert recall.startswith("recall@1 ")
    assert perplexity.startswith("perplexity ")
    assert found.note == ""
    assert EVIL not in html


@pytest.mark.parametrize("kind", BOTH)
def test_a_run_of_both_is_compared_in_what_the_other_has(tmp_path: Path, kind: str) -> None:
    other = BOTH[1 - BOTH.index(kind)]
    both, alone = _make(tmp_path / "both", 1), _make(tmp_path / "alone", 2, [kind])
    found, html = _compare(alone, both)
    assert found.note == f"Compared in {kind}; left out: {other}."
    assert found.note in html
    assert ("mrr_difference" in found.differences) == (kind == "embedding")
    assert ("perplexity_difference" in found.differences) == (kind == "generation")


def test_runs_without_a_kind_in_common_are_refused(tmp_path: Path) -> None:
    one, other = _make(tmp_path / "one", 1, ["embedding"]), _make(tmp_path / "two", 2, ["generation"])
    with pytest.raises(UserError, match="found embedding and generation, expected two runs that both have") as error:
        write_comparison(one, other, tmp_path / "page.html")
    assert error.value.expected.endswith(": classification, embedding, generation, regression")
    assert error.value.fix == f"leave runs away and set run={one}"


def test_numbers_of_several_kinds_keep_apart(tmp_path: Path) -> None:
    """Both kinds have a p of McNemar's test."""
    kinds = ["classification", "embedding"]
    runs = [_make(tmp_path / f"run{seed}", seed, kinds) for seed in (1, 2)]
    both = _compare(*runs)[0].differences
    embeds = [_make(tmp_path / f"other{seed}", seed, ["embedding"]) for seed in (1, 2)]
    assert both["embedding_mcnemar_p"] == _compare(*embeds)[0].differences["mcnemar_p"] != both["mcnemar_p"]
    assert {"f1_difference", "mrr_difference"} <= both.keys()


@pytest.mark.parametrize("kind", BOTH)
def test_other_answers_are_other_rows(tmp_path: Path, kind: str) -> None:
    one, other = _make(tmp_path / "one", 1, [kind]), _make(tmp_path / "two", 2, [kind])
    path = record.predictions_path(other, "test")
    columns = pq.read_table(path).to_pydict()
    pq.write_table(pa.table(columns | {"answer": ["another", *columns["answer"][1:]]}), path)
    with pytest.raises(UserError, match="other rows in test"):
        write_comparison(one, other, tmp_path / "page.html")


def test_perplexities_of_different_tokens_are_not_compared(tmp_path: Path) -> None:
    one = _make(tmp_path / "one", 1, ["generation"])
    found, html = _compare(one, _make(tmp_path / "two", 2, ["generation"], tokens=1))
    assert "perplexity_difference" not in found.differences
    assert "chrf_difference" in found.differences
    assert "A and B read the answers as different tokens" in html
    assert "perplexity" not in _cells(html, "test: 24 rows, answers written")


@pytest.mark.parametrize("tokens", [0, 1])
def test_runs_that_wrote_nothing_are_compared_in_their_losses(tmp_path: Path, tokens: int) -> None:
    one, other = _make(tmp_path / "one", 1, ["generation"]), _make(tmp_path / "two", 2, ["generation"], tokens)
    path = record.predictions_path(other, "test")
    pq.write_table(pq.read_table(path).drop_columns("prediction"), path)
    found, html = _compare(one, other)
    assert "No rows have texts of both runs" in html
    if tokens:
        assert found.differences == {}
        assert "nothing that is written can be compared" in found.words
        return
    assert found.differences.keys() == {f"perplexity_{end}" for end in ("difference", "low", "high")}
    a, b = (
        [n / t for n, t in zip(c["nll"], c["answer_tokens"], strict=True)]
        for c in (_columns(1, BOTH), _columns(2, BOTH))
    )
    most = max(range(ROWS), key=lambda row: abs(a[row] - b[row]))
    first = rows_of(html, "Answers of test whose likelihoods differ most")[0]
    assert (first[0], *first[3:]) == (f"row{most}", f"{a[most]:.3f}", f"{b[most]:.3f}")


def test_without_vectors_the_page_says_so(tmp_path: Path) -> None:
    one, other = _make(tmp_path / "one", 1, ["embedding"]), _make(tmp_path / "two", 2, ["embedding"])
    record.vectors_path(other, "test", "query").unlink()
    found, html = _compare(one, other)
    assert found.differences == {}
    assert "do not lie beside their predictions" in found.words
    assert "do not lie beside their predictions" in html
