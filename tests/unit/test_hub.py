"""Data sets in the hub's format, from local folders: the same code as from the hub."""

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from lit_humor.config.command import CONFIG_DIR
from lit_humor.config.schema import register_schemas
from lit_humor.core.errors import UserError
from lit_humor.data.settings import DataSettings
from lit_humor.data.sources.hub import HubDataset

datasets = pytest.importorskip("datasets", reason="the hub extra is not installed")


def _hub_folder(folder: Path, table: dict[str, list], splits: dict[str, str]) -> str:
    folder.mkdir()
    for file_name in splits.values():
        if file_name.endswith("parquet"):
            pq.write_table(pa.table(table), folder / file_name)
        else:
            with (folder / file_name).open("w", newline="") as file:
                csv.writer(file).writerows([tuple(table), *zip(*table.values(), strict=True)])
    return str(folder)


# What each public data set looks like on disk: file names and columns as its authors distribute them.
HUB_LIKE = {
    "hahackathon": ({"text": ["a", "b"], "is_humor": [1, 0]}, {"train": "train.csv", "val": "dev.csv"}),
    "haha_spanish": ({"text": ["a", "b"], "is_humor": [1, 0]}, {"train": "train.csv", "test": "test.csv"}),
    "colbert_200k": ({"text": ["a", "b"], "humor": [True, False]}, {"train": "train.parquet"}),
    "ur_funny": (
        {"context": ["c", "d"], "punchline": ["a", "b"], "label": [1, 0]},
        {"train": "train.parquet", "val": "validation.parquet", "test": "test.parquet"},
    ),
}


def _source_node(name: str, folder: str, *typed: str) -> dict[str, object]:
    register_schemas()
    with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        cfg = compose("train", [f"data={name}", f"data.name={folder}", *typed])
    return {key: value for key, value in cfg.data.items() if key not in DataSettings.__dataclass_fields__}


@pytest.mark.parametrize("name", HUB_LIKE)
def test_ready_configs_load_a_local_folder(tmp_path: Path, name: str) -> None:
    table, files = HUB_LIKE[name]
    folder = _hub_folder(tmp_path / name, table, files)
    splits = instantiate(_source_node(name, folder), _convert_="all").load()
    assert splits.keys() == files.keys()
    for examples in splits.values():
        assert examples.texts == ["a", "b"]
        assert examples.labels.tolist() == [1, 0]
        assert examples.text_pairs == (["c", "d"] if name == "ur_funny" else None)


def test_hub_folder_written_by_save_to_disk_brings_its_class_names(tmp_path: Path) -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["dull", "funny"])}
    )
    rows = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    datasets.DatasetDict({"train": rows}).save_to_disk(str(tmp_path / "saved"))
    examples = HubDataset(name=str(tmp_path / "saved")).load()["train"]
    assert examples.class_names == ("dull", "funny")
    assert examples.labels.tolist() == [1, 0]


def test_hub_out_of_reach_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"HF_HOME.*data=demo"):
        HubDataset(name="nobody/no-such-data-set").load()
    folder = _hub_folder(tmp_path / "one", {"text": ["a"], "label": [1]}, {"train": "train.csv"})
    with pytest.raises(UserError, match="found split 'dev'"):
        HubDataset(name=folder, splits={"train": "dev"}).load()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ([], {"train": 2, "val": 2, "test": 2}),
        (["data.splits.test=null"], {"train": 2, "val": 2}),
        (["data.splits.val=test", "data.splits.test=null"], {"train": 2, "val": 2}),
        (["data.splits.val=test"], {"train": 2, "val": 2}),  # test serves as val already
    ],
)
def test_splits_of_the_usual_names_are_found(tmp_path: Path, typed: list[str], expected: dict[str, int]) -> None:
    files = {"train": "train.csv", "val": "dev.csv", "test": "test.csv"}
    folder = _hub_folder(tmp_path / "set", {"text": ["a", "b"], "label": [1, 0]}, files)
    node = _source_node("hub", folder, *typed)
    assert {name: len(rows) for name, rows in instantiate(node, _convert_="all").load().items()} == expected
