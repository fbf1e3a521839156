"""Paths and names as people have them, in every command; and what is no setting, with what to type instead."""

# ruff: noqa: E501
import json
import shlex
import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.e2e.test_bad_input import assert_one_message
from tests.e2e.typed import result_of, typed, typed_here

# Each a folder with what Hydra's grammar, YAML or a shell would take for something else.
FOLDER = "данные, (1) = {x} [y] 'z' #ü"
QUICK = ("debug=tiny", "trainer.max_epochs=1", "baseline=false", "report=false", "trainer=cpu")
ROWS = "".join(f"{'шутка' if row % 2 else 'отчёт'} номер {row},{'да' if row % 2 else 'нет'}\n" for row in range(40))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and a run that was trained on them."""
    folder = _make_data(tmp_path_factory.mktemp("typed"))
    done = typed("train", *QUICK, *_data(folder, "train"), f"paths.logs_dir={folder}", "run_id=1e5")
    assert done.returncode == 0, done.stderr
    again = next(line for line in done.stdout.splitlines() if "eval.py" in line)
    assert shlex.split(again)[-1] == f"run={folder}/1e5"
    return folder


def _make_data(parent: Path) -> Path:
    folder = parent / FOLDER
    folder.mkdir()
    (folder / "train (1).csv").write_text(f"Größe.text,null\n{ROWS}", encoding="utf-8")
    return folder


def _data(folder: Path, split: str) -> tuple[str, ...]:
    names = ("data.text_column=Größe.text", "data.label_column=null", "data.label_names=[нет,да]")
    return ("data=csv", f"data.{split}_path={folder}/train (1).csv", *names)


def test_a_run_keeps_what_was_typed(place: Path) -> None:
    run = place / "1e5"
    saved = OmegaConf.load(run / "config.yaml")
    assert saved.data.train_path == f"{place}/train (1).csv"
    assert saved.data.label_names == ["нет", "да"]
    assert (saved.data.text_column, saved.data.label_column, saved.run_id) == ("Größe.text", "null", "1e5")
    command = json.loads((run / "environment.json").read_text())["command"]
    assert f"data.train_path={place}/train (1).csv" in command


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("eval", ("run={run}", "split=val", "output={place}/eval [1],2")),
        ("eval", ("ckpt={run}/checkpoints/best.ckpt", "split=val", "output={place}/ckpt=1")),
        ("eval", ("run={run}", "data=csv", "data.test_path={place}/train (1).csv", "output={place}/3")),
        ("predict", ("run={run}", "text=a, (b) = 'c'")),
        ("predict", ("run={run}", "input={place}/train (1).csv", "output={place}/out, (2).csv")),
        ("predict", ("run={run}", "input={place}/train (1).csv", "text_column=Größe.text", "output={place}/=.csv")),
        ("report", ("run={run}",)),
        ("report", ('runs=["{run}","{run}"]', "output={place}/page, (1).html")),
        ("export", ("run={run}", "output={place}/export (1), [x]")),
        ("serve", ("run={run}", "--cfg", "job")),
        ("audit", ("model=tiny", "data=csv", "data.train_path={place}/train (1).csv", "data.text_column=Größe.text", "data.label_column=null",
                   "data.label_names=[нет,да]", "fix={place}/fixed, (1)", "run_id=007", "paths.logs_dir={place}")),
        ("sweep", ("plan=grid", "dry_run=true", "debug=tiny", "data=csv", "data.train_path=\"{place}/train (1).csv\"",
                   "data.label_names=[нет,да]", "paths.logs_dir={place}/sweep, (1)")),
        ("monitor", ("run={run}", "--once")),
        ("monitor", ("logs={place}", "--once")),
    ],
)  # fmt: skip
def test_every_command_takes_such_a_folder(place: Path, command: str, arguments: tuple[str, ...]) -> None:
    filled = [one.replace("{run}", str(place / "1e5")).replace("{place}", str(place)) for one in arguments]
    if command == "report" and arguments[0].startswith("runs"):
        filled[0] = f"runs=[{_in_quotes(place / '1e5')},{_in_quotes(place / '1e5')}]"
    done = typed(command, *filled)
    assert done.returncode == 0, done.stderr
    output = next((one.partition("=")[2] for one in filled if one.startswith(("output=", "fix="))), None)
    assert output is None or Path(output).exists()
    if command == "serve":
        assert OmegaConf.create(done.stdout).run == str(place / "1e5")
    if command == "sweep":
        line = next(line for line in done.stdout.splitlines() if "train.py" in line)
        assert f"paths.logs_dir={place}/sweep, (1)" in shlex.split(line)


def _in_quotes(path: Path) -> str:
    return '"' + str(path).replace('"', '\\"') + '"'


def test_stop_takes_such_a_folder(place: Path) -> None:
    done = typed("stop", f"run={place / '1e5'}")
    assert done.returncode == 1
    assert done.stdout.strip() == f"{place / '1e5'} is not alive: done."


def test_a_run_is_moved_to_such_a_folder_and_goes_on(place: Path, tmp_path: Path) -> None:
    """The command that is printed is typed as it stands; its folder's name would break YAML."""
    there = tmp_path / "a: b #'c' (1), {x}"
    shutil.copytree(place / "1e5", there / "007")
    (there / "007" / "result.json").unlink()
    status = json.loads((there / "007" / "status.json").read_text())
    (there / "007" / "status.json").write_text(json.dumps(status | {"state": "interrupted"}))
    shown = typed("monitor", f"run={there / '007'}", "--once").stdout
    assert "resume with" in shown
    done = typed("train", f"resume={there / '007'}")
    assert done.returncode == 0, done.stderr
    assert result_of(there / "007")["results"]


