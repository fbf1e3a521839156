"""The configuration of a run: checked, with absolute paths, frozen; bounds stand at the field they bound."""

import ast
import dataclasses
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import ReadonlyConfigError

from lit_humor import engine
from lit_humor.config.command import compose
from lit_humor.config.frozen import changed
from lit_humor.core.bounds import bounded, out_of_bounds
from lit_humor.core.errors import UserError
from lit_humor.engine.configuration import in_folder, settled, validate

TINY = ("debug=tiny", "trainer=cpu")


def test_nothing_is_written_after_validation(tmp_path: Path) -> None:
    cfg = compose("train", TINY)
    frozen = settled(cfg)
    for key in ("seed", "run_id", "paths.run_dir", "trainer.max_epochs", "data.batch_size", "objective._target_"):
        with pytest.raises(ReadonlyConfigError):
            OmegaConf.update(frozen, key, OmegaConf.select(frozen, key))
    with pytest.raises(ReadonlyConfigError):
        frozen.paths.run_dir = "elsewhere"
    placed = in_folder(frozen, tmp_path / "mine")
    assert (placed.paths.run_dir, placed.run_id) == (str(tmp_path / "mine"), "mine")
    assert placed.callbacks.best_checkpoint.dirpath == f"{tmp_path}/mine/checkpoints", "what refers to it follows"
    assert frozen.run_id is None, "a new one is made"
    with pytest.raises(ReadonlyConfigError):
        placed.run_id = "other"
    assert not OmegaConf.is_readonly(changed(cfg, {"seed": 7}))


def test_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jokes.csv").write_text("text,label\n")
    monkeypatch.chdir(tmp_path)
    cfg = compose("train", [*TINY, "data=csv", "data.train_path=jokes.csv", "model=tiny"])
    found = settled(cfg)
    assert found.data.train_path == str(tmp_path / "jokes.csv")
    assert cfg.data.train_path == "jokes.csv"


@dataclasses.dataclass
class _Settings:
    rows: int = bounded(least=1, usual=8)
    share: float = bounded(0.5, least=0, below=1, usual=0.1)
    alike: float | None = bounded(None, above=0, most=1, usual=0.6)
    free: int = -5


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("rows", 0, "x.rows: found 0, expected at least 1. Fix: set x.rows=8."),
        ("rows", 1, ""),
        ("share", 0, ""),
        ("share", 1, "x.share: found 1, expected 0 <= value < 1. Fix: set x.share=0.1."),
        ("share", -0.1, "x.share: found -0.1, expected 0 <= value < 1. Fix: set x.share=0.1."),
        ("alike", 0, "x.alike: found 0, expected 0 < value <= 1, or null. Fix: set x.alike=0.6."),
        ("alike", 1, ""),
        ("alike", None, ""),
        ("free", -9, ""),
        ("rows", "auto", ""),
    ],
)
def test_bounds_stand_at_the_field(name: str, value: object, told: str) -> None:
    assert "".join(map(str, out_of_bounds(_Settings, {name: value}, "x."))) == told


def test_all_values_out_of_bounds_are_told_at_once() -> None:
    wrong = ("trainer.accumulation=0", "trainer.gradient_clip_val=-1", "data.eval_batch_size=0", "data.max_length=2")
    with pytest.raises(UserError) as caught:
        validate(compose("train", [*TINY, *wrong]))
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        *("trainer.accumulation", "trainer.gradient_clip_val", "data.max_length", "data.eval_batch_size"),
    ]


def test_engine_writes_into_no_configuration() -> None:
    """Only ``configuration.py`` makes a changed copy, and ``resume.py`` completes the one that it read from a file."""
    apart = ("configuration.py", "resume.py")
    files = [path for path in Path(engine.__file__).parent.glob("*.py") if path.name not in apart]
    assert len(files) > 15
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            targets = node.targets if isinstance(node, ast.Assign) else []
            written = [ast.unparse(one) for target in targets for one in getattr(target, "elts", [target])]
            assert not [one for one in written if one.startswith(("cfg.", "cfg[", "run.config"))], path
            assert "OmegaConf.update" not in ast.unparse(node), path
