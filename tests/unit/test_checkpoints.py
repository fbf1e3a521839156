"""Which checkpoint is the newest, by what it holds; and why a file is none."""

# ruff: noqa: E501
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_humor.callbacks.periodic_checkpoint import _oldest_first
from lit_humor.engine.checkpoints import (
    DamagedCheckpointError,
    furthest_valid,
    moved,
    place_of,
    read_checkpoint,
    set_later_aside,
)


def _save(path: Path, step: int, *, epochs: int = 0, batches: int = 0, rows: int = 0, **more: Any) -> Path:
    loops = {
        "epoch_progress": {"total": {"processed": epochs}},
        "epoch_loop.batch_progress": {"total": {"completed": batches}},
    }
    saved = {"state_dict": {"weight": torch.full((3,), float(step))}, "global_step": step, "epoch": epochs}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(saved | {"loops": {"fit_loop": loops}, "metrics_rows": rows} | more, path)
    return path


def _as_written(folder: Path) -> Path:
    return folder


def _touched(folder: Path) -> Path:
    """The one of the fewest steps last."""
    for number, path in enumerate(sorted(folder.iterdir(), key=lambda path: -place_of(path)[0])):
        os.utime(path, (number, number))
    return folder


def _all_at_once(folder: Path) -> Path:
    """As git and archives may leave them."""
    for path in folder.iterdir():
        os.utime(path, (0, 0))
    return folder


def _copied(folder: Path) -> Path:
    """As ``cp -r`` may do it: in any order, each with a new time."""
    target = folder.with_name("copied")
    target.mkdir()
    for number, path in enumerate(sorted(folder.iterdir(), key=lambda path: -place_of(path)[0])):
        shutil.copyfile(path, target / path.name)
        os.utime(target / path.name, (10**9 + number, 10**9 + number))
    return target


def _moved(folder: Path) -> Path:
    return folder.rename(folder.with_name("moved"))


FOLDERS: dict[str, tuple[dict[str, dict[str, int]], str]] = {  # name: checkpoints, the newest of them
    "last after best": ({"best": {"step": 4}, "last": {"step": 8}}, "last"),
    "killed before last was written": ({"best": {"step": 8}, "last": {"step": 4}}, "best"),
    "between the epochs": ({"best": {"step": 4}, "last": {"step": 4}, "step-5": {"step": 5}}, "step-5"),
    "numbers, not letters": ({"step-9": {"step": 9}, "step-10": {"step": 10}}, "step-10"),
    "same step, later epoch": ({"best": {"step": 4, "epochs": 1}, "last": {"step": 4, "epochs": 0}}, "best"),
    "same step, later batch": ({"best": {"step": 4, "batches": 7}, "last": {"step": 4, "batches": 6}}, "best"),
    "same step, more rows of metrics": ({"best": {"step": 4, "rows": 9}, "last": {"step": 4, "rows": 8}}, "best"),
    "same place": ({"best": {"step": 4}, "last": {"step": 4}, "step-4": {"step": 4}}, "last"),
    "weights before a bad step": ({"finite": {"step": 9}, "last": {"step": 4}}, "last"),
}


@pytest.mark.parametrize("times", [_as_written, _touched, _all_at_once, _copied, _moved])
@pytest.mark.parametrize("case", FOLDERS)
def test_the_newest_is_that_of_the_highest_step(tmp_path: Path, case: str, times: Callable[[Path], Path]) -> None:
    files, newest = FOLDERS[case]
    for name, place in files.items():
        _save(tmp_path / "checkpoints" / f"{name}.ckpt", **place)  # type: ignore[arg-type]
    folder = times(tmp_path / "checkpoints")
    assert furthest_valid(folder) == folder / f"{newest}.ckpt"


def test_none_of_none(tmp_path: Path) -> None:
    assert furthest_valid(tmp_path) is None
    assert furthest_valid(tmp_path / "missing") is None


