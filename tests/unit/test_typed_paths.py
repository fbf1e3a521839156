"""Paths with commas and dollars: several files in the place of one, and a reference that names nothing."""

# ruff: noqa: E501
import shlex
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from lit_humor.config.command import check_files, compose, explained
from lit_humor.config.overrides import check_one_file, values_of
from lit_humor.core.errors import UserError
from lit_humor.engine.configuration import settled
from tests.unit.test_overrides import CSV, _value


@pytest.fixture
def three_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.csv", "c d.csv"):
        (tmp_path / name).write_text("text,label\nso,0\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "values"),
    [
        ("data.train_path=a.csv,b.csv", ["a.csv", "b.csv"]),
        ("data.test_path=a.csv, b.csv", ["a.csv", "b.csv"]),
        ("data.train_path=[a.csv,c d.csv]", ["a.csv", "c d.csv"]),
        ("data.val_path=a.csv,b.csv,c d.csv", ["a.csv", "b.csv", "c d.csv"]),
    ],
)
def test_several_files_for_one_training_are_a_sweep(three_files: Path, typed: str, values: list[str]) -> None:
    with pytest.raises(UserError, match=r"^train\.py: found [23] files") as caught:
        check_files(compose("train", [*CSV, typed]), "train", [*CSV, typed])
    words = shlex.split(str(caught.value).partition("Fix: ")[2].removesuffix("."))
    assert words[:5] == ["python", "src/lit_humor/sweep.py", "plan=grid", *CSV]
    key = typed.partition("=")[0]
    assert values_of(words[5]) == [f"{key}={value}" for value in values]


@pytest.mark.parametrize("typed", ["a.csv,b.csv,no.csv", "[no.csv, a.csv]", "c d.csv,no.csv"])
def test_of_several_paths_those_that_are_no_files_are_named(three_files: Path, typed: str) -> None:
    with pytest.raises(
        UserError, match=r"found several paths, but no file 'no\.csv', expected one data file"
    ) as caught:
        check_files(compose("train", [*CSV, f"data.train_path={typed}"]), "train", [*CSV, f"data.train_path={typed}"])
    (shown,) = shlex.split(str(caught.value).partition("Fix: set ")[2].removesuffix("."))
    check_files(compose("train", [*CSV, shown]), "train", [*CSV, shown])


@pytest.mark.parametrize("name", ["e.csv,no.csv", "e,f.csv"])
def test_a_path_with_a_comma_that_is_no_list_of_files_is_one_path(three_files: Path, name: str) -> None:
    (three_files / "e,f.csv").write_text("text,label\nso,0\n", encoding="utf-8")
    check_one_file("train", "data.train_path", name, [])


@pytest.mark.parametrize(
    "typed", ["data.train_path=${x}.csv", "data.train_path=in/${a.b}/c (1).csv", "data.train_path='${x}.csv'", "data.train_path=${x.csv", "run_id=${x}"]
)  # fmt: skip
def test_a_dollar_that_names_nothing_is_typed_as_a_part_of_the_text(typed: str) -> None:
    key, _, value = typed.partition("=")
    with pytest.raises(UserError, match=f"^{key}: found ") as caught, explained("train", [*CSV, typed]):
        _value(key, typed)
    (shown,) = shlex.split(str(caught.value).partition("Fix: set ")[2].partition(" if ")[0])
    assert _value(key, shown) == value.strip("'")


def test_a_file_with_a_dollar_in_its_name_is_read(three_files: Path) -> None:
    path = three_files / "${x}.csv"
    (three_files / "a.csv").rename(path)
    cfg = settled(compose("train", [*CSV, r"data.train_path=\${x}.csv"]))
    assert cfg.data.train_path == OmegaConf.create(OmegaConf.to_yaml(cfg)).data.train_path == str(path)
