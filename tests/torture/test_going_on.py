"""Runs that went on, or are to go on, in unusual ways."""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from lit_humor.config.saved import written_config
from tests.e2e.test_bad_input import assert_one_message
from tests.e2e.typed import typed_here
from tests.torture.running import assert_equal_runs, train

BARE = ("report=false", "baseline=false", "logger.tensorboard=null", "callbacks.confusion=null")


def _arguments(logs: Path, run_id: str, *more: str) -> list[str]:
    return ["debug=tiny", f"paths.logs_dir={logs}", f"run_id={run_id}", *BARE, *more]


def test_a_training_that_stopped_early_stays_stopped(tmp_path: Path) -> None:
    """It is killed after it stopped, while its best checkpoint is scored."""
    early = ("trainer.max_epochs=20", "callbacks.early_stopping.patience=1", "+callbacks.early_stopping.min_delta=1")
    whole = train(tmp_path, *_arguments(tmp_path, "whole", *early))
    assert whole.code == 0, whole.output
    assert json.loads((tmp_path / "whole" / "result.json").read_text())["epochs"] < 20
    arguments = _arguments(tmp_path, "run", *early, "resume=auto")
    assert train(tmp_path, *arguments, accident={"event": "test", "at": 1, "action": "SIGKILL"}).code == -9
    done = train(tmp_path, *arguments)
    assert done.code == 0, done.output
    assert_equal_runs(tmp_path / "run", tmp_path / "whole")


COLLAPSING = ("optim.learning_rate=1e-30", "trainer.max_epochs=3", "callbacks.early_stopping=null", "recover=true")


def test_the_run_at_half_the_rate_goes_on_by_the_command_of_the_first(tmp_path: Path) -> None:
    arguments = _arguments(tmp_path, "run", *COLLAPSING, "resume=auto")
    half = [*_arguments(tmp_path, "run-half-rate", *COLLAPSING), "recover=false", "optim.learning_rate=5e-31"]
    assert train(tmp_path, *half, accident={"event": "validation", "at": 3, "action": "SIGKILL"}).code == -9
    done = train(tmp_path, *arguments)
    assert done.code == 0, done.output
    assert json.loads((tmp_path / "run-half-rate" / "status.json").read_text())["state"] == "done"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", ["0", "-1", "two"])
def test_devices_of_a_resume(tmp_path: Path, value: str) -> None:
    accident = {"event": "batch", "at": 3, "action": "SIGTERM"}
    assert train(tmp_path, *_arguments(tmp_path, "run"), accident=accident).code == 143
    done = typed_here("train", f"resume={tmp_path / 'run'}", f"trainer.devices={value}")
    assert_one_message(done, "trainer.devices", "a whole number from 1")


def test_a_refused_callback_leaves_the_name_free(tmp_path: Path) -> None:
    arguments = ("model=tiny", "data=tiny", f"paths.logs_dir={tmp_path}", "run_id=run")
    assert_one_message(typed_here("train", *arguments, "trainer.checkpoint_every=10m"), "trainer.checkpoint_every")
    assert not (tmp_path / "run").exists()


def test_what_is_switched_off_is_not_missed(tmp_path: Path) -> None:
    off = ("callbacks.predictions=null", "callbacks.heartbeat=null", "report=true")
    done = train(tmp_path, *_arguments(tmp_path, "run"), *off)
    assert done.code == 0, done.output
    assert "No report: " in done.output
    again = train(tmp_path, f"resume={tmp_path / 'run'}")
    assert "Traceback" not in again.output


