"""Pages of runs that write texts, and of runs that find answers, from run folders that are written here by hand."""

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lit_humor.core.errors import UserError
from lit_humor.metrics.intervals import share_interval
from lit_humor.pages.page import Grid, Section
from lit_humor.reporting.evidence import read_run
from lit_humor.reporting.run_page import write_report
from lit_humor.runs import record
from lit_humor.tasks.embedding import Embedding
from lit_humor.tasks.generation import Generation
from lit_humor.tasks.recorded import record_tasks
from lit_humor.tasks.reports.generation.texts import MOST_ROWS, faults, side_by_side
from tests.unit.test_reporting import EVIL, make_run

TASKS = {"embedding": Embedding(), "generation": Generation()}
ANSWERS = ["to the bank", "a red hat", "nobody knows", "to the bank"]
WRITTEN = ["To the bank!", "a blue hat", "", "where they went"]
NLL, TOKENS = [2.0, 4.0, 6.0, 8.0], [1, 2, 3, 4]  # a loss of 2 for each token, whatever rows are drawn
KEYS = [7, 8, 9, 7]  # the first answer and the last are equal
AXES = np.eye(3, dtype=np.float32)
PASSAGES = AXES[[0, 1, 2, 0]]
QUERIES = np.asarray([[1, 0, 0], [0.9, 0.4, 0.1], [0.9, 0.4, 0.1], [0.9, 0.1, 0.4]], dtype=np.float32)
RANKS = [1, 2, 3, 1]


def columns_of(kinds: Sequence[str], *, written: bool) -> dict[str, Any]:
    """The columns of four rows."""
    columns: dict[str, Any] = {
        "id": [f"row{row}" for row in range(4)],
        "text": [EVIL, "What did she buy?", "Who did it?", "I wondered where they went, and why."],
        "answer": ANSWERS,
    }
    if "embedding" in kinds:
        columns["answer_key"] = KEYS
    if "generation" in kinds:
        columns |= {"nll": NLL, "answer_tokens": TOKENS} | ({"prediction": WRITTEN} if written else {})
    return columns | {"tokens": [9] * 4, "language": ["en", "en", "es", None]}


def make_texts_run(
    folder: Path,
    kinds: Sequence[str] = ("embedding", "generation"),
    splits: Sequence[str] = ("val", "test"),
    *,
    written: bool = True,
) -> Path:
    """A finished run of these kinds of tasks, the same four rows in each split, written texts in test alone."""
    make_run(folder)
    for file in (folder / record.PREDICTIONS).iterdir():
        file.unlink()
    results: dict[str, Any] = {}
    for split in splits:
        columns = columns_of(kinds, written=written and split == "test")
        pq.write_table(pa.table(columns), record.predictions_path(folder, split))
        results[split] = {}
        if "embedding" in kinds:
            np.save(record.vectors_path(folder, split, "query"), QUERIES)
            np.save(record.vectors_path(folder, split, "passage"), PASSAGES)
            results[split] |= Embedding().measure_columns({"rank": RANKS}) | {"alignment": 0.5, "uniformity": -1.5}
        if "generation" in kinds:
            results[split] |= Generation().measure_columns(columns)
    baseline = {split: {"recall_at_1": 0.125, "perplexity": 123.456} for split in splits}
    kept = record.read_json(folder / record.RESULT)
    definitions = {name: words for kind in kinds for name, words in TASKS[kind].definitions.items()}
    new = {"results": results, "baseline": {"results": baseline}, "definitions": definitions}
    record.write_json(folder / record.RESULT, kept | new)
    tasks = record_tasks({kind: TASKS[kind] for kind in kinds}, "val/loss", "min")
    record.write_json(folder / record.TASKS, tasks.to_json())
    return folder


def page_of(run: Path) -> str:
    """The page of a run, with plain cells."""
    return re.sub(r'<td class="[^"]*"(?: dir="auto")?>', "<td>", write_report(run).read_text())


def rows_of(html: str, caption: str) -> list[list[str]]:
    """The cells of the first table whose caption begins so."""
    table = html[html.index(f"<caption>{caption}") :].split("</table>")[0]
    return [re.findall(r"<td>(.*?)</td>", row, re.DOTALL) for row in table.split("<tr>")[2:]]


def test_a_page_of_both_tasks_has_each_section_once(tmp_path: Path) -> None:
    html = page_of(make_texts_run(tmp_path / "run"))
    sections = re.findall(r'<section id="([^"]+)"', html)
    assert sections == [
        "results", "learning", "recall", "neighbours", "recall-by-slice", "texts", "copied-empty-repeated",
        "texts-by-slice", "data", "how-it-was-made",
    ]  # fmt: skip
    assert {f'href="#{name}"' for name in sections} == set(re.findall(r'<a (href="#[^"]+")', html))
    assert EVIL not in html
    assert html.count("&lt;script&gt;alert") >= 3
    captions = re.findall(r"<caption>(.*?)</caption>", html[: html.index('<section id="learning"')])
    assert len(captions) == len(set(captions))
    assert {path.name for path in (tmp_path / "run" / "report").iterdir()} == {"learning.svg", "recall.svg"}
    epochs = html[html.index("<caption>Epochs") :].split("</tr>")[0]
    assert epochs.count(">val/loss<") == 1


