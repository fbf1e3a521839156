"""Models that learn from models, as typed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from omegaconf import OmegaConf

from lit_humor.config.saved import open_run
from lit_humor.data.preparing.soft_labels import PreparedSoftLabels
from lit_humor.inference import scoring
from lit_humor.inference.soft_labels import SoftLabels, _Teacher
from tests.e2e.typed import Typed, typed, typed_here
from tests.unit.building import make_datamodule, make_examples

QUICK = ("debug=tiny", "trainer=cpu", "baseline=false", "report=false", "logger.tensorboard=null")


def _train(logs: Path, name: str, *more: str) -> Typed:
    done = typed("train", *QUICK, f"paths.logs_dir={logs}", f"paths.cache_dir={logs}/cache", f"run_id={name}", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trained runs, ``one`` and ``two``."""
    folder = tmp_path_factory.mktemp("logs")
    for name in ("one", "two"):
        _train(folder, name, f"seed={len(name) + (name == 'two')}")
    return folder


def test_a_student_of_two_is_trained_and_used_without_them(logs: Path, tmp_path: Path) -> None:
    distilled = ("objective=distillation", "objective.teachers=[one,two]", "trainer.num_workers=2", "seed=9")
    done = _train(logs, "student", *distilled)
    assert done.stdout.count("labels the rows, once") == 2
    files = sorted((logs / "cache" / "soft_labels").rglob("*.npy"))
    assert len(files) == 4, "two teachers, train and val"
    config = OmegaConf.load(logs / "student" / "config.yaml")
    assert config.objective.teachers == [str(logs / "one"), str(logs / "two")]
    again = _train(logs, "again", *distilled)
    assert "labels the rows" not in again.stdout
    weights = [
        torch.load(logs / name / "checkpoints" / "best.ckpt", weights_only=True) for name in ("student", "again")
    ]
    assert all(torch.equal(one, weights[1]["state_dict"][name]) for name, one in weights[0]["state_dict"].items())
    shutil.copytree(logs / "student", tmp_path / "alone")
    used = typed_here("predict", f"run={tmp_path / 'alone'}", "text=why did the hen cross the road?")
    assert used.returncode == 0, used.stderr
    scored = typed_here("eval", f"run={tmp_path / 'alone'}", "split=val")
    assert scored.returncode == 0, scored.stderr
    at_end, later = (
        json.loads((tmp_path / "alone" / part / "result.json").read_text())["results"]["val"]["loss"]
        for part in ("", "eval/own-val")
    )
    assert at_end == pytest.approx(later, abs=1e-6), "of the labels alone, with the teachers and without"


@pytest.mark.parametrize(
    "others",
    [
        ("model.network.frozen_layers=1", "callbacks.frozen_prefix.cached=true", "callbacks.ema.decay=0.9"),
        ("regularizers.r_drop.alpha=1", "data.augment=[casing]", "trainer.max_tokens=64"),
    ],
    ids=["frozen", "augmented"],
)
def test_it_goes_with_other_tricks(others: tuple[str, ...], logs: Path, tmp_path: Path) -> None:
    done = _train(tmp_path, "run", "objective=distillation", f"objective.teachers=[{logs / 'one'}]", *others)
    assert "one labels the rows, once" in done.stdout
    assert (tmp_path / "run" / "result.json").is_file()


def test_labels_are_what_evaluation_found(logs: Path, tmp_path: Path) -> None:
    table = pq.read_table(logs / "one" / "predictions" / "val.parquet").to_pydict()
    rows = replace(make_examples(len(table["text"])), texts=table["text"], class_names=("humor", "not humor"))
    expected = np.stack([table["p_humor"], table["p_not humor"]], axis=1)
    assert _Teacher(open_run(str(logs / "one")), tmp_path).label(rows) == pytest.approx(expected, abs=1e-5)


