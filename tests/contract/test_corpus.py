"""The embedded corpus is what its card says."""

import csv
from collections import Counter, defaultdict

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from lit_humor.auditing.labels import baselines, out_of_fold_probabilities
from lit_humor.auditing.rows import join_splits
from lit_humor.data.sources.demo import CORPUS_DIR, DemoCorpus

COLUMNS = ["id", "text", "is_humor", "language", "genre", "part", "pair_id", "split"]
LANGUAGES = sorted(path.stem for path in CORPUS_DIR.glob("*.csv"))
SHORTEST = {"zh": 8}  # characters
ROWS = []
for _language in LANGUAGES:
    with (CORPUS_DIR / f"{_language}.csv").open(encoding="utf-8", newline="") as _file:
        ROWS += list(csv.DictReader(_file))


def test_size_languages_and_share_of_humor() -> None:
    assert len(LANGUAGES) >= 9
    counts = Counter(row["language"] for row in ROWS)
    assert counts.most_common(1)[0][0] == "en"
    assert min(counts.values()) >= 250
    plain = [row["is_humor"] == "1" for row in ROWS if row["part"] == "plain"]
    assert len(plain) >= 1000
    assert 0.35 <= sum(plain) / len(plain) <= 0.45


def test_columns_and_values() -> None:
    for row in ROWS:
        assert list(row) == COLUMNS
        assert row["text"] == row["text"].strip()
        assert SHORTEST.get(row["language"], 15) <= len(row["text"]) <= 320
        assert row["is_humor"] in ("0", "1")
        assert row["part"] in ("plain", "twins")
        assert row["split"] in ("train", "val", "test")
        assert row["id"].startswith(row["language"])
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    assert len({" ".join(row["text"].casefold().split()) for row in ROWS}) == len(ROWS)


def test_twins_are_a_joke_and_its_serious_twin_in_one_split() -> None:
    pairs = defaultdict(list)
    for row in ROWS:
        assert bool(row["pair_id"]) == (row["part"] == "twins")
        if row["pair_id"]:
            pairs[row["pair_id"]].append(row)
    assert len(pairs) >= 300
    for pair in pairs.values():
        assert sorted(row["is_humor"] for row in pair) == ["0", "1"]
        for column in ("split", "genre", "language"):
            assert len({row[column] for row in pair}) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_split_has_both_classes_and_parts(language: str) -> None:
    cells = Counter((row["split"], row["part"], row["is_humor"]) for row in ROWS if row["language"] == language)
    assert len(cells) == 12
    assert min(cells.values()) >= 2


def test_neither_form_nor_length_gives_the_label_away() -> None:
    plain = [row for row in ROWS if row["part"] == "plain"]
    for genre in {row["genre"] for row in plain}:
        labels = [row["is_humor"] == "1" for row in plain if row["genre"] == genre]
        assert 0.3 <= sum(labels) / len(labels) <= 0.5, genre
    lengths = {label: [len(row["text"]) for row in plain if row["is_humor"] == label] for label in "01"}
    means = {label: sum(values) / len(values) for label, values in lengths.items()}
    assert abs(means["0"] - means["1"]) < 10
    for mark in "?!:":
        shares = [
            sum(mark in r["text"] for r in plain if r["is_humor"] == label) / len(lengths[label]) for label in "01"
        ]
        assert abs(shares[0] - shares[1]) < 0.08, mark


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_rows_nearly_alike_but_twins(language: str) -> None:
    rows = [row for row in ROWS if row["language"] == language]
    grams = CountVectorizer(analyzer="char", ngram_range=(5, 5), binary=True).fit_transform(row["text"] for row in rows)
    shared = (grams @ grams.T).toarray().astype(float)
    sizes = shared.diagonal()
    similarity = np.triu(shared / (sizes[:, None] + sizes - shared), k=1)
    for one, other in zip(*np.nonzero(similarity >= 0.5), strict=True):
        assert rows[one]["pair_id"], (rows[one]["text"], rows[other]["text"])
        assert rows[one]["pair_id"] == rows[other]["pair_id"], (rows[one]["text"], rows[other]["text"])


@pytest.mark.parametrize(("part", "most"), [("plain", 0.85), ("twins", 0.65)])
@pytest.mark.parametrize("language", [None, *LANGUAGES])
def test_words_alone_do_not_tell(language: str | None, part: str, most: float) -> None:
    splits = {
        name: examples.take([row for row, value in enumerate(examples.slices["part"]) if value == part])
        for name, examples in DemoCorpus(None if language is None else [language]).load().items()
    }
    rows = join_splits(splits)
    pairs = np.unique([group or str(row) for row, group in enumerate(rows.groups)], return_inverse=True)[1]
    probabilities = out_of_fold_probabilities(rows, pairs)
    assert probabilities is not None
    assert baselines(rows, probabilities)["tfidf_accuracy"] < most


def test_loader_gives_every_row() -> None:
    assert sum(map(len, DemoCorpus().load().values())) == len(ROWS)