def test_the_lead_holds_the_numbers_of_both_tasks(tmp_path: Path) -> None:
    html = page_of(make_texts_run(tmp_path / "run"))
    lead = html[html.index("<p>") : html.index("<nav")]
    assert re.search(r"4 rows of test: recall@1 0\.500 \[0\.000, 1\.000\], recall@10 1\.000 \[", lead)
    assert "MRR 0.708 [" in lead
    assert "perplexity 7.389 [7.389, 7.389] (unigram baseline 123.456)" in lead
    f1 = (1 + 4 / 6 + 0 + 0) / 4
    assert re.search(rf"chrF 0\.\d+, token F1 {f1:.3f} \[0\.\d+, \d\.\d+\]", lead)
    assert "none says that a text is funny" in lead


def test_results_of_each_task_stand_beside_its_own_baseline(tmp_path: Path) -> None:
    html = page_of(make_texts_run(tmp_path / "run"))
    found, wrote = (rows_of(html, f"test, answers {word}: 4 rows") for word in ("found", "written"))
    assert {row[0] for row in found} == {
        "recall_at_1", "recall_at_5", "recall_at_10", "mrr", "alignment", "uniformity",
    }  # fmt: skip
    assert found[0][-1] == "0.125"
    assert {row[0] for row in wrote} == {
        "perplexity", "exact_match", "token_f1", "chrf", "bleu", "empty", "copied", "distinct",
    }  # fmt: skip
    assert next(row for row in wrote if row[0] == "perplexity")[-1] == "123.456"
    low, high = share_interval(1, 4)
    assert ["exact_match", f"0.250 [{low:.3f}, {high:.3f}]", ""] in wrote
    assert [row[0] for row in rows_of(html, "val, answers written")] == ["perplexity"]


def test_texts_stand_beside_their_answers_from_best_to_worst(tmp_path: Path) -> None:
    rows = rows_of(page_of(make_texts_run(tmp_path / "run")), "Texts of test beside what was written: 4 of 4 rows")
    assert [row[0] for row in rows] == ["row0", "row1", "row2", "row3"]
    assert [row[2:] for row in rows] == [
        [answer, text, f1, "2.000"]
        for answer, text, f1 in zip(ANSWERS, WRITTEN, ["1.000", "0.667", "0.000", "0.000"], strict=True)
    ]


def test_of_many_rows_both_ends_and_some_between_are_shown() -> None:
    count = 1000
    columns = {
        "id": [f"row{row}" for row in range(count)],
        "text": ["a text"] * count,
        "answer": ["yes"] * count,
        "prediction": ["yes" if row < 40 else "no" for row in range(count)],
        "nll": [float(row) for row in range(count)],
        "answer_tokens": [1] * count,
    }
    (grid,) = side_by_side("test", columns)
    assert isinstance(grid, Grid)
    assert [int(row[0][3:]) for row in grid.rows] == [*range(50), *range(50, 950, 9), *range(950, 1000)]
    assert len(grid.rows) == MOST_ROWS
    assert [row[-1] for row in grid.rows] == ["best"] * 50 + ["between"] * 100 + ["worst"] * 50
    assert grid.searchable
    assert grid.texts == (1, 2, 3)


def test_copied_empty_and_repeated_texts_are_named(tmp_path: Path) -> None:
    html = page_of(make_texts_run(tmp_path / "run"))
    (copied,) = rows_of(html, "1 of 4 texts of test are a part of what stands before them")
    assert copied == ["row3", "I wondered where they went, and why.", "where they went", "to the bank"]
    (empty,) = rows_of(html, "1 of 4 texts of test are empty")
    assert empty == ["row2", "Who did it?", "nobody knows"]
    assert rows_of(html, "4 different texts in 4 rows") == []
    columns = columns_of(("generation",), written=True) | {"prediction": ["Ha!", "ha", "", "ha?"]}
    grid = faults("test", columns)[0]
    assert isinstance(grid, Grid)
    assert grid.caption.startswith("2 different texts in 4 rows of test")
    assert grid.rows == [["3", "75.0%", "Ha!"]]


