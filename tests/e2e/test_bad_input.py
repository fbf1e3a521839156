"""Every mistake ends in one message with key or row, found, expected and remedy; exit code 1; nothing left behind."""

from pathlib import Path

import pytest

from tests.e2e.typed import ROOT, typed, typed_here

# What is typed, and what the message must say. Those that need only the configuration come first: they take a second.
MISTAKES = {
    "unknown key": (["optim.learning_rat=1"], "optim.learning_rat", "did you mean 'learning_rate'?"),
    "unknown group": (["optm.learning_rate=1"], "optm.learning_rate", "did you mean 'optim'?"),
    "unknown experiment": (["experiment=v33"], "experiment: found 'v33'", "did you mean"),
    "unknown model": (["model=minilmm"], "model: found 'minilmm'", "did you mean 'minilm'?"),
    "key added to a class": (["+objective.smoothing=0.1"], "objective.smoothing", "label_smoothing"),
    "key added to a typed node": (["+model.drpo=0.5"], "model.drpo", "unknown key"),
    "key added at the top": (["+epochs=3"], "epochs", "unknown key"),
    "text for a number": (["optim.learning_rate=abc"], "optim.learning_rate: found 'abc'", "a number"),
    "text for a typed number": (["trainer.max_epochs=abc"], "trainer.max_epochs: found 'abc'", "an integer"),
    "word outside its list": (["data.padding=short"], "data.padding: found 'short'", "longest or max_length"),
    "no setting": (["foo bar"], "foo bar", "key=value"),
    "negative rate": (["optim.learning_rate=-1"], "optim.learning_rate", "above 0"),
    "no epochs": (["trainer.max_epochs=0"], "trainer.max_epochs: found 0", "at least 1"),
    "fraction": (["data.val_fraction=1.5"], "data.val_fraction", "0 <= value < 1"),
    "batch not divisible": (["trainer.micro_batch_size=5"], "trainer.micro_batch_size: found 5", "divisor"),
    "unknown monitor": (["callbacks.early_stopping.monitor=val/f2"], "callbacks.early_stopping.monitor", "val/f1"),
    "negative clip": (["trainer.gradient_clip_val=-1"], "trainer.gradient_clip_val", "at least 0"),
    "foreign target": (["objective._target_=torch.load"], "objective._target_: found torch.load", "lit_humor."),
    "no file named": (["data=csv"], "data.train_path", "CSV"),
    "no such file": (["data=csv", "data.train_path=nope.csv"], "nope.csv: found no such file", "ls ."),
    "missing name": (["data=hub"], "data.name: found no value", "data.name="),
    "unknown language": (["data.languages=[xx]"], "data.languages", "de"),
    "too long": (["data.max_length=513"], "data.max_length: found 513", "at most 512"),
    "bad run id": (["run_id=../x"], "run_id=../x", "letters"),
    "no device": (["trainer=gpu"], "trainer.accelerator", "trainer.accelerator=auto"),
}


def assert_one_message(done, *parts: str) -> None:
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("Error: ")
    assert "found" in message
    assert "expected" in message
    assert "Fix: " in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize("case", MISTAKES)
def test_train(case: str, tmp_path: Path) -> None:
    arguments, *parts = MISTAKES[case]
    model = [] if case in ("unknown model", "key added to a typed node") else ["model=tiny"]
    done = typed_here("train", *model, f"paths.logs_dir={tmp_path / 'logs'}", *arguments)
    if case == "no device" and done.returncode == 0:
        pytest.skip("there is a GPU here")
    assert_one_message(done, *parts)
    assert not (tmp_path / "logs").exists(), "a half-made run folder"


def test_typo_in_a_file(tmp_path: Path) -> None:
    """An experiment file with a key that nothing takes."""
    path = ROOT / "configs" / "experiment" / f"typo_{tmp_path.name}.yaml"
    path.write_text("# @package _global_\noptim:\n  warmup: 0.2\n")
    try:
        assert_one_message(typed_here("train", f"experiment={path.stem}", "model=tiny"), "optim.warmup", "unknown key")
    finally:
        path.unlink()


def test_debug_shows_the_traceback() -> None:
    done = typed("train", "debug=traceback", "model=tiny", "data.max_length=513")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("Error: data.max_length")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for run_id, width in (("narrow", 16), ("wide", 32)):
        arguments = (
            f"run_id={run_id}",
            f"model.pretrained.hidden_size={width}",
            "trainer.max_epochs=1",
            "baseline=false",
            "report=false",
        )
        assert typed("train", "debug=tiny", f"paths.logs_dir={folder}", *arguments).returncode == 0
    return folder


def test_a_run_id_is_taken_once(runs: Path) -> None:
    done = typed_here("train", "model=tiny", f"paths.logs_dir={runs}", "run_id=narrow")
    assert_one_message(done, "run_id=narrow", "set run_id=narrow-2")


def test_resume_needs_a_run() -> None:
    assert_one_message(typed_here("train", "resume=logs/none"), "logs/none", "no such folder")


def test_resume_takes_nothing_beside_it(runs: Path) -> None:
    assert_one_message(typed_here("train", f"resume={runs / 'narrow'}", "seed=3"), "seed=3", "resume alone")


def test_eval(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("text,label\na,ham\nb,spam\n")
    (tmp_path / "noise.ckpt").write_bytes(b"\x00" * 100)
    narrow, wide = (runs / name / "checkpoints" / "best.ckpt" for name in ("narrow", "wide"))
    data = ("data=csv", f"data.test_path={tmp_path / 'other.csv'}")
    cases = [
        ([], "run: found no run"),
        (["run=logs/none"], "no such folder"),
        ([f"run={tmp_path}"], "config.yaml"),
        ([f"run={runs / 'narrow'}", f"ckpt={wide}"], "weights of another model"),
        ([f"run={runs / 'narrow'}", f"ckpt={tmp_path / 'noise.ckpt'}"], "noise.ckpt: found no checkpoint"),
        ([f"run={runs / 'narrow'}", "ckpt=https://example.org/a.ckpt"], "a checkpoint on this disk"),
        ([f"run={runs / 'narrow'}", "split=dev"], "split: found dev"),
        ([f"run={runs / 'narrow'}", "data.test_path=x.csv"], "add data=csv"),
        ([f"ckpt={narrow}", *data], "label 'ham'"),
        ([f"ckpt={narrow}", *data, "data.label_names=[ham,spam]"], "those of the model"),
    ]
    for arguments, part in cases:
        assert_one_message(typed_here("eval", *arguments), part)