def test_two_processes_read_the_same_path(tmp_path: Path) -> None:
    folder = _make_data(tmp_path)
    settings = ("debug=tiny", "trainer.max_epochs=1", "trainer=cpu", "trainer.devices=2", "run_id='null'")
    done = typed("train", *settings, *_data(folder, "train"), f"paths.logs_dir={folder}", timeout=200)
    assert done.returncode == 0, done.stderr
    assert result_of(folder / "null")["results"]["val"]
    assert OmegaConf.load(folder / "null" / "config.yaml").data.train_path == f"{folder}/train (1).csv"


MISTYPED = [
    ("train", ("seed", "=", "3"), "seed=3"), ("train", ("seed=", "3"), "seed=3"), ("train", ("seed", "=3"), "seed=3"),
    ("train", ("seed =3",), "seed=3"), ("train", ("seed:3",), "seed=3"), ("train", ("seed:", "3"), "seed=3"),
    ("train", ("--seed=3",), "seed=3"), ("train", ("--seed", "3"), "seed=3"), ("train", ("-seed=3",), "seed=3"), ("train", ("minilm",), "model=minilm"),
    ("train", ("=3",), "<key>=3"), ("train", ("data.train_path=my", "file.csv"), "data.train_path=my file.csv"),
    ("train", ("optim.learning_rate=1e-5)",), "optim.learning_rate=1e-5"), ("train", ("optim.learning_rate=１e-5",), "optim.learning_rate=1e-5"),
    ("train", ("trainer.max_epochs=２.",), "trainer.max_epochs=2."), ("train", ("trainer.max_epochs=2.6",), "trainer.max_epochs=3"),
    ("train", ("data.max_length=[64",), "data.max_length=64"), ("train", ("data.max_length=64;",), "data.max_length=64"),
    ("train", ("baseline=ture",), "baseline=true"), ("train", ("data.padding=lonest",), "data.padding=longest"),
    ("train", ("data.languages=en",), "data.languages=[en]"), ("train", ("data=csv", "data.label_names=a b,c"), "data.label_names=[a b,c]"),
    ("eval", ("runs=logs/a,logs/b",), "runs=[logs/a,logs/b]"), ("report", ("runs=a (1),b",), "runs=[a (1),b]"),
    ("sweep", ("n", "=", "3"), "n=3"), ("sweep", ("seed", "=", "3"), "seed=3"), ("eval", ("passes=1,2",), "passes=1"),
    ("predict", (f"a joke {'ha ' * 100}!",), f"text=a joke {'ha ' * 100}!"), ("predict", ("run=logs/a", "it's short"), "text=it's short"),
    ("predict", ("Knock knock: who is there",), "text=Knock knock: who is there"), ("predict", ("input=a", "b.csv"), "input=a b.csv"),
    ("predict", ("see https://x.y: fun",), "text=see https://x.y: fun"), ("predict", ("threshold: 0.3",), "threshold=0.3"),
    ("train", ("data=csv", "data.label_names=[a,", "b]"), "data.label_names=[a, b]"), ("train", ("optim.betas=[0.9,", "0.99]"), "optim.betas=[0.9, 0.99]"),
    ("train", ("data=csv", "data.label_names=[a,", "b", ",", "c", "]", "seed=3"), "data.label_names=[a, b , c ]"),
    ("train", ("data=csv", "data.label_aliases={a:", "b,", "c:", "d}"), "data.label_aliases={a: b, c: d}"), ("eval", ("runs=[logs/a,", "logs/b]"), "runs=[logs/a, logs/b]"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "arguments", "instead"), MISTYPED)