def test_a_run_without_written_texts_has_a_page(tmp_path: Path) -> None:
    html = page_of(make_texts_run(tmp_path / "run", ("generation",), ("val",)))
    assert "4 rows of val: perplexity 7.389" in html
    assert "No texts were written for these rows" in html
    assert "copied-empty-repeated" not in html
    assert [row[0] for row in rows_of(html, "Answers of val")] == ["row0", "row1", "row2", "row3"]
    assert rows_of(html, "val: by language") == [
        ["en", "7.389 [7.389, 7.389]", "2"],
        ["es", "7.389 [7.389, 7.389]", "1"],
    ]


def test_recall_stands_beside_chance(tmp_path: Path) -> None:
    html = page_of(make_texts_run(tmp_path / "run", ("embedding",)))
    assert "test has 4 rows and 3 different answers" in html
    table = rows_of(html, "test: share of rows found")
    assert table == [["1", "0.500", "0.125", "0.333"], ["2", "0.750", "", "0.667"], ["3", "1.000", "", "1.000"]]
    assert "Median rank of the row&#39;s own answer: 1.5; by chance it is 2." in html
    assert "<svg" in html[html.index("Recall at k (test)") :]
    slices = rows_of(html, "test: by language")
    assert [row[0] for row in slices] == ["en", "es"]
    assert slices[1] == ["es", "1.000 [1.000, 1.000]", "0.333 [0.333, 0.333]", "1"]
    assert "Slices of fewer than 30 rows tell little" in html


def test_neighbours_hold_own_and_other_answers(tmp_path: Path) -> None:
    html = page_of(make_texts_run(tmp_path / "run", ("embedding",)))
    worst = rows_of(html, "The 4 rows of test whose answer was found worst")
    assert [row[0] for row in worst] == ["row2", "row1", "row0", "row3"]
    assert worst[0][2:] == ["nobody knows", "3", "0.100", "to the bank", "0.900"]
    assert worst[1][2:] == ["a red hat", "2", "0.400", "to the bank", "0.900"]
    best = rows_of(html, "2 of 2 rows of test whose answer is the nearest of all")
    assert [(row[0], row[-1]) for row in best] == [("row0", "0"), ("row3", "0")]  # the first has the higher cosine
    assert best[1][2:] == ["to the bank", "1", "0.900", "nobody knows", "0.400", "0"]


def test_intervals_from_vectors_are_those_of_ranks() -> None:
    vectors = {"query": QUERIES, "passage": PASSAGES, "answer_key": KEYS}
    assert Embedding().intervals(vectors) == Embedding().intervals({"rank": RANKS})
    assert Embedding().intervals({"answer_key": KEYS}) == {}


def test_intervals_of_written_texts_hold_their_numbers() -> None:
    rows = 10
    columns = columns_of(("generation",), written=True)
    many = {name: values * rows for name, values in columns.items()} | {"nll": [float(n) for n in range(4 * rows)]}
    numbers, ends = Generation().measure_columns(many), Generation().intervals(many)
    assert set(ends) == {"perplexity", "exact_match", "token_f1"}
    for name, (low, high) in ends.items():
        assert low < numbers[name] < high
    none = {**many, "prediction": [None] * len(many["nll"]), "answer_tokens": [0] * len(many["nll"])}
    assert Generation().intervals(none) == {}


def test_vectors_that_are_not_of_the_rows_are_refused(tmp_path: Path) -> None:
    run = make_texts_run(tmp_path / "a run")
    vectors = read_run(run).predictions["test"]
    assert np.array_equal(vectors["query"], QUERIES)
    assert np.array_equal(vectors["passage"], PASSAGES)
    np.save(record.vectors_path(run, "test", "query"), QUERIES[:3])
    with pytest.raises(
        UserError, match=r"test\.query\.npy: found an array of 3 x 3, expected a vector for each of"
    ) as of:
        read_run(run)
    assert f"eval.py 'run={run}' split=test" in of.value.fix
    scored = run / "eval" / "own-test" / "predictions"
    scored.mkdir(parents=True)
    np.save(scored / "test.query.npy", QUERIES)
    _, _, copying = of.value.fix.partition(" && ")
    subprocess.run(["bash", "-c", copying], check=True)
    assert len(read_run(run).predictions["test"]["query"]) == 4
    record.vectors_path(run, "test", "passage").write_bytes(b"half")
    with pytest.raises(UserError, match="no whole array of numbers"):
        read_run(run)


def test_without_vectors_the_page_says_so(tmp_path: Path) -> None:
    run = make_texts_run(tmp_path / "run", ("embedding",))
    for file in (run / record.PREDICTIONS).glob("*.npy"):
        file.unlink()
    html = page_of(run)
    assert "The vectors of the rows do not lie beside their predictions" in html
    assert "recall@1 0.500, recall@10 1.000, MRR 0.708." in html
    assert json.loads((run / record.RESULT).read_text())["results"]["test"]["mrr"] == pytest.approx(0.7083, abs=1e-4)


def test_an_anchor_has_no_comma() -> None:
    assert Section("Copied, empty, repeated").name == "copied-empty-repeated"
