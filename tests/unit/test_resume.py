"""Whether a run that was begun by an earlier version has the settings that are asked for now."""

from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from lit_humor.config.command import compose
from lit_humor.config.saved import SavedRun
from lit_humor.core.errors import UserError
from lit_humor.engine.resume import _check_same_settings


def _composed(folder: Path, *settings: str) -> DictConfig:
    places = [f"paths.logs_dir={folder.parent}", f"paths.cache_dir={folder.parent}", f"run_id={folder.name}"]
    return compose("train", ["debug=tiny", *places, *settings])


def _saved(folder: Path, *settings: str, schedule_epochs: int | None = 4) -> SavedRun:
    """As versions wrote it whose files had ``lr_scale: 64.0`` and ``schedule_epochs: 4``."""
    cfg = _composed(folder, "model.lr_scale=64.0", *settings)
    cfg.trainer.schedule_epochs = schedule_epochs
    cfg.paths.run_dir = str(folder)
    config = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
    return SavedRun(folder, config)  # type: ignore[arg-type]


@pytest.mark.parametrize("max_epochs", [2, 4])
def test_what_was_written_out_then_and_is_computed_now_is_the_same(tmp_path: Path, max_epochs: int) -> None:
    folder, epochs = tmp_path / "run", f"trainer.max_epochs={max_epochs}"
    _check_same_settings(_composed(folder, epochs), _saved(folder, epochs))
    _check_same_settings(_composed(folder, epochs), _saved(folder, epochs, schedule_epochs=None))
    _check_same_settings(_composed(folder, epochs, "model.lr_scale=64"), _saved(folder, epochs))


def test_another_schedule_and_another_rate_are_not_the_same(tmp_path: Path) -> None:
    folder, epochs = tmp_path / "run", "trainer.max_epochs=8"
    with pytest.raises(UserError, match=r"schedule_epochs: found 8, but 4 .* Fix: set trainer\.schedule_epochs=4"):
        _check_same_settings(_composed(folder, epochs), _saved(folder, epochs))
    _check_same_settings(_composed(folder, epochs, "trainer.schedule_epochs=4"), _saved(folder, epochs))
    with pytest.raises(UserError, match=r"model\.lr_scale: found 2, but 64\.0"):
        _check_same_settings(_composed(folder, "model.lr_scale=2"), _saved(folder))


def test_settings_that_an_older_version_did_not_know_are_no_difference(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    saved = _saved(folder)
    for key in ("monitor", "mode", "tasks", "data.split_similarity", "callbacks.learning_rates"):
        parent, _, name = key.rpartition(".")
        del (OmegaConf.select(saved.config, parent) if parent else saved.config)[name]
    _check_same_settings(_composed(folder, "trainer.max_epochs=2"), _saved(folder, "trainer.max_epochs=2"))
    _check_same_settings(_composed(folder), saved)


@pytest.mark.parametrize("of_old", [(), ("callbacks.early_stopping=null",)])
def test_a_node_that_is_switched_off_is_another_setting(tmp_path: Path, of_old: tuple[str, ...]) -> None:
    folder = tmp_path / "run"
    new = () if of_old else ("callbacks.early_stopping=null",)
    with pytest.raises(UserError, match=r"callbacks\.early_stopping: found .*, or set run_id=run-2"):
        _check_same_settings(_composed(folder, *new), _saved(folder, *of_old))


def test_a_setting_that_is_new_and_typed_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    saved = _saved(folder)
    del saved.config.data["split_similarity"]
    monkeypatch.setattr("lit_humor.engine.resume.typed_overrides", lambda: ["data.split_similarity=0.9"])
    with pytest.raises(
        UserError, match=r"data\.split_similarity: found 0\.9, but another .*leave data\.split_similarity away"
    ):
        _check_same_settings(_composed(folder, "data.split_similarity=0.9"), saved)