def test_what_to_type_instead(command: str, arguments: tuple[str, ...], instead: str) -> None:
    done = typed_here(
        command, *(["model=tiny"] if command == "train" and "minilm" not in arguments else []), *arguments
    )
    assert_one_message(
        done, f"Fix: set {shlex.quote(instead) if ' ' in instead or '[' in instead or '<' in instead else instead}"
    )
    assert "Hydra" not in done.stderr
    assert "hydra" not in done.stderr


@pytest.mark.parametrize(
    ("command", "arguments", "parts"),
    [
        ("train", ("foo",), ("foo: found a word without =", "--cfg job")), ("train", ("foo", "bar"), ("foo: found a word",)),
        ("train", ("data.trаin_path=x",), ("data.trаin_path: found an unknown key",)),  # an а of another alphabet
        ("train", ("ключ=x",), ("ключ: found an unknown key",)), ("train", ("data..x=1",), ("data..x: found an unknown key",)),
        ("train", ("~seed=(",), ("Fix: set ~seed",)), ("train", ("data.text_column=x",), ("Fix: add data=csv",)),
        ("train", ("paths.logs_dir=null",), ("leave paths.logs_dir out", 'set \'paths.logs_dir="null"\'')),
        ("train", ("data=csv", "data.train_path=${nope}"), ("data.train_path: found Interpolation key 'nope'",)),
        ("train", ("optim.betas=[0.9,0.99",), ("optim.betas: found '[0.9,0.99'", "leave optim.betas out")),
        ("sweep", ("optm.learning_rate=3",), ("optm.learning_rate: found an unknown key", "did you mean 'optim'?")),
        ("sweep", ("seed=1,2",), ("each run of a plan gets its own", "add plan=grid")), ("sweep", ("foo",), ("foo: found a word",)),
        ("sweep", ("-m",), ("sweep.py: found --multirun",)), ("predict", ("-m", "run=x"), ("predict.py: found --multirun",)),
        ("predict", ("inptu=x.csv",), ("did you mean 'input'?",)), ("train", ("https://x.y/z",), ("https://x.y/z: found a word", "leave it out")),
        ("predict", ("https://x.y/z",), ("leave it out",)), ("train", ("x" * 300,), ("leave it out",)), ("audit", ("x" * 300,), ("leave it out",)),
        ("train", ("seed=3", "hf://a/b:c"), ("hf://a/b:c: found a word", "leave it out")),
    ],
)  # fmt: skip
def test_what_is_no_setting(command: str, arguments: tuple[str, ...], parts: tuple[str, ...]) -> None:
    assert_one_message(typed_here(command, *arguments), *parts)


@pytest.mark.parametrize(
    "arguments",
    [
        ("optim.learning_rate=1e-5,3e-5",), ("-m", "optim.learning_rate=1e-5,3e-5"), ("--multirun", "seed=1,2,3"), ("seed=1,2", "run_id=x"),
        ("experiment=v1,v2", "model=tiny", "seed=1"), ("data.batch_size=4,8", 'data.languages=[en]', "paths.cache_dir=a,b"),
    ],
)  # fmt: skip
def test_several_values_are_for_sweep(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """The line that is shown is typed as it stands."""
    done = typed_here("train", "data=tiny", *arguments)
    assert_one_message(done, "train.py: found ", "Fix: python src/lit_humor/sweep.py plan=grid ")
    line = done.stderr.strip().splitlines()[-1].partition("Fix: ")[2].removesuffix(".")
    _, script, *words = shlex.split(line)
    assert script == "src/lit_humor/sweep.py"
    shown = typed_here("sweep", *words, f"paths.logs_dir={tmp_path}", "dry_run=true")
    assert shown.returncode == 0, shown.stderr
    commands = [line for line in shown.stdout.splitlines() if "train.py" in line and "run_id=" in line]
    assert len(commands) == (3 if "seed=1,2,3" in arguments else 2)


def test_options_stand_where_they_are_typed() -> None:
    for arguments in (("seed=3", "--cfg", "job", "run_id=007"), ("--cfg", "job", "seed=3", "run_id=007")):
        done = typed_here("train", *arguments)
        assert done.returncode == 0, done.stderr
        assert OmegaConf.create(done.stdout).run_id == "007"
