"""Pictures of the user's files: found, read, kept once; what is wrong with one names file and row."""

import csv
import itertools
import json
import random
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lit_humor.core.errors import UserError
from lit_humor.data.dividing.splits import draw_missing
from lit_humor.data.pictures import files
from lit_humor.data.pictures.files import read_picture
from lit_humor.data.settings import DataSettings
from lit_humor.data.sources.pictures import PictureFiles

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def _source(folder: Path, **named: Any) -> PictureFiles:
    named.setdefault("train_path", str(folder / "rows.csv"))
    return PictureFiles(pictures_dir=str(folder / "kept"), size=named.pop("size", 16), **named)


def _rows(folder: Path, names: list[Any], column: str = "picture") -> None:
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", column])
        writer.writerows([f"caption {number}", number % 2, name] for number, name in enumerate(names))


def _save(path: Path, color: Any = RED, size: tuple[int, int] = (8, 8), mode: str = "RGB", **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path, **options)


def test_rows_have_the_picture_that_they_name(tmp_path: Path) -> None:
    _save(tmp_path / "a.png")
    _save(tmp_path / "sub" / "b.bmp", BLUE)
    _rows(tmp_path, ["sub/b.bmp", "a.png", str(tmp_path / "sub" / ".." / "a.png")])
    examples = _source(tmp_path).load()["train"]
    assert examples.pictures is not None
    assert len(examples.pictures.store.values) == 2, "each file is read once"
    pictures = examples.pictures.of_rows(np.arange(3))
    assert pictures.shape == (3, 16, 16, 3)
    assert [tuple(picture[0, 0]) for picture in pictures] == [BLUE, RED, RED]
    assert examples.groups is not None
    assert examples.groups[1] == examples.groups[2] != examples.groups[0]


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "json", "parquet"])
def test_every_form_of_table(form: str, tmp_path: Path) -> None:
    _save(tmp_path / "pictures" / "a.png")
    rows = [{"text": f"caption {n}", "label": n, "image": "a.png", "why": "because"} for n in (0, 1)]
    path = tmp_path / f"rows.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif form in ("csv", "tsv"):
        lines = [list(rows[0]), *(row.values() for row in rows)]
        path.write_text("\n".join(("," if form == "csv" else "\t").join(map(str, line)) for line in lines) + "\n")
    else:
        path.write_text(json.dumps(rows) if form == "json" else "\n".join(map(json.dumps, rows)))
    root = str(tmp_path / "pictures")
    named = {"label_column": "label", "answer_column": "why"}
    examples = _source(tmp_path, train_path=str(path), picture_root=root, **named).load()["train"]
    assert examples.pictures is not None
    assert examples.labels.tolist() == [0, 1]
    assert examples.answers is not None
    assert len(examples.pictures.store.values) == 1


