"""Each trick of docs/tricks.md: killed and resumed it equals a whole run; with two processes too."""

from pathlib import Path

import pytest
import torch

from tests.torture.running import assert_equal_runs, train, train_by_two

BARE = (
    "debug=tiny",
    "trainer=cpu",
    "baseline=false",
    "report=false",
    "logger.tensorboard=null",
    "callbacks.confusion=null",
)
FROZEN = ("model.network.frozen_layers=1", "callbacks.frozen_prefix.cached=true")
TRICKS = {
    "regularizers": (
        *("regularizers.multi_sample_dropout.samples=3", "regularizers.r_drop.alpha=1"),
        *("regularizers.fgm.epsilon=0.5", "regularizers.fgm.from_epoch=1"),
    ),
    "focal": ("objective=focal", "objective.gamma=1"),
    "supervised contrastive": ("objective=supervised_contrastive", "trainer.accumulation=1", "data.batch_size=8"),
    "ema": ("callbacks.ema.decay=0.9",),
    "frozen": (*FROZEN, "trainer.num_workers=2"),
    "augmented": ("data.augment=[word_dropout,word_swap,characters,casing,punctuation]", "trainer.num_workers=2"),
}
ALL = (*TRICKS["regularizers"], *TRICKS["ema"], "model.network.frozen_layers=1", *TRICKS["augmented"][:1])


@pytest.mark.slow
@pytest.mark.parametrize("trick", TRICKS)
def test_a_killed_run_goes_on_and_ends_the_same(trick: str, tmp_path: Path) -> None:
    typed = (*BARE, *TRICKS[trick], f"paths.logs_dir={tmp_path}", "trainer.checkpoint_every=1", "trainer.max_epochs=3")
    whole = train(tmp_path, *typed, "run_id=whole")
    assert whole.code == 0, whole.output
    accident = {"event": "batch", "at": 10, "action": "SIGKILL"}
    assert train(tmp_path, *typed, "run_id=run", "resume=auto", accident=accident).code == -9
    done = train(tmp_path, *typed, "run_id=run", "resume=auto")
    assert done.code == 0, done.output
    assert "Going on from step" in done.output
    assert_equal_runs(tmp_path / "run", tmp_path / "whole")
    if trick == "ema":
        first, second = (
            torch.load(tmp_path / run / "checkpoints" / "last.ckpt", weights_only=True) for run in ("run", "whole")
        )
        assert all(
            torch.equal(one, second["current_model_state"][n]) for n, one in first["current_model_state"].items()
        )


@pytest.mark.slow
def test_all_at_once_by_two_processes(tmp_path: Path) -> None:
    """The run ends with all its results."""
    done = train_by_two("debug=tiny", "trainer=cpu", *ALL, f"paths.logs_dir={tmp_path}", "run_id=run")
    assert done.code == 0, done.output
    assert (tmp_path / "run" / "result.json").is_file()
