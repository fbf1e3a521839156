"""Runs with an adapter beside weights of 4 bits: small checkpoints of one base, killed and gone on, exported."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.e2e.typed import result_of, typed, typed_here
from tests.torture.running import assert_equal_runs, train, train_by_two

pytest.importorskip("peft", reason="needs the extra qlora")
pytest.importorskip("bitsandbytes", reason="needs the extra qlora")

QUICK = ("report=false", "baseline=false", "logger.tensorboard=null", "trainer.log_every_n_steps=1")
NF4 = "model.network.quantization=nf4"


def _defaults(logs: Path, name: str, *more: str) -> list[str]:
    places = (f"paths.logs_dir={logs}", f"paths.cache_dir={logs}/cache", f"run_id={name}")
    few = ("optim.learning_rate=1e-2", "tasks.generation.max_tokens=6")
    return ["experiment=qwen3vl_random", "debug=tiny", "trainer=cpu", *few, *places, *more]


def _arguments(logs: Path, name: str, *more: str) -> list[str]:
    return _defaults(logs, name, *QUICK, *more)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 18 steps."""
    logs = tmp_path_factory.mktemp("logs")
    done = train(logs, *_arguments(logs, "whole", NF4))
    assert done.code == 0, done.output
    return logs / "whole"


def _state(folder: Path, name: str = "best") -> Any:
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]


def _predictions(folder: Path) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = pq.read_table(folder / "predictions" / "test.parquet").to_pydict()
    return columns


def test_a_checkpoint_holds_the_adapter_alone(run: Path) -> None:
    state = _state(run)
    names = {name.removeprefix("model.") for name in state if name.startswith("model.")}
    assert sum(".lora_" in name for name in names) == 16
    assert {name for name in names if ".lora_" not in name} == {"base"}
    assert all((run / "checkpoints" / f"{name}.ckpt").stat().st_size < 2**20 for name in ("best", "last"))
    (base,) = (run.parent / "cache").glob("random-qwen3-vl-*")
    told = json.loads((run / "backbone" / "base.json").read_text())
    assert told["name"] == str(base)
    assert list(told["sha256"]) == ["model.safetensors"]


def test_it_is_scored_as_it_was_trained_with_a_base_that_is_made_again(run: Path, tmp_path: Path) -> None:
    shutil.rmtree(run.parent / "cache")
    done = typed_here("eval", f"run={run}", f"output={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert _predictions(tmp_path / "out") == _predictions(run)


def test_killed_and_gone_on_it_is_the_same(run: Path, tmp_path: Path) -> None:
    arguments = _arguments(tmp_path, "killed", NF4, "resume=auto")
    accident = {"event": "batch", "at": 46, "action": "SIGKILL"}
    assert train(tmp_path, *arguments, accident=accident).code == -signal.SIGKILL
    done = train(tmp_path, *arguments)
    assert done.code == 0, done.output
    assert "Going on from step" in done.output
    assert_equal_runs(tmp_path / "killed", run)


def test_another_base_is_refused(run: Path, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    shutil.copytree(run.parent, logs)
    copied = logs / "whole"
    config = copied / "config.yaml"
    config.write_text(config.read_text().replace(str(run.parent), str(logs)))
    assert typed_here("eval", f"run={copied}", "split=val").returncode == 0
    (path,) = (logs / "cache").glob("random-qwen3-vl-*/model.safetensors")
    weights = load_file(path)
    weights["model.language_model.norm.weight"][0] += 1
    save_file(weights, path, metadata={"format": "pt"})
    refused = typed_here("eval", f"run={copied}", "split=val", f"output={tmp_path / 'out'}")
    assert refused.returncode == 1
    assert "the adapter was trained on another model than model.pretrained now" in refused.stderr
    started = typed_here("train", *_arguments(logs, "next", NF4), f"init_from={copied}")
    assert started.returncode == 1
    assert "the adapter was trained on another model than model.pretrained now" in started.stderr


def test_another_run_goes_on_with_the_same_adapter(run: Path, tmp_path: Path) -> None:
    still = ("optim.learning_rate=1e-30", "trainer.max_epochs=1", f"init_from={run}", "seed=7")
    done = train(tmp_path, *_arguments(tmp_path, "next", NF4, *still))
    assert done.code == 0, done.output
    before, after = _state(run), _state(tmp_path / "next", "last")
    learned = [name for name in before if ".lora_" in name]
    assert len(learned) == 16
    assert all(torch.allclose(after[name], before[name], rtol=0, atol=1e-20) for name in learned)


@pytest.mark.slow
def test_a_step_is_cut_in_any_way(tmp_path: Path) -> None:
    """1 x 16 rows, 4 x 4 and two processes: the same losses and nearly the same adapter."""
    cuts = {
        "1x16": ("data.batch_size=1", "trainer.accumulation=16"),
        "4x4": ("data.batch_size=4", "trainer.accumulation=4"),
        "at_once": ("data.batch_size=16", "trainer.accumulation=1", "trainer.max_tokens=100"),
    }
    exact = (NF4, "model.network.adapter.dropout=0", "data.length_grouped=false", "trainer.max_epochs=1")
    for name, cut in cuts.items():
        done = train(tmp_path, *_defaults(tmp_path, name, *exact, *cut))
        assert done.code == 0, done.output
    done = train_by_two(*_defaults(tmp_path, "two", *exact, *cuts["4x4"]))
    assert done.code == 0, done.output
    expected, first = result_of(tmp_path / "1x16")["results"]["val"], _state(tmp_path / "1x16", "last")
    for name in ("4x4", "at_once", "two"):
        assert result_of(tmp_path / name)["results"]["val"]["loss"] == pytest.approx(expected["loss"], rel=1e-5), name
        other = _state(tmp_path / name, "last")
        assert other.keys() == first.keys()
        moved = max(float((other[key] - first[key]).abs().max()) for key in first if ".lora_" in key)
        assert moved < 1e-4, name


@pytest.mark.parametrize("to", ["huggingface", "merged"])
def test_an_export_says_how_far_it_moves(run: Path, tmp_path: Path, to: str) -> None:
    folder = tmp_path / to
    done = typed_here("export", f"run={run}", f"to={to}", f"output={folder}")
    assert done.returncode == 0, done.stderr
    told = json.loads((folder / "parity.json").read_text())
    assert f"in {told['moved_tokens']} places another token" in " ".join((folder / "README.md").read_text().split())
    names = {path.name for path in folder.iterdir()}
    assert {"chat_template.jinja", "tokenizer.json"} <= names
    if to == "huggingface":
        assert {"adapter_model.safetensors", "adapter_config.json"} <= names
        assert "model.safetensors" not in names
        assert told["largest_difference"] < 1e-5
        assert len(load_file(folder / "adapter_model.safetensors")) == 16
    else:
        assert {"model.safetensors", "config.json"} <= names
        assert "quantization_config" not in (folder / "config.json").read_text()
        assert not any("lora" in name for name in load_file(folder / "model.safetensors"))
        assert 1e-3 < told["mean_difference"] < told["largest_difference"]
        assert "mean difference" in done.stdout


def test_onnx_is_refused(run: Path, tmp_path: Path) -> None:
    done = typed("export", f"run={run}", "to=onnx", f"output={tmp_path / 'out'}")
    assert done.returncode == 1
    assert "to: found onnx, of a run whose adapter was trained, expected huggingface or merged" in done.stderr
