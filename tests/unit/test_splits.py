"""Splits that are drawn from the training rows: no text in two of them, every class in each, shares as asked for."""

import hashlib
import unicodedata
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from lit_humor.core.errors import UserError
from lit_humor.data.dividing.related import find_related
from lit_humor.data.dividing.similarity import near_pairs, normalise
from lit_humor.data.dividing.splits import Drawn, draw_missing
from lit_humor.data.examples import Examples, Place
from lit_humor.data.settings import DataSettings
from tests.unit.building import make_examples

SETTINGS = {
    "max_length": 64, "padding": "longest", "pad_to_multiple_of": 8, "length_grouped": True, "batch_size": 8,
    "eval_batch_size": 4, "num_workers": 0, "val_fraction": 0.1, "test_fraction": 0.1, "split_seed": 0,
    "cache_dir": "", "split_similarity": 0.6,
}  # fmt: skip


def labelled(texts: list[str], labels: list[int], **columns: object) -> Examples:
    names = tuple(f"class {label}" for label in range(max(2, max(labels) + 1)))
    places = [Place("rows.csv", line) for line in range(2, len(texts) + 2)]
    ids = [str(place.line) for place in places]
    given = {"class_names": names, "origin": "rows.csv", "places": places, **columns}
    return Examples(ids=ids, texts=texts, labels=np.asarray(labels), **given)  # type: ignore[arg-type]


def distinct_texts(count: int, seed: int = 0) -> list[str]:
    """Texts that have hardly a 4-gram in common."""
    letters = np.random.default_rng(seed).integers(97, 123, (count, 10, 6))
    return [" ".join("".join(map(chr, word)) for word in words) for words in letters.tolist()]


def _draw(examples: Examples, **settings: object) -> Drawn:
    return draw_missing({"train": examples}, DataSettings(**(SETTINGS | settings)))  # type: ignore[arg-type]


def _counts(drawn: Drawn) -> dict[str, list[int]]:
    return {
        name: np.bincount(examples.labels, minlength=len(examples.class_names)).tolist()
        for name, examples in drawn.splits.items()
    }


def _shared(drawn: Drawn) -> int:
    """Texts, as they are compared, that stand in two splits."""
    texts = {name: set(map(normalise, examples.whole_texts())) for name, examples in drawn.splits.items()}
    return sum(len(texts[first] & texts[second]) for first, second in combinations(texts, 2))


COPIES: dict[str, Callable[[str], str]] = {
    "equal": str,
    "case": str.upper,
    "blanks": lambda text: f"  {text.replace(' ', '   ')}\n",
    "marks": lambda text: f"«{text}»!!!",
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if c.isalpha() else c for c in text),
    "invisible": lambda text: "\u200b".join(text),
    "a word more": lambda text: f"{text} indeed",
    "a word less": lambda text: text.rpartition(" ")[0],
    "retweet": lambda text: f"RT @somebody: {text}",
}


@pytest.mark.parametrize("copy", COPIES)
def test_copies_of_a_text_stay_in_its_split(copy: str) -> None:
    texts = distinct_texts(60)
    drawn = _draw(labelled(texts + list(map(COPIES[copy], texts)), [0, 1] * 60))
    assert {name: len(examples) for name, examples in drawn.splits.items()} == {"train": 100, "test": 12, "val": 8}
    where = {int(i): name for name, examples in drawn.splits.items() for i in examples.ids}
    assert [line for line in range(2, 62) if where[line] != where[line + 60]] == []
    assert drawn.alike == {"similarity": 0.6, "rows": 120, "clusters": 60, "divided": 0}


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        ("Café", unicodedata.normalize("NFD", "café!"), True),
        ("ｈａｈａ １２", "haha 12", True),
        ("STRASSE", "straße", True),
        ("so\u00adft \ufeffly", "soft ly", True),
        ("1️⃣ \u200bone", "1⃣ one", True),
        ("की", "का", False),  # vowels of Devanagari are marks
        ("กิน", "กัน", False),
        ("🙂", "🙃", False),
        ("?!", "!!", False),
        ("a_b", "a b", False),
    ],
)
def test_what_counts_as_equal(first: str, second: str, equal: bool) -> None:
    assert (normalise(first) == normalise(second)) == equal


def test_forty_rows_each_twice_share_no_text() -> None:
    drawn = _draw(labelled(distinct_texts(40) * 2, [0, 1] * 40))
    assert _counts(drawn) == {"train": [32, 32], "test": [4, 4], "val": [4, 4]}
    assert _shared(drawn) == 0
    unseen = _draw(labelled(distinct_texts(40) * 2, [0, 1] * 40), split_similarity=None)
    assert _shared(unseen) > 5, "what is to be prevented"


