"""Rows with their pictures on the page of a run, which says why where one is missing."""

import base64
import io
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from lit_humor.data.pictures.store import find_pictures, keep_pictures, keys_of
from lit_humor.data.pictures.thumbnails import data_uri
from lit_humor.reporting.run_page import write_report
from lit_humor.runs import record
from lit_humor.tasks.answers import joined_answers
from lit_humor.tasks.classification import Classification
from lit_humor.tasks.generation import Generation
from lit_humor.tasks.recorded import record_tasks
from lit_humor.tasks.reports import pictures
from lit_humor.tasks.task import columns_of
from tests.unit.test_reporting import EVIL, NAMES, make_run

COLORS = [(4 * row, 255 - 4 * row, 128) for row in range(60)]  # of the picture of each row
WRITTEN = [f"written {row}" for row in range(60)]


def make_pictures_run(folder: Path, size: int = 16, written: bool = True) -> Path:
    """The run of 60 test rows, each with a picture of its own color, judged and explained."""
    run = make_run(folder / "run")
    drawn = [np.full((size, size, 3), color, dtype=np.uint8) for color in COLORS]
    keep_pictures(folder / "kept" / "drawn", 60, size, drawn)
    path = record.predictions_path(run, "test")
    columns = pq.read_table(path).to_pydict()
    own = {name: columns.pop(name) for name in ("label", "prediction", "p_not humor", "p_humor")}
    explained: dict[str, Any] = {"prediction": WRITTEN} if written else {}
    explained |= {"nll": [1.0] * 60, "answer_tokens": [2] * 60}
    columns |= {"answer": [f"because {row}" for row in range(60)]}
    columns |= joined_answers({"classification": own, "generation": explained})
    columns |= {"picture": keys_of(drawn), "gate": np.linspace(0.2, 0.8, 60, dtype=np.float32)}
    pq.write_table(pa.table(columns), path)
    tasks = {"classification": Classification(NAMES), "generation": Generation()}
    record.write_json(run / record.TASKS, record_tasks(tasks, "val/accuracy", "max").to_json())
    network = "{encoders: [{reads: text}, {reads: picture}]}"
    config = f"data: {{pictures_dir: {folder / 'kept'}}}\nmodel: {{network: {network}}}\n"
    record.write_text(run / record.CONFIG, config)
    result = record.read_json(run / record.RESULT)
    for split in result["results"].values():
        split |= {"perplexity": 1.6, "token_f1": 0.5, "chrf": 0.5}
    record.write_json(run / record.RESULT, result)
    (run / record.PREDICTIONS / "val.parquet").unlink()
    return run


def section_of(page: Path, name: str = "pictures") -> str:
    html = page.read_text()
    return html[html.index(f'<section id="{name}">') :].split("</section>")[0]


def rows_of(table: str) -> list[list[str]]:
    return [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in table.split("<tr>")[2:]]


def tables_of(section: str) -> dict[str, list[list[str]]]:
    parts = section.split("<caption>")[1:]
    return {part.partition("</caption>")[0]: rows_of(part) for part in parts}


def test_rows_stand_beside_their_pictures(tmp_path: Path) -> None:
    run = make_pictures_run(tmp_path)
    found = pq.read_table(record.predictions_path(run, "test")).to_pydict()
    section = section_of(write_report(run))
    heads = re.findall(r'<button type="button">(.*?)</button>', section.split("</thead>")[0])
    names = ["picture", "id", "text", "label", "prediction", "probability", "share of the text"]
    assert heads == [*names, "answer", "written text"]
    wrong = [row for row in range(60) if found["label"][row] != found["prediction"][row]]
    sure = [found[f"p_{name}"][row] for row, name in enumerate(found["prediction"])]
    expected = {
        f"Wrong, the surest first: {len(wrong)} of 60 rows of test": sorted(wrong, key=lambda row: -sure[row])[:20],
        f"Right, the surest first: {60 - len(wrong)} of 60 rows of test": sorted(
            set(range(60)) - set(wrong), key=lambda row: -sure[row]
        )[:20],
    }
    shown = tables_of(section)
    for caption, rows in expected.items():
        assert [cells[1] for cells in shown[caption]] == [f"test{row}" for row in rows]
        for row, (image, _, text, label, prediction, probability, share, answer, written) in zip(
            rows, shown[caption], strict=True
        ):
            uri = re.search(r'src="data:image/jpeg;base64,([^"]+)"', image)
            assert uri
            opened = Image.open(io.BytesIO(base64.b64decode(uri[1])))
            assert np.abs(np.asarray(opened)[5, 5].astype(int) - COLORS[row]).max() < 4
            alt = re.search(r'alt="([^"]*)"', image)
            assert alt
            assert unescape(alt[1]) == f"Picture of row test{row}: {found['text'][row]}"
            assert (unescape(text), label, prediction) == (
                found["text"][row],
                found["label"][row],
                found["prediction"][row],
            )
            assert (answer, written) == (f"because {row}", WRITTEN[row])
            assert probability == f"{sure[row]:.3f}"
            assert share == f"{found['gate'][row]:.3f}"
    assert EVIL not in section