def test_damaged_ones_are_passed_over_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that cannot be read at all, and one whose weights are not those that were written."""
    for step in (1, 2, 3):
        _save(tmp_path / f"step-{step}.ckpt", step)
    os.truncate(tmp_path / "step-3.ckpt", 500)
    (tmp_path / "step-2.ckpt.sha256").write_text(f"{'0' * 64}  step-2.ckpt\n")
    assert furthest_valid(tmp_path) == tmp_path / "step-1.ckpt"
    told = capsys.readouterr().out
    assert f"Passed over: checkpoint {tmp_path}/step-3.ckpt: found no checkpoint (the end of the file is" in told
    assert f"Passed over: checkpoint {tmp_path}/step-2.ckpt: found other bytes than were written" in told


def test_a_checkpoint_without_counts_comes_last(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "last.ckpt")
    _save(tmp_path / "best.ckpt", 1)
    assert furthest_valid(tmp_path) == tmp_path / "best.ckpt"


def test_the_place_is_read_without_the_weights(tmp_path: Path) -> None:
    path = _save(tmp_path / "last.ckpt", 7, state_dict={"weight": torch.zeros(2**20)})
    before = torch.load
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "load", lambda *args, **named: asked.append(named["mmap"]) or before(*args, **named))
        assert place_of(path)[0] == 7
    assert asked == [True]


def test_a_step_back_is_not_undone_by_the_next_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, step in (("step-2", 2), ("best", 4), ("last", 8), ("finite", 9), ("step-1", 1)):
        path = _save(tmp_path / f"{name}.ckpt", step)
        path.with_name(f"{name}.ckpt.sha256").write_text("")
    set_later_aside(tmp_path, tmp_path / "step-2.ckpt")
    assert (
        f"Moved to {tmp_path}/after-step-2, because they are later than step 2, where this run continues: best.ckpt, last"
        in capsys.readouterr().out
    )
    assert furthest_valid(tmp_path) == tmp_path / "step-2.ckpt"
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == ["finite.ckpt", "step-1.ckpt", "step-2.ckpt"]
    kept = sorted(path.name for path in (tmp_path / "after-step-2").iterdir())
    assert kept == ["best.ckpt", "best.ckpt.sha256", "last.ckpt", "last.ckpt.sha256"]
    set_later_aside(tmp_path, tmp_path / "step-2.ckpt")
    assert capsys.readouterr().out == "", "nothing to say the second time"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("logs/a", "/new/a"), ("logs/a/config.yaml", "/new/a/config.yaml"), ("logs/ab/c", "logs/ab/c"), ("logs/a-teacher", "logs/a-teacher"),
        ("data/mylogs/a/x.csv", "data/mylogs/a/x.csv"), ("/logs/a/x", "/logs/a/x"), ("see logs/a/x", "see logs/a/x"), (["logs/a/x", 3], ["/new/a/x", 3]),
        ({"logs/a/x": {"at": "logs/a"}, "logs/a2": None}, {"/new/a/x": {"at": "/new/a"}, "logs/a2": None}), (0.5, 0.5), (None, None),
    ],
)  # fmt: skip
def test_only_paths_below_a_moved_folder_follow_it(value: Any, expected: Any) -> None:
    assert moved(value, "logs/a", "/new/a") == expected
    assert moved(value, "logs/a/", "/new/a") == expected


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


def _scramble_the_list(path: Path) -> None:
    content = bytearray(_save(path, 1).read_bytes())
    start = content.index(b"state_dict") - 20
    content[start : start + 60] = b"?" * 60
    path.write_bytes(content)


NO_CHECKPOINTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "an empty file"),
    "text": (lambda path: path.write_text("# notes\n"), "another kind of file"),
    "pickle": (lambda path: path.write_bytes(pickle.dumps({"state_dict": {}})), "another kind of file"),
    "cut off": (lambda path: os.truncate(_save(path, 1), 700), "the end of the file is missing"),
    "an object": (lambda path: torch.save({"state_dict": _Evil()}, path), "system; only weights, numbers and texts"),
    "a class": (lambda path: torch.save({"state_dict": {}, "path": path}, path), "it holds pathlib.PosixPath; only"),
    "damaged within": (_scramble_the_list, "the list of what it holds cannot be read"),
    "no weights": (lambda path: torch.save({"model": {}}, path), "no weights under the name state_dict"),
    "a list": (lambda path: torch.save([1, 2], path), "no weights under the name state_dict"),
    "odd counts": (lambda path: _save(path, 1, epoch="first"), "its counts of steps and epochs are no numbers"),
}


@pytest.mark.parametrize("case", NO_CHECKPOINTS)
def test_why_a_file_is_no_checkpoint_in_plain_words(tmp_path: Path, case: str) -> None:
    make, why = NO_CHECKPOINTS[case]
    make(tmp_path / "last.ckpt")
    with pytest.raises(DamagedCheckpointError) as told:
        place_of(tmp_path / "last.ckpt") if case == "odd counts" else read_checkpoint(tmp_path / "last.ckpt")
    assert why in str(told.value)
    assert f"Fix: name another: ls {tmp_path}." in str(told.value)
    for word in ("\x1b", "\n", "Weights only load failed", "weights_only", "Traceback"):
        assert word not in str(told.value)


@pytest.mark.parametrize(
    ("there", "step", "order"),
    [
        ([1, 2, 3], 3, [1, 2, 3]),
        ([9, 10, 11], 11, [9, 10, 11]),
        ([99, 3], 3, [99, 3]),
        ([99, 98, 2, 3], 3, [98, 99, 2, 3]),
        ([5], 5, [5]),
    ],
)
def test_the_oldest_periodic_checkpoint_goes_first(
    tmp_path: Path, there: list[int], step: int, order: list[int]
) -> None:
    for number, one in enumerate(there):
        (tmp_path / f"step-{one}.ckpt").touch()
        os.utime(tmp_path / f"step-{one}.ckpt", (10**9 - number, 10**9 - number))
    for other in ("step-1-copy.ckpt", "step-1.ckpt.sha256", "last.ckpt"):
        (tmp_path / other).touch()
    assert _oldest_first(tmp_path, step) == [tmp_path / f"step-{one}.ckpt" for one in order]
