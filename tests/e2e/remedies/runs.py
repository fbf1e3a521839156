"""Mistakes about runs: which one, what is asked of it, and how to go on with it."""

# ruff: noqa: E501
import io
import json
import shutil
import socket
import subprocess
import sys
import types
from pathlib import Path
from unittest import mock

from lit_humor.runs import record
from tests.e2e.remedies.data import GOOD
from tests.e2e.remedies.settings import TINY, take
from tests.e2e.remedies.telling import Case, GoesOn
from tests.obeying import Line

HERE = "paths.logs_dir=RUNS"
HELD: list[subprocess.Popen[bytes]] = []
PORT = socket.create_server(("127.0.0.1", 0))


def copy_run(name: str, target: str = "run", state: str | None = None, without: tuple[str, ...] = ()):
    """Makes a copy of a run in the folder of the case, in another state, or without some of its files."""

    def make(folder: Path, runs: Path) -> None:
        copied = folder / "logs" / target
        shutil.copytree(runs / name, copied)
        for path in (copied / one for one in without):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        status = record.read_json(copied / record.STATUS)
        record.write_json(copied / record.STATUS, status | ({"state": state} if state else {}))

    return make


def _hold(lock: Path) -> None:
    """Another process holds it."""
    code = "import sys, pathlib; from lit_humor.core import locks; held = locks.hold(pathlib.Path(sys.argv[1])); print(); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout
    holder.stdout.readline()
    HELD.append(holder)


def _held(folder: Path, runs: Path) -> None:
    copy_run("one", state=record.INTERRUPTED)(folder, runs)
    _hold(folder / "logs" / "run" / ".lock")


def _let_go(folder: Path, line: Line) -> Line:
    """What stop.py does: the process that trains there leaves."""
    while HELD:
        HELD.pop().communicate(b"")
    return line


def _parts_of_others(folder: Path, runs: Path) -> None:
    parts = folder / "out.csv.parts"
    parts.mkdir()
    (parts / "origin.json").write_text(json.dumps({"input": "another"}))


def _parts_held(folder: Path, runs: Path) -> None:
    (folder / "out.csv.parts").mkdir()
    _hold(folder / "out.csv.parts" / ".lock")


def _damage(folder: Path, runs: Path) -> None:
    copy_run("one", state=record.INTERRUPTED)(folder, runs)
    for path in (folder / "logs" / "run" / "checkpoints").glob("*.ckpt"):
        path.write_bytes(b"\0" * 100)


def _other_data(folder: Path, runs: Path) -> None:
    """The file of a run that stopped is another now."""
    shutil.copytree(runs / "spam", folder / "logs" / "run")
    config = folder / "logs" / "run" / "config.yaml"
    shutil.copy(runs / "spam.csv", folder / "as it was.csv")
    (folder / "train.csv").write_text((runs / "spam.csv").read_text().replace("things", "thing"))
    config.write_text(config.read_text().replace(str(runs / "spam.csv"), str(folder / "train.csv")))
    status = folder / "logs" / "run" / record.STATUS
    record.write_json(status, record.read_json(status) | {"state": record.INTERRUPTED})
    (folder / "logs" / "run" / record.RESULT).unlink()


def _bring_back(folder: Path, line: Line) -> Line:
    (folder / "train.csv").write_text((folder / "as it was.csv").read_text())
    return line


def _mean_pooling(folder: Path, runs: Path) -> None:
    copy_run("one")(folder, runs)
    config = folder / "logs" / "run" / "config.yaml"
    config.write_text(config.read_text().replace("pooling: first", "pooling: mean"))


class Terminal(io.StringIO):
    """Somebody sits there."""

    def isatty(self) -> bool:
        return True


def _full_below_logs(path: object) -> object:
    return types.SimpleNamespace(free=0 if Path(str(path)).name == "logs" else 2**50)


def _file(content: str = GOOD):
    return {"in.csv": content}


def _column(folder: Path, line: Line) -> Line:
    (folder / "in.csv").write_text(GOOD.replace("label", "guess"))
    return line


PREDICT = ("run=RUNS/one", "input=FOLDER/in.csv", "output=FOLDER/out.csv")

