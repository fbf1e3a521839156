"""Splits drawn from a user's one file, as typed."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

from lit_humor.runs import record
from tests.e2e.typed import Typed, typed
from tests.unit.test_splits import distinct_texts


def _train(path: Path, texts: list[str], labels: list[int], folder: Path, *more: str) -> Typed:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "is_humor"), *zip(texts, labels, strict=True)])
    options = ["debug=tiny", "data=csv", f"data.train_path={path}", f"paths.logs_dir={folder}", "run_id=run"]
    return typed("train", *options, "baseline=false", "report=false", *more)


@pytest.mark.parametrize(
    ("texts", "labels", "rare"),
    [
        (distinct_texts(40) * 2, [0, 1] * 40, [32, 4, 4]),
        (distinct_texts(120), [1] * 4 + [0] * 116, [2, 1, 1]),
        (distinct_texts(40) + [f"{text}, they said" for text in distinct_texts(40)], [0, 1] * 40, [32, 4, 4]),
    ],
    ids=["each row twice", "four of a class", "each row with an ending"],
)
def test_no_text_stands_in_two_splits_and_no_class_is_missing(
    texts: list[str], labels: list[int], rare: list[int], tmp_path: Path
) -> None:
    done = _train(tmp_path / "rows.csv", texts, labels, tmp_path)
    assert done.returncode == 0, done.stderr
    report = record.read_json(tmp_path / "run" / record.DATA_REPORT)
    assert set(report["leaks"].values()) == {0}
    assert [report["splits"][name]["classes"]["humor"] for name in ("train", "val", "test")] == rare
    assert "stand in both splits" not in done.stdout
    kept = report["alike"]["rows"]
    assert kept == (0 if len(texts) == 120 else 80)
    assert (f"Kept in one split: {kept} rows in 40 clusters" in done.stdout) == (kept > 0)


def test_an_older_run_scores_the_rows_it_scored(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    done = _train(path, distinct_texts(40) * 2, [0, 1] * 40, tmp_path, "data.split_similarity=null")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    scored = pq.read_table(record.predictions_path(run, "test"))["id"].to_pylist()
    config = OmegaConf.load(run / record.CONFIG)
    del config.data.split_similarity
    OmegaConf.save(config, run / record.CONFIG)
    for more in ((), ("data=csv", f"data.train_path={path}", "split=test")):
        output = tmp_path / f"eval {len(more)}"
        done = typed("eval", f"run={run}", *more, f"output={output}")
        assert done.returncode == 0, done.stderr
        assert pq.read_table(record.predictions_path(output, "test"))["id"].to_pylist() == scored
    assert json.loads((run / record.DATA_REPORT).read_text())["alike"] == {}
