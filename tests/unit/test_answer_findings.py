"""The audit of rows with answers names what was planted, and says what is no fault."""

from pathlib import Path

import pytest

from lit_humor.auditing.answers import answer_findings, equal_rows, join_answers
from lit_humor.auditing.rows import ERROR, NOTE, WARNING, Finding, join_splits
from lit_humor.data.dividing.similarity import exact_groups
from lit_humor.data.examples import Examples
from tests.unit.building import make_examples
from tests.unit.pairing import make_models, make_pairs, make_preparation

LONG = " ".join(["book"] * 60)
TRAIN = [  # text, answer, negatives
    ("Why did the hen cross the road?", "To get away from all of these riddles.", ["To get to the shop."]),
    ("Where does the train go?", "where does the TRAIN go", []),
    ("Who is at the door?", "The cat.", ["A dog.", "the cat!"]),
    ("Who is at the door?", "A dog.", []),
    ("Who is at the door?", "A dog.", []),  # the same row again
    ("What do you read?", LONG, []),
    ("Two texts in two splits", "one ending of it", []),
]
TEST = [
    ("Two texts in two splits", "another ending of it", []),
    ("And what did the other hen do?", "To get away from all of those riddles!", []),
    ("Which animal is it now?", "The CAT", []),
    ("A last row of the test", "with an answer of its own", ["and no negative that is one"]),
]


def _splits() -> dict[str, Examples]:
    return {
        name: make_pairs([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])
        for name, rows in {"train": TRAIN, "test": TEST}.items()
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_models(tmp_path_factory.mktemp("models"))["Qwen3"]


def _found(splits: dict[str, Examples], model: str, **options: object) -> dict[str, Finding]:
    rows, answers = join_splits(splits), join_answers(splits)
    assert answers is not None
    preparation = make_preparation(model, **{"answer_tokens": 48, "max_length": 50, **options})
    found = answer_findings(rows, answers, exact_groups(rows.texts), 0.6, preparation)
    return {finding.kind: finding for finding in found}


def _lines(finding: Finding) -> list[list[tuple[str, int]]]:
    return [[(row["split"], row["line"]) for row in case] for case in finding.cases]


def test_each_fault_is_named_with_its_rows(model: str) -> None:
    found = _found(_splits(), model)
    assert {kind: (finding.level, _lines(finding)) for kind, finding in found.items()} == {
        "negatives_equal": (ERROR, [[("train", 3)], [("train", 3)]]),
        "texts_across": (WARNING, [[("train", 7), ("test", 1)]]),
        "several_answers": (NOTE, [[("train", 3), ("train", 4)]]),
        "answers_copied": (WARNING, [[("train", 2)]]),
        "answers_across": (WARNING, [[("train", 3), ("test", 3)]]),
        "near_answers_across": (WARNING, [[("train", 1), ("test", 2)]]),
        "answers_cut": (WARNING, [[("train", 6)]]),
    }
    assert [case[0]["negative"] for case in found["negatives_equal"].cases] == ["A dog.", "the cat!"]
    assert found["near_answers_across"].cases[0][1]["similarity"] > 0.6
    assert [row["answer"] for row in found["several_answers"].cases[0]] == ["The cat.", "A dog."]


def test_clean_rows_have_no_finding(model: str) -> None:
    splits = {"train": make_pairs(["a cat", "a dog"], ["is here", "was there"], [["no"], []])}
    assert _found(splits, model) == {}


def test_what_is_lost_of_an_answer_is_counted_as_the_model_reads_it(model: str) -> None:
    splits = {"train": make_pairs(["a", "b"], [LONG, "book"])}
    tokenizer = make_preparation(model).tokenizer
    length, short = (len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in (LONG, "book"))
    for options, most in (
        ({"answer_tokens": 8}, 7),  # the end takes a place
        ({"answer_tokens": 16, "max_length": 12}, 10),  # as passage: with <s> and </s>
        ({"answer_tokens": 8, "parts": ["embedding"], "max_length": 12}, 10),
        ({"answer_tokens": 12, "parts": ["writing"], "max_length": 8}, 11),
    ):
        cut = _found(splits, model, **options)["answers_cut"]
        assert (cut.cases[0][0]["tokens"], cut.cases[0][0]["lost"]) == (length, f"{(length - most) / length:.0%}")
        assert f"more than {most} tokens" in cut.title
        assert f"{(length - most) / (length + short):.1%} of all tokens" in cut.title


def test_rows_are_equal_where_text_and_answer_are(tmp_path: Path) -> None:
    splits = _splits()
    rows = join_splits(splits)
    groups = exact_groups(rows.texts)
    assert groups == [[2, 3, 4], [6, 7]]
    assert equal_rows(groups, rows, join_answers(splits)) == [[3, 4]]
    labelled = {"train": make_examples(9)}
    assert join_answers(labelled) is None
    assert equal_rows(groups, rows, None) == groups
