"""experiment=gritlm: one model is trained to embed and to write, whatever memory, processes and accidents."""

import csv
import json
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from fastapi import HTTPException
from omegaconf import OmegaConf

from lit_humor.inference.scoring import load_scorer
from lit_humor.inference.serving import Endpoints, OneText, Texts
from lit_humor.metrics.ranks import ranks_of
from tests.e2e.typed import result_of, typed, typed_here
from tests.torture.running import assert_equal_runs, train

EXACT = ("trainer=cpu", "model.network.attention_dropout=0")
ROWS, SIZE = 48, 16


def _arguments(logs: Path, name: str, *more: str) -> list[str]:
    folders = f"paths.logs_dir={logs}", f"paths.cache_dir={logs}/cache", f"run_id={name}"
    chosen = [] if any(one.startswith("family=") for one in more) else ["experiment=gritlm"]
    return [*chosen, "debug=tiny", *EXACT, *folders, *more]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def run_with(logs: Path) -> Callable[..., Path]:
    """A finished run of some settings."""

    @cache
    def finish(name: str, *more: str) -> Path:
        done = typed("train", *_arguments(logs, name, *more))
        assert done.returncode == 0, done.stderr
        return logs / name

    return finish


@pytest.fixture(scope="module")
def one(run_with: Callable[..., Path]) -> Path:
    return run_with("one")  # trainer=cpu: trainer.max_tokens=null


def _losses(folder: Path) -> list[float]:
    with (folder / "metrics.csv").open(newline="") as file:
        return [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]


def _vectors(folder: Path, split: str) -> list[np.ndarray]:
    return [np.load(folder / "predictions" / f"{split}.{name}.npy") for name in ("query", "passage")]


def test_the_folder_has_texts_and_vectors(one: Path) -> None:
    results = result_of(one)["results"]
    assert len(_losses(one)) == 2
    assert _losses(one)[1] < _losses(one)[0]
    for split in ("val", "test"):
        table = pq.read_table(one / "predictions" / f"{split}.parquet").to_pydict()
        assert len(table["id"]) == results[split]["rows"] == ROWS
        assert all(table["answer"])
        assert ("prediction" in table) == (split == "test"), "only the test split is written"
        for vectors in _vectors(one, split):
            assert vectors.shape == (ROWS, SIZE)
            assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert any(table["prediction"])
    assert not [text for text in table["prediction"] if "</s>" in text or "▁" in text]
    assert not [text for text in table["answer"] if "</s>" in text or "▁" in text]


def test_its_numbers_are_those_of_its_files(one: Path) -> None:
    results = result_of(one)["results"]["test"]
    table = pq.read_table(one / "predictions" / "test.parquet").to_pydict()
    perplexity = np.exp(sum(table["nll"]) / sum(table["answer_tokens"]))
    assert results["perplexity"] == pytest.approx(perplexity, rel=1e-4)
    queries, passages = _vectors(one, "test")
    ranks = ranks_of(queries, passages, np.unique(table["answer"], return_inverse=True)[1])
    assert results["recall_at_10"] == pytest.approx(float(np.mean(ranks <= 10)), abs=1 / ROWS)
    assert results["mrr"] == pytest.approx(float(np.mean(1 / ranks)), abs=1e-2)
    tasks = json.loads((one / "tasks.json").read_text())
    assert (tasks["monitor"], tasks["mode"]) == ("val/perplexity", "min")
    assert result_of(one)["baseline"]["results"]["test"]["mrr"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("settings", ["trainer.max_tokens=64", "trainer.max_tokens=256", "trainer.devices=2"])
def test_memory_and_processes_change_no_loss(one: Path, run_with: Callable[..., Path], settings: str) -> None:
    by_two = ("trainer.micro_batch_size=auto",) if "devices" in settings else ()  # trainer=cpu means one process
    found = run_with(settings.partition(".")[2].replace("=", "-"), settings, *by_two)
    assert _losses(found) == pytest.approx(_losses(one), rel=1e-5)
    first, second = (result_of(folder)["results"]["test"] for folder in (found, one))
    for name in ("perplexity", "mrr", "uniformity"):  # the loss of a split compares the rows of a batch
        assert first[name] == pytest.approx(second[name], rel=1e-3), name
    plan = json.loads((found / "environment.json").read_text())["plan"]
    assert plan["devices"] == (2 if "devices" in settings else 1)


@pytest.mark.slow
@pytest.mark.parametrize(("action", "code"), [("SIGKILL", -signal.SIGKILL), ("SIGTERM", 143)])
def test_a_training_that_was_stopped_goes_on_as_if_it_was_not(one: Path, logs: Path, action: str, code: int) -> None:
    accident = {"event": "batch", "at": 4, "action": action}
    arguments = _arguments(logs, action)
    stopped = train(logs, *arguments, accident=accident)
    assert stopped.code == code, stopped.output
    assert not stopped.left
    assert not (logs / action / "result.json").exists()
    done = train(logs, f"resume={logs / action}")
    assert done.code == 0, done.output
    assert_equal_runs(logs / action, one)
    assert all(map(np.array_equal, _vectors(logs / action, "test"), _vectors(one, "test")))


def test_eval_gives_the_numbers_of_training(one: Path, tmp_path: Path) -> None:
    done = typed_here("eval", f"run={one}", "split=test", f"output={tmp_path}/again")
    assert done.returncode == 0, done.stderr
    found, expected = result_of(tmp_path / "again")["results"]["test"], result_of(one)["results"]["test"]
    assert found == expected
    first, second = (pq.read_table(at / "predictions" / "test.parquet") for at in (tmp_path / "again", one))
    assert first.equals(second)


PARTS = {"embedding": ("recall_at_10", "perplexity"), "generation": ("perplexity", "recall_at_10")}


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_each_task_trains_alone(run_with: Callable[..., Path], part: str) -> None:
    folder = run_with(part, f"task={part}", f"model.preparation.parts=[{_made(part)}]", "trainer.max_epochs=1")
    results = result_of(folder)["results"]["test"]
    there, missing = PARTS[part]
    assert results[there] > 0
    assert missing not in results
    table = pq.read_table(folder / "predictions" / "test.parquet").to_pydict()
    assert ("prediction" in table) == (part == "generation")
    assert (folder / "predictions" / "test.query.npy").exists() == (part == "embedding")


def _made(part: str) -> str:
    return {"embedding": "embedding", "generation": "writing"}[part]


@pytest.mark.slow
def test_the_family_without_the_experiment_trains_each_task(run_with: Callable[..., Path]) -> None:
    """With the inputs of both, of which one task reads its own; the loss is the task's."""
    for part, (there, _) in PARTS.items():
        folder = run_with(f"both-{part}", f"task={part}", "family=gritlm", "trainer.max_epochs=1")
        assert result_of(folder)["results"]["test"][there] > 0
        target = OmegaConf.load(folder / "config.yaml").objective._target_
        assert target.rpartition(".")[2] == {"embedding": "Contrastive", "generation": "LanguageModeling"}[part]


def test_a_server_answers_with_the_written_text(one: Path) -> None:
    endpoints = Endpoints(load_scorer(str(one)))
    (answer,) = endpoints.score(Texts(texts=["a cat"]))
    assert answer.keys() == {"label"}, "the vectors are no answer"
    with pytest.raises(HTTPException, match="leave explain out"):
        endpoints.explain(OneText(text="a cat"))
