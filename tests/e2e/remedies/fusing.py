"""Mistakes in the settings of a model that fuses two encoders."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from tests.e2e.remedies.inside import _fresh
from tests.e2e.remedies.runs import copy_run
from tests.e2e.remedies.telling import Case
from tests.obeying import Line

TYPED = ("model=fused_tiny", "data=tiny", "trainer=cpu", "paths.logs_dir=FOLDER/logs")


def _typed(*wrong: str, **more: object) -> Case:
    """A training of little, with mistakes."""
    return Case("train", (*TYPED, *wrong), **more)  # type: ignore[arg-type]


def _encoders(second: str) -> Case:
    return _typed(f"model.network.encoders=[{{reads: text}},{second}]")


DRAWN = (
    "model=fused_tiny",
    "data=cartoons",
    "trainer=cpu",
    "baseline=false",
    "paths.logs_dir=FOLDER/logs",
    "data.pictures_dir=FOLDER/pictures",
)


ROWS = "".join(["text,label,picture\n", *(f"caption {n},{n % 2},{n}.png\n" for n in range(12))])


def _picture(number: int) -> bytes:
    """A picture of one colour, which no other number has."""
    content = io.BytesIO()
    Image.new("RGB", (20, 20), (20 * number, 0, 0)).save(content, "png")
    return content.getvalue()


PICTURES: dict[str, str | bytes] = {"rows.csv": ROWS} | {f"of/{n}.png": _picture(n) for n in range(12)}


def _files(*wrong: str, root: str = "FOLDER/of", **more: Any) -> Case:
    """A training on own pictures, with mistakes."""
    typed = ("data=pictures", "data.train_path=FOLDER/rows.csv", f"data.picture_root={root}", *wrong)
    more = {"files": PICTURES, "fill": {"<folder of all pictures>": "FOLDER/of"}} | more
    return Case("train", (DRAWN[0], *typed, *DRAWN[2:]), **more)


def _broken(name: str) -> Callable[[Path, Path], None]:
    return lambda folder, runs: (folder / "of" / name).write_text("no picture") and None


def _asked(*typed: str, run: str = "draws", **more: Any) -> Case:
    """A question to a run that reads pictures."""
    more = {"files": PICTURES, "fill": {"<file>": "FOLDER/of/1.png", "...": "ha"}} | more
    return Case("predict", (f"run=RUNS/{run}", *typed), **more)


def _with_picture(folder: Path, line: Line) -> Line:
    return line.without("input").having(f"image={folder}/of/1.png").having("text=ha")


def _mended(folder: Path, line: Line) -> Line:
    (folder / "of" / "3.png").write_bytes(_picture(3))
    return line


def _other_rows(folder: Path, runs: Path) -> None:
    copy_run("draws")(folder, runs)
    config = folder / "logs" / "run" / "config.yaml"
    config.write_text(config.read_text().replace("  seed: 0\n", "  seed: 1\n"))


def _same_rows(folder: Path, line: Line) -> Line:
    config = folder / "logs" / "run" / "config.yaml"
    config.write_text(config.read_text().replace("  seed: 1\n", "  seed: 0\n"))
    return line


CASES = {
    "fused: an encoder of nothing known": _encoders("{reads: sound}"),
    "fused: a part of an encoder": _typed("model.network.encoders.0.frozen=maybe"),
    "fused: other tokens": _encoders("{reads: text, config: {model_type: bert, vocab_size: 30}}"),
    "fused: heads": _typed("model.network.num_heads=3"),
    "fused: sizes": _typed("model.network.queries=-1", "model.network.decoder_layers=-1", errors=2),
    "fused: rows without pictures": _typed("trainer.max_epochs=1", "baseline=false", "report=false", to_the_end=True),
    "fused: no tokens of answers": _typed("model.preparation.answer_tokens=0"),
    "fused: nothing that writes": Case(
        "train",
        (
            "experiment=dimtda",
            "debug=tiny",
            *DRAWN[2:],
            "report=false",
            "trainer.max_epochs=1",
            "model.network.decoder_layers=0",
        ),
        to_the_end=True,
    ),
    "fused: pictures that are too small": Case("train", (*DRAWN, "data.size=8", "data.rows_per_split=48")),
    "fused: pictures that are too few": Case("train", (*DRAWN, "data.rows_per_split=1")),
    "fused: no program that draws": Case(
        "train", (*DRAWN, "data.rows_per_split=48"), missing=("PIL",), make=_fresh("lit_humor.data.pictures.drawing")
    ),
    "fused: no program that reads": _files(missing=("PIL",), make=_fresh("lit_humor.data.pictures.files")),
    "fused: a picture that is not there": _files(root="FOLDER"),
    "fused: pictures of nowhere": _files(root="FOLDER/there"),
    "fused: own pictures that are too small": _files("data.size=4"),
    "fused: a picture that is none": _files(make=_broken("3.png"), hand=_mended),
    "fused: no picture": _asked("text=ha"),
    "fused: a picture to a run that reads none": _asked("image=FOLDER/of/1.png", "text=ha", run="one"),
    "fused: no text": _asked("image=FOLDER/of/1.png"),
    "fused: a file of texts": _asked("input=FOLDER/rows.csv", hand=_with_picture),
    "fused: to export": replace(_asked("output=FOLDER/out", "to=sentence_transformers"), command="export"),
    "fused: to export with fewer pieces": replace(_asked("output=FOLDER/out", "vocabulary=used"), command="export"),
    "fused: to export after its rows have changed": Case(
        "export",
        ("run=FOLDER/logs/run", "output=FOLDER/out", "to=onnx"),
        make=_other_rows,
        hand=_same_rows,
        to_the_end=True,
    ),
    "fused: to serve": replace(_asked(), command="serve"),
    "fused: to explain": _asked("image=FOLDER/of/1.png", "text=ha", "explain=true"),
    "fused: a typed picture that is none": _asked(
        "image=FOLDER/of/3.png", "text=ha", make=_broken("3.png"), hand=_mended
    ),
    "fused: nothing that reads it": _asked(
        "image=FOLDER/of/1.png", "text=ha", missing=("PIL",), make=_fresh("lit_humor.data.pictures.files")
    ),
}
