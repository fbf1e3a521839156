"""Mistakes about numbers to predict: columns of targets, and tasks that are no classification."""

# ruff: noqa: E501
from tests.e2e.remedies.data import from_file
from tests.e2e.remedies.settings import take
from tests.e2e.remedies.telling import Case

_WORDS = [
    "cat",
    "dog",
    "hat",
    "tea",
    "sun",
    "moon",
    "rain",
    "snow",
    "bread",
    "milk",
    "shoe",
    "coat",
    "fish",
    "bird",
    "tree",
    "leaf",
    "road",
    "car",
    "boat",
    "plane",
]
_ROWS = [(f"{_WORDS[row % 20]} {_WORDS[row * 7 % 20]} {row}", row, row % 2) for row in range(40)]
RATED = "text,rating,pun,long,same\n" + "".join(
    f"{text},{rating},{pun},{rating // 2 % 2},1\n" for text, rating, pun in _ROWS
)
_GAPS = RATED.replace(",7,", ",,")
_RATING = ("task=regression", "data.target_column=rating")

CASES = {
    "numbers: none": from_file(RATED, "data.label_column=pun", "task=regression", fill={"<column>": "rating"}),
    "numbers: in place of a label": from_file(RATED, "data.target_column=rating"),
    "numbers: all the same": from_file(RATED, "task=regression", "data.target_column=same", fill={"<column>": "rating"}),
    "numbers: one column and several": from_file(RATED, "task=multilabel", "data.target_column=rating", "data.target_columns=[pun,long]"),
    "numbers: a row without one": from_file(_GAPS, *_RATING),
    "numbers: another word for missing ones": from_file(_GAPS, *_RATING, "data.missing_targets=drop"),
    "numbers: a column without any": from_file(RATED.replace(",1\n", ",\n"), "task=regression", "data.target_column=same", "data.missing_targets=leave_out",
                                               fill={"<column of numbers>": "rating"}),
    "labels: other numbers": from_file(RATED, "task=multilabel", "data.target_columns=[rating]", fill={"<columns of 0 and 1>": "pun,long"}),
    "numbers: calibrate": Case("eval", ("paths.logs_dir=RUNS", "run=rated", "output=FOLDER/few", "calibrate=true"), to_the_end=True, hand=take("calibrate")),
    "numbers: a threshold": Case("predict", ("run=RUNS/rated", "text=ha", "threshold=0.5"), to_the_end=True),
    "labels: a threshold above one": Case("predict", ("run=RUNS/labelled", "text=ha", "threshold=2"), to_the_end=True),
    "two tasks compared": Case("report", ("runs=[RUNS/one,RUNS/rated]",), hand=take("runs", "run=RUNS/one")),
}  # fmt: skip