CASES = {
    "no run for eval": Case("eval", (HERE,), to_the_end=True, hand=take("run=RUNS/one")),
    "no such run": Case("eval", (HERE, "run=RUNS/onne"), to_the_end=True),
    "passes and split": Case("eval", (HERE, "run=one", "passes=0", "split=dev"), to_the_end=True, errors=2),
    "runs without predictions": Case("eval", (HERE, "runs=[one,two]", "split=train"), to_the_end=True, errors=2,
                                     way="report.py"),
    "runs that answer the same rows": Case("eval", (HERE, "runs=[one,two]"), to_the_end=True, errors=2, way="set output"),
    "other classes": Case(
        "eval", (HERE, "run=one", "data=csv", "data.test_path=FOLDER/in.csv", "data.label_names=[no,yes]"),
        files=_file(GOOD.replace(",0\n", ",not humor\n").replace(",1\n", ",humor\n")), to_the_end=True,
        hand=take("data.label_names=['not humor','humor']"),
    ),
    "no such checkpoint": Case("eval", (HERE, "run=one", "ckpt=RUNS/one/checkpoints/nope.ckpt"), to_the_end=True, hand=take("ckpt")),
    "a damaged checkpoint": Case("eval", (HERE, "run=one", "ckpt=FOLDER/a.ckpt"), files={"a.ckpt": b"\0" * 100}, to_the_end=True, hand=take("ckpt")),
    "weights of another model": Case("eval", (HERE, "run=one", "ckpt=RUNS/two/checkpoints/best.ckpt"), to_the_end=True, fill={"<folder>": "RUNS/two"},
                                     hand=take("run=two")),
    "initial weights of another model": Case("train", (*TINY, "init_from=RUNS/two"), hand=take("model.pretrained.hidden_size=32")),
    "predict: no run": Case("predict", (HERE, "text=ha"), to_the_end=True, hand=take("run=one")),
    "predict: both": Case("predict", (*PREDICT, "text=ha"), files=_file(), to_the_end=True, hand=take("text")),
    "predict: blank": Case("predict", ("run=RUNS/one", "text= "), to_the_end=True, hand=take("text=ha")),
    "predict: nothing": Case("predict", ("run=RUNS/one",), to_the_end=True, hand=take("text=ha"), patched={"sys.stdin": Terminal()}),
    "predict: no lines": Case("predict", ("run=RUNS/one",), to_the_end=True, hand=take("text=ha"), patched={"sys.stdin": io.StringIO()}),
    "predict: explain a file": Case("predict", (*PREDICT, "explain=true"), files=_file(), to_the_end=True, hand=take("explain")),
    "predict: threshold": Case("predict", (*PREDICT, "threshold=2"), files=_file(), to_the_end=True, hand=take("threshold")),
    "predict: no calibration": Case("predict", ("run=RUNS/one", "text=ha", "calibration=FOLDER/few"), to_the_end=True, way="first"),
    "eval: too few rows to calibrate": Case("eval", (HERE, "run=one", "data=csv", "data.test_path=FOLDER/in.csv", "output=FOLDER/few", "calibrate=true"),
                                            files=_file("text,label\na joke,1\nno joke,0\n"), to_the_end=True, hand=take("calibrate")),
    "predict: quotes": Case("predict", (*PREDICT, "quoting=nonee"), files=_file(), to_the_end=True),
    "predict: second texts": Case("predict", (*PREDICT, "text_pair_column=context"), files=_file("text,context\na joke,so\n"), to_the_end=True),
    "predict: no rows": Case("predict", PREDICT, files=_file("text,label\n"), to_the_end=True,
                             hand=lambda folder, line: (folder / "in.csv").write_text(GOOD) and line),  # type: ignore[return-value,func-returns-value]
    "predict: a column of that name": Case("predict", PREDICT, files=_file(GOOD.replace("label", "prediction")), to_the_end=True, hand=_column),
    "predict: no file": Case("predict", ("run=RUNS/one", "input=FOLDER/inn.csv", "output=FOLDER/out.csv"), files=_file(), to_the_end=True,
                             hand=take("input=FOLDER/in.csv")),
    "predict: an ending of none": Case("predict", ("run=RUNS/one", "input=FOLDER/in.xls", "output=FOLDER/out.csv"),
                                       files={"in.xls": "x", **_file()}, to_the_end=True, hand=take("input=FOLDER/in.csv")),
    "predict: no Parquet": Case("predict", ("run=RUNS/one", "input=FOLDER/in.parquet", "output=FOLDER/out.csv"),
                                files={"in.parquet": b"PAR1", **_file()}, to_the_end=True, hand=take("input=FOLDER/in.csv")),
    "predict: an output of none": Case("predict", ("run=RUNS/one", "input=FOLDER/in.csv", "output=FOLDER/out.xls"), files=_file(),
                                       to_the_end=True, hand=take("output=FOLDER/other.csv")),
    "predict: an output that is there": Case("predict", PREDICT, files={"out.csv": "mine", **_file()}, to_the_end=True, hand=take("output=FOLDER/other.csv")),
    "predict: parts of another": Case("predict", PREDICT, files=_file(), make=_parts_of_others, to_the_end=True),
    "predict: parts that are made": Case("predict", PREDICT, files=_file(), make=_parts_held, to_the_end=True, hand=_let_go),
    "predict: no captum": Case("predict", ("run=RUNS/one", "text=ha ha", "explain=true"), missing=("captum",), to_the_end=True),
    "report: no run": Case("report", (HERE,), errors=1, to_the_end=True),
    "report: no pages": Case("report", (HERE, "run=one"), to_the_end=True, missing=("jinja2",)),
    "report: output of one": Case("report", (HERE, "run=one", "output=FOLDER/page.html"), to_the_end=True, missing=("matplotlib",), errors=2),
    "report: a run without results": Case("report", ("run=FOLDER/logs/run",), make=copy_run("one", state=record.INTERRUPTED, without=("result.json",))),
    "report: other classes": Case("report", ("runs=[RUNS/one,RUNS/spam]",)),
    "report: other rows": Case("report", ("runs=[RUNS/one,RUNS/few]",)),
    "report: no split of both": Case("report", ("runs=[FOLDER/logs/run,RUNS/two]",),
                                     make=copy_run("one", without=("predictions/val.parquet", "predictions/test.parquet"))),
    "export: what and where": Case("export", (HERE, "to=huggingfac", "output=FOLDER/there", "push=nobody"), files={"there/a": ""}, to_the_end=True, errors=3, hand=take("push")),
    "export: pieces of another kind": Case("export", (HERE, "run=one", "to=huggingface", "vocabulary=used", "output=FOLDER/new"), to_the_end=True),
    "export: no run": Case("export", (HERE, "to=huggingface", "output=FOLDER/new"), to_the_end=True, hand=take("run=one")),
    "export: not done": Case("export", ("run=FOLDER/logs/run",), make=copy_run("one", state=record.INTERRUPTED, without=("result.json",))),
    "export: not done, with a quote in its name": Case("export", ("run=FOLDER/logs/it's a run",), make=copy_run("one", "it's a run", state=record.INTERRUPTED, without=("result.json",))),
    "resume: settings beside a quote": Case("train", ("resume=FOLDER/logs/it's a run", "seed=3"), make=copy_run("one", "it's a run", state=record.INTERRUPTED, without=("result.json",))),
    "export: not for transformers": Case("export", ("run=FOLDER/logs/run",), make=_mean_pooling, to_the_end=True,
                                         patched={"lit_humor.exporters.onnx.save_onnx": mock.Mock(side_effect=GoesOn)}),
    "serve: no run": Case("serve", (HERE,), hand=take("run=one")),
    "serve: a taken port": Case("serve", ("run=RUNS/one", f"port={PORT.getsockname()[1]}")),
    "serve: no such port": Case("serve", ("run=RUNS/one", "port=99999")),
    "serve: another host": Case("serve", ("run=RUNS/one", "host=192.0.2.1")),
    "resume: done": Case("train", ("resume=RUNS/one",), to_the_end=True),
    "resume: settings beside it": Case("train", ("resume=FOLDER/logs/run", "seed=3"), make=copy_run("one", state=record.INTERRUPTED, without=("result.json",))),
    "resume: no checkpoint": Case("train", ("resume=FOLDER/logs/run",), make=_damage, hand=lambda folder, line: Line(
        "train", ("model=tiny", "data=tiny", f"paths.logs_dir={folder}/logs", "run_id=anew"))),
    "resume: auto without a name": Case("train", (*TINY, "resume=auto"), fill={"<name>": "mine"}),
    "resume: auto with other settings": Case(
        "train", ("model=tiny", "data=tiny", "trainer.max_epochs=1", "baseline=false", "report=false", "paths.logs_dir=FOLDER/logs", "run_id=run", "resume=auto", "seed=9"),
        make=copy_run("one", state=record.INTERRUPTED, without=("result.json",)), hand=take("run_id=other"),
    ),
    "resume: devices": Case("train", ("resume=FOLDER/logs/run", "trainer.devices=3"), make=copy_run("one", state=record.INTERRUPTED, without=("result.json",))),
    "resume: no number": Case("train", ("resume=FOLDER/logs/run", "trainer.devices=two"), make=copy_run("one", state=record.INTERRUPTED, without=("result.json",))),
    "resume: other data": Case("train", ("resume=FOLDER/logs/run", "paths.cache_dir=RUNS"), make=_other_data, hand=_bring_back),
    "resume: somebody trains there": Case("train", ("resume=FOLDER/logs/run",), make=_held, hand=_let_go, way="wait"),
    "a name that is taken": Case("train", ("model=tiny", "data=tiny", "trainer=cpu", "paths.logs_dir=FOLDER/logs", "run_id=run"), make=copy_run("one")),
    "no folder for runs": Case("train", ("model=tiny", "data=tiny", "trainer=cpu", "paths.logs_dir=/proc/nowhere")),
    "no room for runs": Case("train", TINY, make=lambda folder, runs: (folder / "logs").mkdir(),
                             patched={"lit_humor.engine.rundir.shutil.disk_usage": _full_below_logs}),
    "a name of a dot": Case("train", (*TINY, "run_id=.")),
}  # fmt: skip