@pytest.mark.parametrize(
    ("rows", "of_rare", "expected"),
    [
        (120, 1, {"train": 1, "test": 0, "val": 0}),
        (120, 2, {"train": 1, "test": 0, "val": 1}),
        (120, 3, {"train": 1, "test": 1, "val": 1}),
        (120, 4, {"train": 2, "test": 1, "val": 1}),
        (120, 9, {"train": 7, "test": 1, "val": 1}),
        (4, 2, {"train": 1, "test": 0, "val": 1}),
        (6, 3, {"train": 1, "test": 1, "val": 1}),
    ],
)
def test_a_rare_class_stands_on_each_side_where_it_has_the_rows(rows: int, of_rare: int, expected: dict) -> None:
    for seed in range(5):
        drawn = _draw(labelled(distinct_texts(rows), [1] * of_rare + [0] * (rows - of_rare)), split_seed=seed)
        assert {name: counts[1] for name, counts in _counts(drawn).items()} == expected


@pytest.mark.parametrize("fractions", [(0.1, 0.1), (0.2, 0.3), (0.01, 0.01), (0.5, 0.0)])
def test_five_classes_get_their_shares(fractions: tuple[float, float]) -> None:
    sizes = (200, 100, 50, 20, 5)
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    drawn = _draw(labelled(distinct_texts(len(labels)), labels), val_fraction=fractions[0], test_fraction=fractions[1])
    for label, size in enumerate(sizes):
        test = max(1, round(fractions[1] * size)) if fractions[1] else 0
        val = max(1, round(fractions[0] * (size - test)))
        expected = {"train": size - test - val, **({"test": test} if test else {}), "val": val}
        assert {name: counts[label] for name, counts in _counts(drawn).items()} == expected


def test_second_texts_count() -> None:
    texts, pairs = distinct_texts(40), distinct_texts(80, seed=1)
    other = _draw(labelled(texts * 2, [0, 1] * 40, text_pairs=pairs), split_similarity=1)
    assert other.alike["rows"] == 0
    same = _draw(labelled(texts * 2, [0, 1] * 40, text_pairs=pairs[:40] * 2), split_similarity=1)
    assert same.alike["rows"] == 80
    assert _shared(same) == 0


def test_groups_and_alike_texts_join_over_others() -> None:
    texts = [*distinct_texts(90), *(f"{text} indeed" for text in distinct_texts(90)[:30])]
    groups = [f"talk {row // 3}" for row in range(90)] + [f"copy {row // 2}" for row in range(30)]
    for settings in ({}, {"folds": 3, "fold": 2}):
        drawn = _draw(labelled(texts, [0, 1] * 60, groups=groups), **settings)
        where = {int(i) - 2: name for name, examples in drawn.splits.items() for i in examples.ids}
        for first, second in combinations(range(120), 2):
            if groups[first] == groups[second] or texts[second] == f"{texts[first]} indeed":
                assert where[first] == where[second]