def _animated(path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in (RED, BLUE)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def _giant(path: Path, width: int = 30_000, height: int = 40_000) -> None:
    """A PNG of some bytes that would be 3.6 GB."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(99)))]
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))  # noqa: E731
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in [*parts, (b"IEND", b"")]))


def _cut(path: Path) -> None:
    _save(path, size=(99, 99))
    path.write_bytes(path.read_bytes()[:60])


BAD: dict[str, tuple[Any, Callable[[Path], object], str]] = {
    "missing": ("there.png", lambda path: None, "which is no file"),
    "a folder": ("there.png", lambda path: path.mkdir(), "which is no file"),
    "climbing": ("../there.png", lambda path: _save(path.parents[1] / "there.png"), "which is outside of"),
    "absolute": ("/etc/hostname", lambda path: None, "which is outside of"),
    "a link out": ("there.png", lambda path: path.symlink_to("/etc/hostname"), "which is outside of"),
    "links in a ring": ("there.png", lambda path: path.symlink_to(path), "no file"),
    "an address": ("https://example.org/there.png", lambda path: None, "no file"),
    "too long": ("x" * 5000, lambda path: None, "no file"),
    "nothing": ("", lambda path: None, "found ''"),
    "no picture": ("there.png", lambda path: path.write_text("hello"), "which cannot be read"),
    "empty": ("there.png", lambda path: path.write_bytes(b""), "which cannot be read"),
    "cut": ("there.png", _cut, "which cannot be read"),
    "a drawing": ("there.svg", lambda path: path.write_text("<svg/>"), "which cannot be read"),
    "animated": ("there.gif", _animated, "2 frames"),
    "giant": ("there.png", _giant, "decompression bomb"),
    "large": ("there.png", lambda path: _giant(path, 9000, 8000), "9000 x 8000 pixels"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_wrong_picture_names_file_and_row(kind: str, tmp_path: Path) -> None:
    name, make, found = BAD[kind]
    folder = tmp_path / "inner"
    _save(folder / "good.png")
    make(folder / "there.png" if "there" not in str(name) else folder / Path(name).name)
    _rows(folder, ["good.png", name])
    place = rf"rows\.csv, line 3, column 'picture': .*({found})"
    with pytest.raises(UserError, match=place):
        _source(folder).load()
    assert not list((folder / "kept").glob("*")), "nothing half done is kept"


def test_a_picture_is_whole_and_centred(tmp_path: Path) -> None:
    _save(tmp_path / "wide.png", size=(40, 20))
    picture = read_picture(tmp_path / "wide.png", 16, "here")
    assert [tuple(picture[row, 5]) for row in (0, 3, 4, 8, 11, 12, 15)] == [WHITE, WHITE, RED, RED, RED, WHITE, WHITE]
    _save(tmp_path / "line.png", size=(1, 5000))
    assert read_picture(tmp_path / "line.png", 16, "here").shape == (16, 16, 3)


def test_kinds_of_colors(tmp_path: Path) -> None:
    """All of them are red, or as grey as they were."""
    _save(tmp_path / "a.jpg", (0, 255, 255, 0), mode="CMYK")
    _save(tmp_path / "b.png", (255, 0, 0, 255), mode="RGBA")
    Image.new("RGB", (8, 8), RED).convert("P").save(tmp_path / "c.gif")
    for name in ("a.jpg", "b.png", "c.gif"):
        assert np.abs(read_picture(tmp_path / name, 16, "")[8, 8].astype(int) - RED).max() < 10, name
    _save(tmp_path / "clear.png", (255, 0, 0, 0), mode="RGBA")
    assert tuple(read_picture(tmp_path / "clear.png", 16, "")[8, 8]) == WHITE
    Image.fromarray(np.full((8, 8), 0x8000, dtype=np.uint16)).save(tmp_path / "deep.png")
    assert tuple(read_picture(tmp_path / "deep.png", 16, "")[8, 8]) == (128, 128, 128)
    _save(tmp_path / "one.png", 1, mode="1")
    assert tuple(read_picture(tmp_path / "one.png", 16, "")[8, 8]) == WHITE


def test_a_picture_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    image = Image.new("RGB", (16, 16), BLUE)
    image.paste(RED, (0, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    image.save(tmp_path / "a.png", exif=exif)
    assert tuple(read_picture(tmp_path / "a.png", 16, "")[2, 8]) == BLUE


def test_pictures_are_read_once_and_again_when_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _save(tmp_path / "a.png")
    _rows(tmp_path, ["a.png"] * 2)
    first = _source(tmp_path).load()["train"].pictures
    assert first is not None
    assert isinstance(first.store.values, np.memmap)
    with monkeypatch.context() as patched:
        patched.setattr(files, "read_picture", lambda *_: pytest.fail("read again"))
        again = _source(tmp_path).load()["train"].pictures
    assert again is not None
    assert np.array_equal(again.store.values, first.store.values)
    _save(tmp_path / "a.png", BLUE, size=(9, 9))
    changed = _source(tmp_path).load()["train"].pictures
    assert changed is not None
    assert changed.keys[0] != first.keys[0]


def _settings(folder: Path) -> DataSettings:
    named: dict[str, Any] = {"max_length": 16, "batch_size": 4, "eval_batch_size": 4, "num_workers": 0}
    named |= {"val_fraction": 0.3, "test_fraction": 0.3, "split_seed": 1, "cache_dir": str(folder)}
    return DataSettings(**named, padding="longest", pad_to_multiple_of=1, length_grouped=True)


def test_no_picture_crosses_splits(tmp_path: Path) -> None:
    """Not even one that is there twice, under two names."""
    for number in range(12):
        for copy in "ab":
            _save(tmp_path / f"{number}{copy}.png", (20 * number, 0, 0))
    _rows(tmp_path, [f"{number}{copy}.png" for number in range(12) for copy in "aabb"])
    splits = draw_missing(_source(tmp_path).load(), _settings(tmp_path)).splits
    keys = [set(examples.pictures.keys.tolist()) for examples in splits.values()]  # type: ignore[union-attr]
    assert len(keys) == 3
    assert all(keys)
    assert sum(map(len, keys)) == len(set().union(*keys)) == 12


def test_other_groups_may_be_named(tmp_path: Path) -> None:
    _save(tmp_path / "a.png")
    _rows(tmp_path, ["a.png"] * 3)
    assert _source(tmp_path, group_column="text").load()["train"].groups == ["caption 0", "caption 1", "caption 2"]


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"size": 3}, r"^data\.size: found 3.*set data\.size=16"),
        ({"picture_root": "nowhere"}, r"^data\.picture_root: found 'nowhere', which is no folder"),
        ({"picture_column": "file"}, r"expected a column 'file' \(data\.picture_column\)"),
    ],
)
def test_wrong_settings(named: dict[str, Any], told: str, tmp_path: Path) -> None:
    _save(tmp_path / "a.png")
    _rows(tmp_path, ["a.png"] * 2)
    with pytest.raises(UserError, match=told):
        _source(tmp_path, **named).load()


def _kinds(folder: Path) -> list[Path]:
    """Good pictures: of each format, and of each mode that is stored in another way."""
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (12, 9, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # on its side
    modes = {
        "a.png": "RGB",
        "palette.png": "P",
        "clear.png": "RGBA",
        "bits.png": "1",
        "deep.png": "I;16",
        "cmyk.jpg": "CMYK",
    }
    modes |= {"turned.jpg": "RGB", "a.gif": "P", "a.bmp": "RGB", "a.tiff": "CMYK", "a.webp": "RGBA", "one.png": "RGB"}
    for name, mode in modes.items():
        image = (
            noise.convert("L").convert("I").point(lambda value: value * 256).convert(mode)
            if ";" in mode
            else noise.convert(mode)
        )
        image = image.resize((1, 1)) if name == "one.png" else image
        options: dict[str, Any] = {"exif": exif} if name == "turned.jpg" else {}
        image.save(folder / name, **options)
    return sorted(folder.iterdir())


def test_a_thousand_broken_files_raise_no_other_error(tmp_path: Path) -> None:
    """Bytes of good files, changed, cut or repeated, texts and nothing: a picture, or an error that names its row."""
    generator, seen = random.Random(3), 0
    good = [one.read_bytes() for one in _kinds(tmp_path)]
    refused, path = 0, tmp_path / "broken.png"
    for number in range(1000):
        content = bytearray(generator.choice(good))
        for _ in range(generator.randrange(0, 4)):
            content[generator.randrange(len(content) if number % 3 else 24)] = generator.randrange(256)
        whole = content[: generator.choice((len(content), generator.randrange(8, len(content))))]
        path.write_bytes({0: b"", 1: b"a text", 2: b"\x89PNG\r\n\x1a\n", 3: bytes(40)}.get(number % 50, whole))
        try:
            seen += read_picture(path, 16, "row 7").shape == (16, 16, 3)
        except UserError as error:
            refused += error.where == "row 7"
    assert seen + refused == 1000
    assert min(seen, refused) > 100


def test_without_the_rows_that_are_named_one_by_one_the_others_are_read(tmp_path: Path) -> None:
    good = [path.name for path in _kinds(tmp_path)]
    broken = {f"{number}-{name}": (tmp_path / name).read_bytes()[:30] for number, name in enumerate(good)}
    broken |= {"empty.png": b"", "text.png": b"no picture"}
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
    names = [name for pair in itertools.zip_longest(good, broken) for name in pair if name]
    left_out = []
    while True:
        _rows(tmp_path, names)
        try:
            examples = _source(tmp_path).load()["train"]
            break
        except UserError as error:
            (line,) = re.findall(r"rows\.csv, line (\d+), column 'picture'", error.where)
            left_out.append(names.pop(int(line) - 2))
    assert sorted(left_out) == sorted(broken)
    assert examples.pictures is not None
    assert len(examples.pictures.store.values) == len(names) == len(good)
