"""Weights spread over two processes: the same training, the same files."""

import json
from pathlib import Path

import torch

from tests.e2e.typed import result_of, typed
from tests.torture.running import assert_equal_runs, train_by_two

FSDP = ("trainer.strategy=fsdp", "trainer.max_tokens=null")


def _arguments(logs: Path, name: str, *more: str) -> list[str]:
    return [
        *("debug=tiny", "trainer.accelerator=cpu", f"paths.logs_dir={logs}", f"run_id={name}", "resume=auto"),
        *("trainer.max_epochs=3", *more),
    ]


def test_fsdp_trains_as_ddp_does_and_leaves_whole_checkpoints(tmp_path: Path) -> None:
    for name, strategy in (("ddp", FSDP[1:]), ("fsdp", FSDP)):
        done = train_by_two(*_arguments(tmp_path, name, *strategy))
        assert done.code == 0, done.output
    assert "fsdp" in done.output
    assert json.loads((tmp_path / "fsdp" / "environment.json").read_text())["plan"]["strategy"] == "fsdp"
    saved = [torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True) for name in ("ddp", "fsdp")]
    torch.testing.assert_close(saved[1]["state_dict"], saved[0]["state_dict"], atol=1e-6, rtol=1e-5)
    moments = [one["optimizer_states"][0]["state"] for one in saved]
    torch.testing.assert_close(moments[1], moments[0], atol=1e-6, rtol=1e-5)
    found, expected = (result_of(tmp_path / name)["results"]["test"] for name in ("fsdp", "ddp"))
    assert found["confusion"] == expected["confusion"]
    assert typed("eval", f"run={tmp_path / 'fsdp'}").returncode == 0


def test_fsdp_goes_on_where_it_was_interrupted_and_elsewhere(tmp_path: Path) -> None:
    settings = (*FSDP, "model.network.embeddings=all")  # those in use are another kind of module, see above
    whole, stopped = (_arguments(tmp_path, name, *settings) for name in ("whole", "stopped"))
    assert train_by_two(*whole).code == 0
    ended = train_by_two(*stopped, accident={"event": "batch", "at": 3, "action": "SIGTERM", "rank": 1})
    assert ended.code == 143, ended.output
    (tmp_path / "elsewhere").mkdir()
    for path in (tmp_path / "stopped").rglob("*"):
        target = tmp_path / "elsewhere" / path.relative_to(tmp_path / "stopped")
        target.mkdir() if path.is_dir() else target.write_bytes(path.read_bytes())
    done = train_by_two(*stopped)
    assert done.code == 0, done.output
    assert_equal_runs(tmp_path / "stopped", tmp_path / "whole")
    alone = typed("train", f"resume={tmp_path / 'elsewhere'}", "trainer.devices=1", "trainer.strategy=ddp")
    assert alone.returncode == 0, alone.stdout + alone.stderr
    assert result_of(tmp_path / "elsewhere")["steps"] == result_of(tmp_path / "whole")["steps"]