TEMPLATES = {
    "one": [
        f"Why did the {word[:6]} cross the road? Because it wanted to see {word[7:10]} on the other side of it"
        for word in distinct_texts(200)
    ],
    "three": [f"{head} {word[:6]}" for head in distinct_texts(3, seed=1) for word in distinct_texts(67)],
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_rows_that_are_all_alike_are_divided_and_counted(name: str) -> None:
    texts = TEMPLATES[name]
    drawn = _draw(labelled(texts, [row % 2 for row in range(len(texts))]))
    sizes = {split: len(examples) for split, examples in drawn.splits.items()}
    assert abs(sizes["test"] - 20) <= 4
    assert abs(sizes["val"] - 18) <= 4
    assert drawn.alike["divided"] > 100
    assert _shared(drawn) == 0


def test_one_class_of_a_template_is_divided_and_the_other_stays_whole() -> None:
    copies = [f"{text} indeed" for text in distinct_texts(50, seed=3)]
    texts = [*TEMPLATES["three"][:100], *distinct_texts(50, seed=3), *copies]
    drawn = _draw(labelled(texts, [1] * 100 + [0] * 100))
    assert drawn.alike["divided"] == 67 + 33
    assert all(min(counts) >= 8 for counts in _counts(drawn).values())
    where = {int(i) - 2: name for name, examples in drawn.splits.items() for i in examples.ids}
    assert [row for row in range(100, 150) if where[row] != where[row + 50]] == []


def test_a_large_cluster_that_leaves_enough_stays_whole_in_train() -> None:
    texts = TEMPLATES["three"][:60] + distinct_texts(140)
    drawn = _draw(labelled(texts, [0, 1] * 100))
    assert drawn.alike["divided"] == 0
    assert {str(line) for line in range(2, 62)} <= set(drawn.splits["train"].ids)
    assert [len(drawn.splits[name]) for name in ("test", "val")] == [20, 18]


@pytest.mark.parametrize("similarity", [None, 1, 0.6])
def test_folds_are_all_rows_once_with_clusters_whole(similarity: float | None) -> None:
    groups = [f"talk {row // 2}" for row in range(200)]
    examples = labelled(distinct_texts(100) * 2, [row % 2 for row in range(200)], groups=groups)
    seen: list[str] = []
    for fold in range(1, 6):
        drawn = _draw(examples, folds=5, fold=fold, split_similarity=similarity)
        off = drawn.splits["test"]
        assert sorted(one for part in drawn.splits.values() for one in part.ids) == sorted(examples.ids)
        assert len({name for part in drawn.splits.values() for name in set(part.groups or ())}) == 100
        assert len(off) == 40
        assert off.origin == f"fold {fold} of 5 of rows.csv"
        assert (_shared(drawn) > 0) == (similarity is None)
        seen += off.ids
    assert sorted(seen) == sorted(examples.ids)


@pytest.mark.parametrize(
    ("folds", "fold", "rare", "found", "fix"),
    [
        (5, 6, 50, "data.fold: found 6 of 5", "data.folds=5 data.fold=1"),
        (1, 1, 50, "data.fold: found 1 of 1", "data.folds=5 data.fold=1"),
        (90, 1, 50, "data.folds: found 90, but 50 different texts of class 'class 0'", "data.folds=50"),
        (5, 1, 4, "found 5, but 4 different texts of class 'class 1'", "data.folds=4"),
        (5, 1, 2, "found 5, but 2 different texts of class 'class 1'", "add rows of that class"),
    ],
)
def test_folds_that_cannot_be(folds: int, fold: int, rare: int, found: str, fix: str) -> None:
    examples = labelled(distinct_texts(100), [1] * rare + [0] * (100 - rare))
    with pytest.raises(UserError, match=found) as caught:
        _draw(examples, folds=folds, fold=fold)
    assert fix in str(caught.value)
    if "set" in str(caught.value).rpartition("Fix: ")[2]:
        words = str(caught.value).rpartition("Fix: ")[2].replace(",", " ").split()
        obeyed = dict(word.strip(".").split("=") for word in words if "=" in word)
        drawn = _draw(examples, **{"fold": 1, **{k.removeprefix("data."): int(v) for k, v in obeyed.items()}})
        assert all(min(counts) >= 1 for counts in _counts(drawn).values())


@pytest.mark.parametrize(
    ("grouped", "folds", "digest"),
    [
        (False, 0, "11e8c518fecde006"),
        (True, 0, "0ced03ae2d8b6e42"),
        (False, 4, "8aad51437ae18abf"),
        (True, 4, "f1881f0e73eb74e6"),
    ],
)
def test_runs_without_the_key_are_split_as_they_were(grouped: bool, folds: int, digest: str) -> None:
    """The digests are those of the code before the key ``data.split_similarity``."""
    examples = make_examples(200, groups=[f"talk {row // 3}" for row in range(200)] if grouped else None)
    old = {key: value for key, value in SETTINGS.items() if key != "split_similarity"}
    settings = DataSettings(**(old | {"split_seed": 7, "folds": folds, "fold": 2}))  # type: ignore[arg-type]
    splits = draw_missing({"train": examples}, settings).splits
    ids = " ".join([*splits["test"].ids, "/", *splits["val"].ids])
    assert hashlib.sha256(ids.encode()).hexdigest()[:16] == digest


def test_pairs_of_many_rows_are_kept_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lit_humor.data.dividing.related._MIN_CACHED_ROWS", 100)
    lines: list[str] = []
    examples = labelled([*distinct_texts(60), *(f"{text} indeed" for text in distinct_texts(60))], [0, 1] * 60)
    first = find_related(examples, 0.6, tmp_path, lines.append)
    monkeypatch.setattr("lit_humor.data.dividing.related.near_pairs", None)
    again = find_related(examples, 0.6, tmp_path, lines.append)
    assert np.array_equal(first.clusters(), again.clusters())
    assert len(set(again.clusters())) == 60
    assert lines == ["Searching 120 rows for nearly equal texts, to keep them in one split; the result is cached."]
    with pytest.raises(TypeError):
        find_related(examples, 0.7, tmp_path, lines.append)


@pytest.mark.parametrize("damage", ["a file in its place", "a folder in its place", "an empty file", "cut off"])
def test_a_cache_that_fails_costs_time_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    monkeypatch.setattr("lit_humor.data.dividing.related._MIN_CACHED_ROWS", 100)
    examples = labelled([*distinct_texts(60), *(f"{text} indeed" for text in distinct_texts(60))], [0, 1] * 60)
    cache = tmp_path / "cache"
    if damage == "a file in its place":
        cache.touch()
    else:
        find_related(examples, 0.6, cache)
        (kept,) = (cache / "alike").iterdir()
        content = kept.read_bytes()
        kept.unlink()
        if damage == "a folder in its place":
            kept.mkdir()
        else:
            kept.write_bytes(b"" if damage == "an empty file" else content[:200])
    assert len(set(find_related(examples, 0.6, cache).clusters())) == 60


def test_no_pair_above_the_bound_is_missed_among_few() -> None:
    texts = ["the cat sat on the mat", "The cat sat on a mat!", "dogs bark", "dogs  BARK."]
    assert [(one, other) for one, other, _ in near_pairs(texts, 0.5)] == [(0, 1)]