def test_the_gate_of_rows_that_are_right_and_wrong(tmp_path: Path) -> None:
    run = make_pictures_run(tmp_path)
    found = pq.read_table(record.predictions_path(run, "test")).to_pydict()
    shown = tables_of(section_of(write_report(run)))["Share of the text in test"]
    gate, right = np.asarray(found["gate"]), np.asarray(found["label"]) == found["prediction"]
    parts = {"all": right | ~right, "wrong": ~right, "right": right}
    parts |= {f"label {name}": np.asarray(found["label"]) == name for name in NAMES}
    assert {name: cells for name, *cells in shown} == {
        name: [str(rows.sum()), *(f"{of(gate[rows]):.3f}" for of in (np.mean, np.std, np.min, np.max))]
        for name, rows in parts.items()
    }


def test_what_was_not_written_is_not_shown(tmp_path: Path) -> None:
    """The class of a row is no text that somebody wrote."""
    section = section_of(write_report(make_pictures_run(tmp_path, written=False)))
    assert "because 3" in section
    assert "written text" not in section


def test_pictures_are_few_and_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_pictures_run(tmp_path, size=300)
    section = section_of(write_report(run))
    sources = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', section)
    assert 20 < len(sources) <= 2 * pictures.SHOWN
    assert {Image.open(io.BytesIO(base64.b64decode(one))).size for one in sources} == {(96, 96)}
    monkeypatch.setattr(pictures, "_MOST_BYTES", 3 * len(sources[0]))
    section = section_of(write_report(run))
    assert section.count("<img ") == 2
    assert f"2 of {len(sources)} pictures are shown" in section


def test_pictures_that_are_gone_are_told(tmp_path: Path) -> None:
    run = make_pictures_run(tmp_path)
    for file in (tmp_path / "kept" / "drawn").iterdir():
        file.write_bytes(file.read_bytes()[:200])
    for state in ("cut", "gone"):
        section = section_of(write_report(run))
        assert "<img " not in section, state
        assert "because 3" in section
        count = len(re.findall("<td[^>]*>test", section))
        told = f"{count} of {count} pictures are not shown: they are no longer in {tmp_path / 'kept'}"
        assert told in section
        assert f"python src/lit_humor/eval.py run={run} split=test" in section
        for file in (tmp_path / "kept" / "drawn").glob("*"):
            file.unlink()


def test_without_pillow_the_page_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_pictures_run(tmp_path)
    expected = section_of(write_report(run))
    monkeypatch.setitem(sys.modules, "lit_humor.data.pictures.thumbnails", None)  # matplotlib itself needs Pillow
    section = section_of(write_report(run))
    assert "No pictures are shown, for Pillow is missing: pip install" in section
    assert "<img " not in section
    assert "written 5" in section
    assert tables_of(section)["Share of the text in test"] == tables_of(expected)["Share of the text in test"]


def test_a_page_loads_no_torch(tmp_path: Path) -> None:
    run = make_pictures_run(tmp_path)
    code = (
        "import sys; from pathlib import Path; from lit_humor.reporting.run_page import write_report\n"
        f"write_report(Path({str(run)!r})); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "<img " in section_of(run / "report.html")


def test_a_run_of_texts_has_no_such_section(tmp_path: Path) -> None:
    html = write_report(make_run(tmp_path / "run")).read_text()
    assert 'id="pictures"' not in html
    assert 'id="gate"' not in html
    assert "<img " not in html


def test_predictions_keep_the_picture_and_the_gate() -> None:
    drawn = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    batch = {"labels": torch.tensor([0, 1]), "pictures": torch.from_numpy(drawn)}
    outputs = {"probabilities": torch.tensor([[0.4, 0.6], [0.9, 0.1]]), "gate": torch.tensor([0.25, 0.5]).bfloat16()}
    columns: Any = columns_of({"classification": Classification(NAMES)}, outputs, batch)
    assert columns["gate"].tolist() == [0.25, 0.5]
    assert columns["gate"].dtype == np.float32
    assert columns["picture"].tolist() == keys_of(drawn).tolist()
    bare = columns_of(
        {"classification": Classification(NAMES)},
        {"probabilities": outputs["probabilities"]},
        {"labels": batch["labels"]},
    )
    assert not {"gate", "picture"} & bare.keys()


def test_pictures_are_found_by_their_keys_wherever_they_are_kept(tmp_path: Path) -> None:
    drawn = np.random.default_rng(1).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    for name, part in {"a": drawn[:3], "b": drawn[2:5]}.items():
        keep_pictures(tmp_path / name, 3, 8, part)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "keys.npy").write_text("no array")
    keys = keys_of(drawn).tolist()
    found = find_pictures(tmp_path, keys[1:])
    assert found.keys() == set(keys[1:5])
    assert all(np.array_equal(found[key], drawn[place]) for place, key in enumerate(keys) if key in found)
    assert find_pictures(tmp_path / "nowhere", keys) == {}


def test_a_thumbnail_keeps_small_pictures_as_they_are() -> None:
    picture = np.zeros((40, 40, 3), dtype=np.uint8)
    picture[:20] = 255
    opened = Image.open(io.BytesIO(base64.b64decode(data_uri(picture, 96).partition(",")[2])))
    assert (opened.format, opened.size) == ("JPEG", (40, 40))
    assert np.asarray(opened)[[5, 35], 20].tolist() == [[255] * 3, [0] * 3]