@pytest.mark.parametrize("newer", ["best.ckpt", "step-1.ckpt", "nothing"])
def test_a_copied_run_goes_on_from_its_highest_step(tmp_path: Path, newer: str) -> None:
    """``cp -r`` gives every file a new time, in any order."""
    settings = ("trainer.max_epochs=3", "trainer.checkpoint_every=1")
    assert train(tmp_path, *_arguments(tmp_path, "whole", *settings)).code == 0
    accident = {"event": "stepped", "at": 3, "action": "SIGTERM"}
    assert train(tmp_path, *_arguments(tmp_path, "run", *settings, "trainer.keep=9"), accident=accident).code == 143
    copied = shutil.copytree(tmp_path / "run", tmp_path / "copied", copy_function=shutil.copyfile)
    for path in (copied / "checkpoints").iterdir():
        os.utime(path, (2e9, 2e9) if path.name == newer else (1e9, 1e9))
    done = train(tmp_path, f"resume={copied}")
    assert done.code == 0, done.output
    assert "Going on from step 3, saved in last.ckpt" in done.output
    assert_equal_runs(copied, tmp_path / "whole")


def test_a_step_back_is_not_undone_when_the_run_goes_on(tmp_path: Path) -> None:
    settings = ("trainer.max_epochs=4", "trainer.checkpoint_every=1", "trainer.keep=9")
    assert train(tmp_path, *_arguments(tmp_path, "whole", *settings)).code == 0
    accident = {"event": "stepped", "at": 7, "action": "SIGTERM"}
    assert train(tmp_path, *_arguments(tmp_path, "run", *settings), accident=accident).code == 143
    checkpoints = tmp_path / "run" / "checkpoints"
    back = train(tmp_path, f"resume={checkpoints / 'step-1.ckpt'}", accident=accident | {"at": 1})
    assert back.code == 143, back.output
    assert f"Moved to {checkpoints / 'after-step-1'}, because they are later than step 1, " in back.output
    assert "Going on from step 1, saved in step-1.ckpt" in back.output
    done = train(tmp_path, f"resume={tmp_path / 'run'}")
    assert done.code == 0, done.output
    assert "Going on from step 3, saved in last.ckpt" in done.output
    assert_equal_runs(tmp_path / "run", tmp_path / "whole")


def test_periodic_checkpoints_after_a_step_back(tmp_path: Path) -> None:
    """Those written last are kept, not those of the highest number; files of other names are nobody's business."""
    every = ("trainer.checkpoint_every=1", "trainer.max_epochs=4")
    assert (
        train(
            tmp_path, *_arguments(tmp_path, "run", *every), accident={"event": "stepped", "at": 3, "action": "SIGTERM"}
        ).code
        == 143
    )
    folder = tmp_path / "run" / "checkpoints"
    for name in ("step-99.ckpt", "step-1-copy.ckpt"):
        (folder / name).write_bytes(b"not a checkpoint")
    done = train(tmp_path, f"resume={tmp_path / 'run'}")
    assert done.code == 0, done.output
    found = {path.name for path in folder.glob("step-*.ckpt")}
    assert "step-1-copy.ckpt" in found
    assert len(found) == 2
    assert "step-99.ckpt" not in found


def test_several_processes_from_outside_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIT_HUMOR_LAUNCHED", raising=False)
    for name in ("WORLD_SIZE", "SLURM_NTASKS"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "2")
            done = typed_here("train", "model=tiny", "data=tiny", f"paths.logs_dir={tmp_path}")
        assert_one_message(done, name, "trainer.devices")


def test_short_values_of_the_environment_stay_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASK", "1")
    monkeypatch.setenv("PIN", "12")
    monkeypatch.setenv("ADDRESS", "https://me:s3cr3t@host")
    cfg = OmegaConf.create(
        {
            "seed": "${oc.env:TASK}",
            "path": "/data1/v1",
            "api_key": "${oc.env:PIN}",
            "list": ["${oc.env:ADDRESS}"],
            "told": "to ${list.0}",
        }
    )
    found = yaml.safe_load(yaml.safe_dump(written_config(cfg)))
    assert found == {
        "seed": "1",
        "path": "/data1/v1",
        "api_key": "${oc.env:PIN}",
        "list": ["${oc.env:ADDRESS}"],
        "told": "to ${oc.env:ADDRESS}",
    }
