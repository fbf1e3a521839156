import csv
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lit_humor.core.errors import UserError
from lit_humor.data.batches.batching import GlobalBatchSampler
from lit_humor.data.dividing.ordering import difficulty_of, training_order
from lit_humor.data.examples import Columns, build_examples
from lit_humor.data.sources.files import TextFiles
from tests.unit.building import NAMES, make_datamodule, make_examples

CURRICULUM = {"stages": 3, "difficulty": "length"}


@pytest.mark.parametrize("order", ["easy_first", "hard_first"])
def test_the_planned_order_reaches_the_model(tiny_model: str, tmp_path: Path, order: str) -> None:
    datamodule = make_datamodule(tiny_model, tmp_path, order=order)  # with rows of like length, too
    datamodule.setup()
    lengths = np.asarray([len(text) for text in datamodule.splits["train"].texts])
    batches = [lengths[batch["rows"].numpy()] for batch in datamodule.train_dataloader()]
    assert sum(map(len, batches)) == len(lengths) == 44
    if order == "hard_first":
        batches = [-batch for batch in batches]
    assert all(first.max() <= second.min() for first, second in itertools.pairwise(batches))


def test_it_is_the_same_in_every_epoch_and_ties_are_drawn_from_the_seed(tiny_model: str, tmp_path: Path) -> None:
    loader = make_datamodule(tiny_model, tmp_path, order="easy_first")
    loader.setup()
    sampler = loader.train_dataloader().batch_sampler
    first = list(sampler)  # type: ignore[arg-type]
    sampler.set_epoch(1)  # type: ignore[union-attr]
    assert list(sampler) == first  # type: ignore[arg-type]
    equal = np.zeros(50)
    assert training_order(equal, False, 1).tolist() != training_order(equal, False, 2).tolist()
    assert training_order(equal, False, 1).tolist() == training_order(equal, False, 1).tolist()
    assert training_order(np.asarray([3.0, 1.0, 2.0]), True, 1).tolist() == [0, 2, 1]


