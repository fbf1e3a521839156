"""Features that tell the class without a word being read are found, and where there are none, none is."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lit_humor.auditing import labels, shapes
from lit_humor.auditing.rows import Finding, join_splits
from lit_humor.data.examples import tolerant_reading
from lit_humor.data.sources.files import TextFiles
from tests.unit.test_splits import distinct_texts, labelled

ROWS = 200
HEADER = ("id", "text", "context", "label", "source", "score")
Row = dict[str, str]


def _rows() -> list[Row]:
    """Nothing tells the class."""
    generator = np.random.default_rng(5)
    texts, contexts = distinct_texts(ROWS, seed=3), distinct_texts(ROWS, seed=4)
    return [
        {
            "id": str(generator.integers(10**6)),
            "text": texts[row][: int(generator.integers(20, 69))],
            "context": contexts[row] if generator.random() < 0.7 else "",
            "label": str(generator.integers(2)),
            "source": str(generator.choice(["web", "tv", "book"])),
            "score": f"{generator.random():.3f}" if generator.random() < 0.8 else "",
        }
        for row in range(ROWS)
    ]


def _findings(rows: list[Row], folder: Path) -> list[Finding]:
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HEADER)
        writer.writeheader()
        writer.writerows(rows)
    with tolerant_reading() as readings:
        splits = TextFiles(train_path=str(folder / "rows.csv"), text_pair_column="context").load()
    return shapes.shape_findings(join_splits(splits), splits, readings)


def _set(column: str, value: Callable[[Row, bool], str]) -> Callable[[list[Row]], list[Row]]:
    return lambda rows: [row | {column: value(row, row["label"] == "1")} for row in rows]


LEAKS: dict[str, tuple[Callable[[list[Row]], list[Row]], str]] = {
    "second text": (_set("context", lambda row, joke: "" if joke else "a context"), "second text: filled"),
    "length": (_set("text", lambda row, joke: row["text"] * (1 + 3 * joke)), "text, characters"),
    "last character": (_set("text", lambda row, joke: row["text"] + ".!"[joke]), "text, last character: "),
    "first character": (_set("text", lambda row, joke: "-+"[joke] + row["text"]), "text, first character: "),
    "capitals": (
        _set("text", lambda row, joke: row["text"].upper() if joke else row["text"]),
        "text, share of capitals",
    ),
    "digits": (
        _set("text", lambda row, joke: f"{row['text'][:10]} {7 * joke * 111} x" if joke else row["text"]),
        "text, digits",
    ),
    "line breaks": (_set("text", lambda row, joke: row["text"].replace(" ", "\n", joke)), "text, line breaks"),
    "emoji": (_set("text", lambda row, joke: f"so 😂😂 {row['text']}" if joke else row["text"]), "text, "),
    "place": (lambda rows: sorted(rows, key=lambda row: row["label"]), "position in the file"),
    "turns": (
        lambda rows: [row | {"label": str(number % 2)} for number, row in enumerate(rows)],
        "row number modulo 2",
    ),
    "id": (_set("id", lambda row, joke: row["id"] + "NH"[joke]), "column 'id': last character"),
    "id by number": (_set("id", lambda row, joke: str(int(row["id"]) + 10**6 * joke)), "column 'id': number"),
    "source": (
        _set("source", lambda row, joke: "tv" if joke else row["source"].replace("tv", "web")),
        "column 'source': value",
    ),
    "score filled": (_set("score", lambda row, joke: "0.5" if joke else ""), "column 'score': filled"),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_feature_that_gives_the_class_away_is_named(leak: str, tmp_path: Path) -> None:
    plant, name = LEAKS[leak]
    (finding,) = _findings(plant(_rows()), tmp_path)
    (first, *_) = finding.cases
    assert any(case[0]["text"].startswith(name) for case in finding.cases), finding.cases
    assert first[0]["balanced_accuracy"] > 0.95
    assert first[0]["interval"][0] > 0.75 > first[0]["chance"] == 0.5
    assert finding.level == "warning"


def test_nothing_is_found_where_nothing_tells(tmp_path: Path) -> None:
    assert _findings(_rows(), tmp_path) == []


@pytest.mark.parametrize("share", [0.55, 0.65, 0.75])
def test_a_weak_hint_is_no_finding(share: float, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    weak = _set("text", lambda row, joke: row["text"] + ".!"[joke == (generator.random() < share)])
    assert _findings(weak(_rows()), tmp_path) == []


def test_five_classes_and_classes_of_few_rows() -> None:
    texts = [f"{text[:30]}{'!' * (row % 5)}" for row, text in enumerate(distinct_texts(200))]
    splits = {"train": labelled([*texts, "so few"], [row % 5 for row in range(200)] + [5])}
    found = shapes.shape_findings(join_splits(splits), splits, {})
    named = {case[0]["text"].partition(":")[0]: case[0] for case in found[0].cases}
    assert named["text, punctuation marks"]["balanced_accuracy"] == 1
    assert named["text, punctuation marks"]["chance"] == 0.2
    assert "row number modulo 5" in named
    few = {"train": labelled(texts[:12], [0] * 11 + [1])}
    assert shapes.shape_findings(join_splits(few), few, {}) == []


@pytest.mark.parametrize(
    ("texts", "classes", "clusters", "why"),
    [
        (distinct_texts(20), [0] * 17 + [1] * 3, range(20), "class 'class 1' has 3 rows, fewer than 5"),
        (distinct_texts(20), [0, 1] * 10, [0] * 20, "make 1 clusters of related texts, fewer than 5"),
        (["a", "b"] * 10, [0, 1] * 10, range(20), "the texts have too few words in common"),
        (["!", "?"] * 10, [0, 1] * 10, range(20), "the texts have too few words in common"),
        (distinct_texts(4), [0, 1] * 2, range(4), "class 'class 0' has 2 rows, fewer than 5"),
    ],
)
def test_what_was_not_fitted_is_not_told_as_a_number(texts: list, classes: list, clusters: range, why: str) -> None:
    rows = join_splits({"train": labelled(texts, classes)})
    found = labels.out_of_fold_probabilities(rows, np.asarray(clusters))
    assert isinstance(found, str)
    assert why in found
    assert labels.baselines(rows, found)["not_fitted"] == found
    assert labels.label_error_findings(rows, found) == []