def test_an_interrupted_computation_goes_on(logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lit_humor.inference.soft_labels._PART_ROWS", 10)
    rows, run, counts = make_examples(35), open_run(str(logs / "one")), list[int]()
    real = scoring.Scorer.outputs_of

    def until_third(self: scoring.Scorer, part: object, *args: object, **named: object) -> object:
        if len(counts) == 2:
            raise KeyboardInterrupt
        counts.append(len(part))  # type: ignore[arg-type]
        return real(self, part, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(scoring.Scorer, "outputs_of", until_third)
    with pytest.raises(KeyboardInterrupt):
        _Teacher(run, tmp_path).label(rows)
    assert len(list(tmp_path.rglob("*.npy"))) == 2
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    monkeypatch.setattr(scoring.Scorer, "outputs_of", real)
    found = _Teacher(run, tmp_path).label(rows)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    monkeypatch.setattr("lit_humor.inference.soft_labels._PART_ROWS", 100)
    assert _Teacher(run, tmp_path / "whole").label(rows) == pytest.approx(found, abs=1e-6)


def test_random_numbers_of_the_training_stay(logs: Path, tiny_model: str, tmp_path: Path) -> None:
    """A model is built for the soft labels, which are not there yet, and dropout is what it would be with them."""
    datamodule = make_datamodule(tiny_model, tmp_path)
    datamodule.setup()
    torch.manual_seed(4)
    callback = SoftLabels([str(logs / "one")])
    callback._add(datamodule, [open_run(str(logs / "one"))])
    found = torch.rand(3)
    torch.manual_seed(4)
    assert torch.equal(found, torch.rand(3))
    assert isinstance(datamodule.prepared["train"], PreparedSoftLabels)
    assert datamodule.prepared["train"].soft_labels.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert "test" in datamodule.prepared
    assert not isinstance(datamodule.prepared["test"], PreparedSoftLabels)


def test_a_student_of_half_the_layers_is_used_and_exported(tmp_path: Path) -> None:
    """Its folder has all that commands need; the layers are taken once."""
    few = ("data=tiny", "trainer=cpu", "trainer.max_epochs=1", *QUICK[2:], "data.rows_per_split=40")
    done = typed(
        "train",
        "model=minilm_half",
        *few,
        f"paths.logs_dir={tmp_path}",
        f"paths.cache_dir={tmp_path}/cache",
        "run_id=half",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    config = json.loads((tmp_path / "half" / "backbone" / "config.json").read_text())
    assert config["num_hidden_layers"] == 3
    shutil.rmtree(tmp_path / "cache")
    used = typed_here("predict", f"run={tmp_path / 'half'}", "text=why did the hen cross the road?")
    assert used.returncode == 0, used.stderr
    exported = typed_here("export", f"run={tmp_path / 'half'}", f"output={tmp_path / 'exported'}")
    assert exported.returncode == 0, exported.stdout + exported.stderr
    assert "Backbone: every_nth_layer of packaged_minilm;" in (tmp_path / "exported" / "README.md").read_text()


def test_a_run_labels_texts_and_another_learns_from_them(logs: Path, tmp_path: Path) -> None:
    texts = pq.read_table(logs / "one" / "predictions" / "test.parquet").to_pydict()["text"]
    lines = [json.dumps({"number": number, "text": text}) for number, text in enumerate(texts)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines) + "\n")
    run, source = f"run={logs / 'one'}", f"input={tmp_path / 'texts.jsonl'}"
    all_rows = typed_here("predict", run, source, f"output={tmp_path / 'all.jsonl'}")
    assert all_rows.returncode == 0, all_rows.stderr
    answers = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    scores = sorted({one["p_humor"] for one in answers})
    middle = sum(scores[len(scores) // 2 - 1 : len(scores) // 2 + 1]) / 2  # so little a model says one class alone
    for one in answers:
        one["prediction"] = "humor" if one["p_humor"] >= middle else "not humor"
    sure = {name: [one[f"p_{name}"] for one in answers if one["prediction"] == name] for name in ("not humor", "humor")}
    limits = {name: (np.sort(values)[len(values) // 2 - 1 :][:2].mean()).item() for name, values in sure.items()}
    typed_limits = f"pseudo_labels={{not humor: {limits['not humor']}, humor: {limits['humor']}}}"
    done = typed_here(
        "predict", run, source, f"output={tmp_path / 'pseudo.jsonl'}", typed_limits, f"threshold={middle}"
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in (tmp_path / "pseudo.jsonl").read_text().splitlines()]
    expected = [
        {"number": one["number"], "text": one["text"], "label": name, "weight": one[f"p_{name}"]}
        for one in answers
        if one[f"p_{(name := one['prediction'])}"] >= limits[name]
    ]
    assert found == expected
    assert {one["label"] for one in found} == {"not humor", "humor"}
    assert len(found) < len(answers)
    own = (
        "data=csv",
        f"data.train_path={tmp_path / 'pseudo.jsonl'}",
        "data.weight_column=weight",
        "data.max_length=32",
    )
    places = (f"paths.logs_dir={tmp_path}", f"paths.cache_dir={tmp_path}/cache", "run_id=next")
    trained = typed(
        "train", "model=tiny", *own, *QUICK[1:], *places, "trainer.max_epochs=1", f"init_from={logs / 'one'}"
    )
    assert trained.returncode == 0, trained.stdout + trained.stderr