@pytest.mark.parametrize(("world_size", "micro_batch_size"), [(1, 4), (1, 2), (2, 4), (2, 1)])
def test_steps_are_the_same_however_they_are_dealt(world_size: int, micro_batch_size: int) -> None:
    lengths = np.random.default_rng(0).integers(3, 30, 44)
    order = training_order(lengths, False, 1)
    options = {"global_batch_size": 8, "seed": 1, "length_grouped": True, "fixed_order": order}
    samplers = [
        GlobalBatchSampler(lengths, **options, micro_batch_size=micro_batch_size, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    dealt = list(zip(*samplers, strict=True))  # of each process its next micro-batch, beside each other
    planned = [order[start : start + 8].tolist() for start in range(0, 44, 8)]
    for global_batch in planned:
        rows: list[int] = []
        while len(rows) < len(global_batch):
            rows += itertools.chain(*dealt.pop(0))
        assert sorted(rows) == sorted(global_batch)
    assert dealt == []


def test_stages_are_parts_of_like_size_and_leave_nothing_out(tiny_model: str, tmp_path: Path) -> None:
    stages = [make_datamodule(tiny_model, tmp_path, **CURRICULUM, stage=stage).load() for stage in (1, 2, 3)]
    ids = [one["train"].ids for one in stages]
    assert sorted(itertools.chain(*ids)) == sorted(make_examples(44).ids)
    assert all(abs(len(part) - 44 / 3) <= 3 for part in ids)
    longest, shortest = ([pick(map(len, one["train"].texts)) for one in stages] for pick in (max, min))
    assert longest[0] < shortest[1]
    assert longest[1] < shortest[2]
    assert all(len(one["val"]) == 21 for one in stages)  # not routed


def test_routed_stages_share_validation_and_test_out_by_the_bounds_of_training(tiny_model: str, tmp_path: Path) -> None:
    options = CURRICULUM | {"route": True}
    stages = [make_datamodule(tiny_model, tmp_path, **options, stage=stage).load() for stage in (1, 2, 3)]
    for split, count in (("val", 21), ("test", 13)):
        assert sum(len(one.get(split, ())) for one in stages) == count
    first = max(map(len, stages[0]["train"].texts))
    assert max(map(len, stages[0]["val"].texts)) < min(map(len, stages[1]["train"].texts))
    assert first < min(map(len, stages[1]["val"].texts)) + 1


def test_replay_brings_a_share_of_earlier_stages_back(tiny_model: str, tmp_path: Path) -> None:
    counts = [
        len(make_datamodule(tiny_model, tmp_path, **CURRICULUM, stage=3, replay=replay).load()["train"])
        for replay in (0.0, 0.5, 1.0)
    ]
    assert counts[0] < counts[1] < counts[2] == 44


def test_a_column_of_as_many_values_as_stages_is_the_stages(tiny_model: str, tmp_path: Path) -> None:
    examples = make_examples(40, difficulty=np.asarray([5.0] * 25 + [7.0] * 10 + [9.0] * 5))
    splits = {"train": examples, "val": make_examples(9)}
    kept = make_datamodule(tiny_model, tmp_path, splits=splits, stages=3, stage=2, difficulty="column").load()
    assert kept["train"].ids == examples.ids[25:35]


def test_a_row_is_hard_whose_class_a_model_found_improbable(tiny_model: str, tmp_path: Path) -> None:
    examples = make_examples(5)
    path = tmp_path / "train.parquet"
    humor = np.asarray([0.1, 0.2, 0.3, 0.4, 0.5])
    columns = {"id": examples.ids[::-1], "p_not humor": 1 - humor, "p_humor": humor}
    pq.write_table(pa.table(columns), path)
    settings = replace(_settings(tiny_model, tmp_path), difficulty="confidence", difficulty_path=str(path))
    probability = [humor[::-1][row] if label else 1 - humor[::-1][row] for row, label in enumerate(examples.labels)]
    np.testing.assert_allclose(difficulty_of(examples, settings), 1 - np.asarray(probability))
    with pytest.raises(UserError, match="no prediction of 1 rows, such as made in the test, line 6"):
        difficulty_of(make_examples(6), settings)


@pytest.mark.parametrize("text", ["Well\nthe bus\nblue", 'Well\n0.5,"a"\nblue', "one"])
def test_predictions_may_be_a_table_of_texts_of_several_lines(tiny_model: str, tmp_path: Path, text: str) -> None:
    examples = make_examples(5)
    path = tmp_path / "train.csv"
    with path.open("w", newline="") as file:
        rows = [(identity, text, 0.25, 0.75) for identity in examples.ids]
        csv.writer(file).writerows([("id", "text", "p_not humor", "p_humor"), *rows])
        file.write('7,"Well,0.25,0.75\n8,the bus,0.25,0.75\n9,blue",0.25,0.75\n')  # auto refuses this
    settings = replace(_settings(tiny_model, tmp_path), difficulty="confidence", difficulty_path=str(path))
    assert difficulty_of(examples, settings).tolist() == [0.25 if label else 0.75 for label in examples.labels]


def _settings(tiny_model: str, folder: Path):  # type: ignore[no-untyped-def]
    return make_datamodule(tiny_model, folder).settings


def test_difficulty_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("text,label,level\none,0,2\ntwo,1,1.5\n")
    examples = TextFiles(train_path=str(path), difficulty_column="level").load()["train"]
    assert examples.difficulty is not None
    assert examples.difficulty.tolist() == [2.0, 1.5]
    assert examples.take([1]).difficulty.tolist() == [1.5]  # type: ignore[union-attr]
    path.write_text("text,label,level\none,0,2\ntwo,1,hard\n")
    with pytest.raises(UserError, match=r"line 3, column 'level': found .*hard.* expected a number"):
        TextFiles(train_path=str(path), difficulty_column="level").load()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"stages": 3, "stage": 4}, "data.stage: found 4 of 3"),
        ({"stages": 1}, "data.stage: found 1 of 1"),
        ({"stages": 3, "replay": 2.0}, "data.replay: found 2.0"),
        ({"stages": 3, "difficulty": "column"}, "data.difficulty=column: found no difficulty"),
        ({"stages": 3, "difficulty": "confidence"}, "data.difficulty_path: found no path"),
        ({"stages": 3, "difficulty": "confidence", "route": True}, "data.route: found"),
        ({"stages": 40, "stage": 7}, "data.stages: found no training row in stage 7 of 40"),
    ],
)
def test_mistakes(tiny_model: str, tmp_path: Path, options: dict[str, object], told: str) -> None:
    examples = make_examples(44)
    if options["stages"] == 40:
        examples = replace(examples, texts=["a" if row < 22 else "bb" for row in range(44)])
    splits = {"train": examples, "val": make_examples(21)}
    with pytest.raises(UserError, match=told):
        make_datamodule(tiny_model, tmp_path, splits=splits, **options).load()


def test_columns_without_a_difficulty_have_none() -> None:
    table = {"text": ["a", "b"], "label": [0, 1], "__line__": [2, 3]}
    assert build_examples(table, Columns(), "here").difficulty is None
    assert NAMES == ("not humor", "humor")
