"""Splits that cannot train or steer a model are refused, and the remedy that is told works."""

import re
from pathlib import Path

import pytest

from lit_humor.core.errors import UserError
from lit_humor.data.examples import Examples
from tests.unit.building import make_datamodule, make_examples
from tests.unit.test_splits import distinct_texts, labelled

VALIDATION = labelled(distinct_texts(12, seed=9), [0, 1] * 6)
UNFIT: dict[str, tuple[dict[str, Examples], dict[str, object], str]] = {
    "one row of a class": (
        {"train": labelled(distinct_texts(50), [1] + [0] * 49)},
        {},
        "class 'class 1' of rows.csv: found 1 row, expected at least 2",
    ),
    "one text of a class": (
        {"train": labelled([*["A twin."] * 6, *distinct_texts(44)], [1] * 6 + [0] * 44)},
        {"split_similarity": 0.6},
        "found 6 rows of one text",
    ),
    "one text in all": (
        {"train": labelled(["All the same"] * 60, [0, 1] * 30)},
        {"split_similarity": 1},
        "found 30 rows of one text",
    ),
    "one group of a class": (
        {"train": labelled(distinct_texts(50), [1] * 6 + [0] * 44, groups=["a"] * 6 + [str(row) for row in range(44)])},
        {"split_similarity": 0.6},
        "found 6 rows of one group or text",
    ),
    "no share for validation": (
        {"train": labelled(distinct_texts(50), [0, 1] * 25)},
        {"val_fraction": 0.0},
        "found 0 rows",
    ),
    "one row to validate": ({"train": VALIDATION, "val": VALIDATION.take([0])}, {}, "split 'val': found 1 rows"),
    "one class to validate": (
        {"train": labelled(distinct_texts(40), [0, 1] * 20), "val": VALIDATION.take([0, 2, 4])},
        {},
        "no row of class 'class 1' among 3",
    ),
    "a stage without a class": (
        {
            "train": labelled(
                [f"{'so ' * (20 * (row % 2))}{text}" for row, text in enumerate(distinct_texts(40))], [0, 1] * 20
            )
        },
        {"stages": 2, "stage": 2},
        "no row of class 'class 0'",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_remedies_of_unfit_splits_work_when_obeyed(case: str, tiny_model: str, tmp_path: Path) -> None:
    splits, settings, found = UNFIT[case]
    with pytest.raises(UserError, match=found) as caught:
        make_datamodule(tiny_model, tmp_path, splits=splits, **settings).check_fit_for_training()
    for remedy in re.split(", or |: training rows", str(caught.value).rpartition("Fix: ")[2].rstrip(".")):
        typed = dict(re.findall(r"data\.([\w.]+)=(\S+?)(?=[,\s]|$)", remedy))
        mended, changed = dict(splits), dict(settings)
        if typed.get("val_path") == "null":
            del mended["val"]
        elif "val_path" in typed:
            mended["val"] = VALIDATION
        changed |= {key: None if value == "null" else float(value) for key, value in typed.items() if key != "val_path"}
        if "stages" in typed:
            changed["stages"] = int(typed["stages"])
        if typed:
            make_datamodule(tiny_model, tmp_path, splits=mended, **changed).check_fit_for_training()


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (
            {"train": make_examples(30).take(range(1, 2)), "val": make_examples(9)},
            "no row of class 'not humor' among 1",
        ),
        ({"val": make_examples(9)}, "split 'train': found 0 rows"),
        ({"train": make_examples(30, humor_share=0).take([0, 2, 3]), "val": VALIDATION}, "no row of class 'humor'"),
    ],
    ids=["one training row", "no training rows", "one class"],
)
def test_training_rows_that_cannot_train_are_refused(
    tiny_model: str, tmp_path: Path, splits: dict, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        make_datamodule(tiny_model, tmp_path, splits=splits).check_fit_for_training()
