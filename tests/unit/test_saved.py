"""A run folder opened: configuration, plan, classes, calibration."""

import json
from pathlib import Path

import pytest
from omegaconf.errors import ReadonlyConfigError

from lit_humor.config.saved import SavedRun, class_names_of, open_run
from lit_humor.core.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "backbone").mkdir()
    names = {str(index): f"class {index}" for index in range(12)}
    (tmp_path / "backbone" / "config.json").write_text(json.dumps({"id2label": names}))
    (tmp_path / "config.yaml").write_text("seed: 3\ndata: {max_length: 8}\n")
    (tmp_path / "environment.json").write_text(json.dumps({"plan": {"precision": "32-true"}}))
    return tmp_path


def test_a_run_is_opened_and_read_only(folder: Path) -> None:
    saved = open_run(str(folder))
    assert (saved.folder, saved.config.seed, saved.plan["precision"]) == (folder, 3, "32-true")
    assert saved.calibration == {}
    assert open_run(saved) is saved
    with pytest.raises(ReadonlyConfigError):
        saved.config.data.max_length = 9
    with pytest.raises(UserError, match="no such folder"):
        open_run(str(folder / "none"))


def test_class_names_of_an_older_run_stand_with_its_encoder_in_the_order_of_their_numbers(folder: Path) -> None:
    assert open_run(str(folder)).class_names == tuple(f"class {index}" for index in range(12))


def test_class_names_stand_in_labels_json(folder: Path) -> None:
    (folder / "labels.json").write_text(json.dumps({"class_names": ["no", "yes"]}))
    assert open_run(str(folder)).class_names == ("no", "yes")


def test_class_names_that_transformers_leaves_out_and_those_of_no_run(folder: Path) -> None:
    (folder / "backbone" / "config.json").write_text("{}")
    assert class_names_of(folder) == ("LABEL_0", "LABEL_1")
    assert class_names_of(folder / "none") == ()


def test_files_are_read_once(folder: Path) -> None:
    saved: SavedRun = open_run(str(folder))
    assert saved.plan == {"precision": "32-true"}
    (folder / "environment.json").unlink()
    assert saved.plan == {"precision": "32-true"}
