"""The audit names what was planted, is quiet where nothing was, and repairs what it can."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lit_humor.auditing import duplicates, form, labels, shapes, texts
from lit_humor.auditing.audit import related_rows
from lit_humor.auditing.cleaning import class_counts, decide, write_clean_copy
from lit_humor.auditing.repairs import Repaired, repair_splits
from lit_humor.auditing.rows import NOTE, Finding, Rows, join_splits
from lit_humor.core.errors import MissingExtraError, UserError
from lit_humor.data.dividing.similarity import exact_groups, near_pairs
from lit_humor.data.examples import Examples, Reading, tolerant_reading
from lit_humor.data.sources.files import TextFiles
from tests.unit.planting import HASHTAG, Planted, clean, planted

Loaded = tuple[dict[str, Examples], dict[str, Reading], Rows]
Alike = tuple[Repaired, list[list[int]], list[tuple[int, int, float]]]


def _load(train: Path, test: Path) -> Loaded:
    with tolerant_reading() as readings:
        splits = TextFiles(train_path=str(train), test_path=str(test), group_column="talk").load()
    return splits, readings, join_splits(splits)


def _alike(loaded: Loaded) -> Alike:
    repaired = repair_splits(loaded[0])
    return repaired, exact_groups(repaired.rows.texts), near_pairs(repaired.rows.texts, 0.6)


def _findings(loaded: Loaded, alike: Alike) -> dict[str, Finding]:
    (splits, readings, rows), (repaired, equal, near) = loaded, alike
    probabilities = labels.out_of_fold_probabilities(rows, related_rows(rows, equal, near))
    found = [
        *texts.rejected_findings(readings),
        *texts.text_findings(rows, repaired),
        *form.truncation_findings(rows, rows.texts),
        *form.template_findings(rows),
        *shapes.shape_findings(rows, splits, readings),
        *duplicates.duplicate_findings(rows, equal, near),
        *duplicates.group_findings(rows),
        *labels.label_leak_findings(rows, labels.telling_features(rows)),
        *labels.label_error_findings(rows, probabilities),
    ]
    return {finding.kind: finding for finding in found}


def _ids(data: Planted, rows: Sequence[dict]) -> list[str]:
    """Ids by split and line: a row stands one line below its place, after the header."""
    return [getattr(data, row["split"])[row["line"] - 2]["id"] for row in rows]


@pytest.fixture(scope="module")
def data() -> Planted:
    return planted()


@pytest.fixture(scope="module")
def loaded(data: Planted, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return _load(*data.write(tmp_path_factory.mktemp("planted")))


@pytest.fixture(scope="module")
def alike(loaded: Loaded) -> Alike:
    return _alike(loaded)


@pytest.fixture(scope="module")
def findings(loaded: Loaded, alike: Alike) -> dict[str, Finding]:
    return _findings(loaded, alike)


def test_clean_data_is_left_in_peace(tmp_path: Path) -> None:
    loaded = _load(*clean().write(tmp_path))
    found = _findings(loaded, _alike(loaded))
    assert [finding.kind for finding in found.values() if finding.level != NOTE] == []
    assert "label_errors" not in found or len(found["label_errors"].cases) < 25


def test_near_duplicates_across_splits(data: Planted, findings: dict[str, Finding]) -> None:
    named = {tuple(reversed(_ids(data, case))) for case in findings["near_duplicates_across"].cases}
    if "duplicates_across" in findings:  # edits of case and punctuation alone
        named |= {tuple(reversed(_ids(data, case))) for case in findings["duplicates_across"].cases}
    assert len(data.near) == 200
    assert len(named & set(data.near.items())) >= 190
    assert len(named - set(data.near.items())) <= 2


def test_flipped_labels(data: Planted, findings: dict[str, Finding]) -> None:
    named = [_ids(data, case)[0] for case in findings["label_errors"].cases]
    right = [name for name in named if name in data.flipped]
    assert len(data.flipped) == 60
    assert len(right) >= 36
    assert len(right) / len(named) >= 0.8


def test_hashtag_that_gives_the_label_away(findings: dict[str, Finding]) -> None:
    assert HASHTAG in [case[0]["feature"] for case in findings["label_leaks"].cases]


def test_everything_else_by_name(data: Planted, findings: dict[str, Finding]) -> None:
    assert {row["group"] for case in findings["groups_across"].cases for row in case} == {"torn talk"}
    assert {name for case in findings["mojibake"].cases for name in _ids(data, case)} == data.mojibake
    (conflict,) = findings["label_conflicts"].cases
    assert _ids(data, conflict)[1] == "conflict"
    unusable = [case[0] for case in findings["unusable_rows"].cases]
    assert [row["line"] for row in unusable] == [len(data.train), len(data.train) + 1]
    assert "an empty or blank text" in {row["text"].removeprefix("found ") for row in unusable}


def test_clean_copy_has_no_faults_left_that_can_be_repaired(
    data: Planted, loaded: Loaded, alike: Alike, tmp_path: Path
) -> None:
    (splits, readings, rows), (repaired, equal, near) = loaded, alike
    decisions = decide(rows, equal, related_rows(rows, equal, near))
    done = write_clean_copy(tmp_path / "clean", rows, decisions, splits, readings, repaired)
    again = _load(tmp_path / "clean" / "train.csv", tmp_path / "clean" / "test.csv")
    assert [finding.kind for finding in _findings(again, _alike(again)).values() if finding.level == "error"] == []
    assert done["kept"] + done["moved"] == len(again[2])
    assert done["kept"] + done["moved"] + done["dropped"] == len(data.train) + len(data.test)
    assert done["repaired"] == 10
    with (tmp_path / "clean" / "changes.csv").open(encoding="utf-8", newline="") as file:
        changes = list(csv.DictReader(file))
    assert len(changes) == done["dropped"] + done["moved"] + done["repaired"]
    assert {change["split"] for change in changes if change["reason"].startswith("found")} == {"train"}
    sizes = class_counts(rows, decisions)
    assert sum(after for pairs in sizes.values() for _, after in pairs) == len(again[2])
    assert sum(before for pairs in sizes.values() for before, _ in pairs) == len(rows)
    with (tmp_path / "clean" / "test.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == ["id", "text", "is_humor", "talk"]


def test_clean_copy_never_overwrites(loaded: Loaded, tmp_path: Path) -> None:
    splits, readings, rows = loaded
    with pytest.raises(UserError, match="already"):
        write_clean_copy(
            tmp_path, rows, decide(rows, [], np.arange(len(rows))), splits, readings, repair_splits(splits)
        )


def test_every_similar_pair_is_found_and_no_other() -> None:
    alike = ["the cat sat on the mat", "The cat sat on a mat!", "dogs bark", "", "dogs  BARK."]
    found = near_pairs(alike, 0.5)
    assert [(one, other) for one, other, _ in found] == [(0, 1)]
    assert exact_groups(["a b", "A  b!", "c", "🙂", "🙃"]) == [[0, 1]]


def test_missing_extra_is_named(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)
    with pytest.raises(MissingExtraError, match="audit"):
        texts.text_findings(loaded[2], repair_splits(loaded[0]))
