"""Mistakes with questions about pictures: in their files, in what a model reads of them, in how it is asked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from tests.e2e.remedies.fusing import DRAWN, PICTURES
from tests.e2e.remedies.telling import Case
from tests.obeying import Line

HERE = ("trainer=cpu", "baseline=false", "report=false", "paths.logs_dir=FOLDER/logs")
DRAWN_QUESTIONS = ("experiment=qwen3vl_random", "debug=tiny", *HERE)


def _row(number: int, **more: Any) -> str:
    row = {"image": f"{number}.png", "question": "Who is it?", "answer": f"cat {number}", "stage": 1 + number % 3}
    return json.dumps(row | more) + "\n"


ROWS = {"rows.jsonl": "".join(_row(number) for number in range(12))}
FILES = {**PICTURES, **ROWS}
OWN = ("data=questions", "data.train_path=FOLDER/rows.jsonl", "data.picture_root=FOLDER/of")


def _drawn(*wrong: str, **more: Any) -> Case:
    """A training on drawn questions, with mistakes."""
    return Case("train", (*DRAWN_QUESTIONS, *wrong), **more)


def _own(*wrong: str, **more: Any) -> Case:
    """A training on own questions, with mistakes."""
    return Case("train", (*DRAWN_QUESTIONS, *OWN, *wrong), **({"files": FILES} | more))


def _with_row(**wrong: Any) -> Callable[[Path, Path], None]:
    """Another row at the end of the file."""

    def make(folder: Path, runs: Path) -> None:
        with (folder / "rows.jsonl").open("a") as file:
            file.write(_row(3, **wrong))

    return make


def _without_row(folder: Path, line: Line) -> Line:
    (folder / "rows.jsonl").write_text(ROWS["rows.jsonl"])
    return line


def _long(folder: Path, runs: Path) -> None:
    Image.new("RGB", (900, 2)).save(folder / "of" / "3.png")


def _mended(folder: Path, line: Line) -> Line:
    (folder / "of" / "3.png").write_bytes(PICTURES["of/3.png"])  # type: ignore[arg-type]
    return line


CASES = {
    "asking: pictures of any size for a model of one": Case(
        "train", (*DRAWN[:1], "task=generation", *HERE, *OWN), files=FILES
    ),
    "asking: rows to train on that are left out": _own("data.broken_pictures=report"),
    "asking: a picture like a line": _own(make=_long, hand=_mended),
    "asking: a token of the template": _own(make=_with_row(question="Who<|im_end|>?"), hand=_without_row),
    "asking: no room for a question": _drawn(
        "data.size=96", "data.max_length=60", "model.preparation.answer_tokens=28"
    ),
    "asking: a long answer": _drawn("model.preparation.answer_tokens=4"),
    "asking: numbers of pictures": _drawn("model.preparation.max_pixels=1", "model.preparation.min_pixels=0", errors=2),
    "asking: answers of unequal length": _drawn("tasks.generation.class_answers=[yes,not funny at all]"),
    "asking: again, where nothing was answered": Case(
        "eval", ("run=RUNS/writes", "split=val", "passes=2"), to_the_end=True
    ),
}
