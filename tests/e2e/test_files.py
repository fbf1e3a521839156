"""Files of users through train, eval, audit and predict: what a message tells to type is typed, and it goes on."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lit_humor.data.reading.tables import read_table
from tests.e2e.test_bad_input import assert_one_message
from tests.e2e.typed import ROOT, typed_here
from tests.obeying import typed_in

GOOD = [f"{n}\t{n % 2}\t{'a joke' if n % 2 else 'a fact'} about {n} things" for n in range(1, 61)]
STRAY = ['61\t1\t"Well, that went fine', "62\t0\tthe bus was late", '63\t1\tthe hat was blue"', "64\t0\tthe tram"]
FAST = ("model=tiny", "trainer.max_epochs=1", "baseline=false", "report=false", "trainer=cpu")


def _write(path: Path, lines: list[str], header: str = "id\tlabel\ttext") -> Path:
    path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def stray(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A file whose quotes are plain characters, and a run that was trained on it as the message says."""
    folder = tmp_path_factory.mktemp("stray")
    path = _write(folder / "in.tsv", [*GOOD, *STRAY])
    command = ("train", *FAST, "data=csv", f"data.train_path={path}", f"paths.logs_dir={folder}/logs", "run_id=run")
    done = typed_here(*command)
    assert_one_message(
        done,
        f"{path}, line 62 to 64: found",
        "3 lines were read as one row, but 3 of them look like rows of their own",
        "data.quoting=standard",
    )
    assert not (folder / "logs").exists()
    done = typed_here(*command, *typed_in(done.stderr)[:1])
    assert done.returncode == 0, done.stderr
    return path, folder / "logs" / "run"


def test_every_row_is_there_after_the_remedy(stray: tuple[Path, Path]) -> None:
    _, run = stray
    (counts,) = json.loads((run / "data_report.json").read_text())["files"]
    assert (counts["lines"], counts["rows"], counts["rows_of_several_lines"]) == (64, 64, 0)


def test_eval_reads_as_the_run_did(stray: tuple[Path, Path]) -> None:
    path, run = stray
    done = typed_here("eval", f"run={run}", "data=csv", f"data.test_path={path}", "split=test")
    assert done.returncode == 0, done.stderr
    assert "64 rows" in done.stdout
    done = typed_here("eval", f"run={run}", "data=csv", f"data.test_path={path}", "split=test", "data.quoting=auto")
    assert_one_message(done, "line 62 to 64")


def test_predict_reads_as_the_run_did_or_names_what_was_swallowed(stray: tuple[Path, Path], tmp_path: Path) -> None:
    path, run = stray
    done = typed_here("predict", f"run={run}", f"input={path}", f"output={tmp_path}/out.csv", "quoting=auto")
    assert_one_message(done, "line 62 to 64", "set quoting=none", "set quoting=standard")
    assert not list(tmp_path.iterdir())
    done = typed_here("predict", f"run={run}", f"input={path}", f"output={tmp_path}/out.csv")
    assert done.returncode == 0, done.stderr
    table = read_table(tmp_path / "out.csv")
    assert table["text"][60:] == [line.split("\t")[2] for line in STRAY]
    done = typed_here("predict", f"run={run}", f"input={path}", "quoting=some")
    assert_one_message(done, "quoting: found some", "auto, standard, none")


def test_audit_refuses_and_goes_on(stray: tuple[Path, Path], tmp_path: Path) -> None:
    path, _ = stray
    command = ("audit", "model=tiny", "data=csv", f"data.train_path={path}", f"paths.logs_dir={tmp_path}", "run_id=a")
    done = typed_here(*command)
    assert_one_message(done, "line 62 to 64")
    done = typed_here(*command, *typed_in(done.stderr)[:1])
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "a" / "audit.json").read_text())["data"]["splits"]["train"]["rows"] == 64


def test_texts_of_several_lines_and_another_separator_are_counted(tmp_path: Path) -> None:
    lines = [line.replace("\t", ";") for line in GOOD] + ['61;1;"Roses are red,\nviolets are blue"']
    path = _write(tmp_path / "in.csv", lines, "ID;Label;Text")
    done = typed_here("train", *FAST, "data=csv", f"data.train_path={path}", f"paths.logs_dir={tmp_path}/logs")
    assert done.returncode == 0, done.stderr
    assert f"{path}: fields are separated by semicolons, not by commas" in done.stdout
    assert "62 lines after the header, 61 rows, 1 row of several lines" in done.stdout


LABELS = {
    "alias": (["non-sarcastic", "sarcastic", "non_sarcastic"], ("data.label_names=[non-sarcastic,sarcastic]",)),
    "names": (["не смешно", "смешно"], ()),
    "ratings": (["0.5", "2.35", "3.1"], ()),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_become_classes_by_what_is_told(tmp_path: Path, case: str) -> None:
    values, settings = LABELS[case]
    rows = [f"text {n},{values[n % len(values)]}" for n in range(60)]
    path = _write(tmp_path / "in.csv", rows, "text,label")
    command = ("train", *FAST, "data=csv", f"data.train_path={path}", f"paths.logs_dir={tmp_path}/logs", "run_id=run")
    done = typed_here(*command, *settings)
    assert_one_message(done, "label")
    done = typed_here(*command, *settings, *typed_in(done.stderr))
    assert done.returncode == 0, done.stderr
    told = typed_here("eval", f"run={tmp_path}/logs/run", "data=csv", f"data.test_path={path}", "split=test")
    assert told.returncode == 0, told.stderr


def test_audit_tells_the_alias_of_labels_that_no_class_has(tmp_path: Path) -> None:
    values = ["non-sarcastic", "sarcastic", "non_sarcastic"]
    path = _write(tmp_path / "in.csv", [f"text {n} is here,{values[n % 3]}" for n in range(60)], "text,label")
    done = typed_here(
        *("audit", "model=tiny", "data=csv", f"data.train_path={path}", f"paths.logs_dir={tmp_path}", "run_id=a"),
        "data.label_names=[non-sarcastic,sarcastic]",
    )
    assert done.returncode == 0, done.stderr
    findings = json.loads((tmp_path / "a" / "audit.json").read_text())["findings"]
    (finding,) = [finding for finding in findings if finding["kind"] == "unusable_rows"]
    assert finding["count"] == 20
    assert "for 20 labels that match no class: set 'data.label_aliases={non_sarcastic:" in finding["remedy"]


def test_a_second_text_is_refused_by_a_run_without(stray: tuple[Path, Path], tmp_path: Path) -> None:
    _, run = stray
    path = _write(tmp_path / "in.csv", ["a,b,1", "c,d,0"], "text,context,label")
    done = typed_here("predict", f"run={run}", f"input={path}", "text_pair_column=context")
    assert_one_message(done, "text_pair_column: found the column 'context'", "trained without", "leave text_pair")
    data = ("data=csv", f"data.test_path={path}")
    done = typed_here("eval", f"run={run}", *data, "data.text_pair_column=context")
    assert_one_message(done, "data.text_pair_column: found the column 'context'", "trained without")
    assert typed_here("eval", f"run={run}", *data).returncode == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.json", json.dumps([{"text": "one"}, {"text": "two"}])),
        ("in.json", json.dumps({"a": {"text": "one"}, "b": {"text": "two"}})),
        ("in.json", '{"text": "one"}\n{"text": "two"}\n'),
        ("in.csv", " Text \none\ntwo\n"),
        ("in.tsv", "id,TEXT\n1,one\n2,two\n"),
    ],
)
def test_predict_takes_what_train_takes(stray: tuple[Path, Path], tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    done = typed_here("predict", f"run={stray[1]}", f"input={tmp_path / name}", f"output={tmp_path}/out.jsonl")
    assert done.returncode == 0, done.stderr
    (column,) = [name for name in read_table(tmp_path / "out.jsonl") if name.strip().lower() == "text"]
    assert read_table(tmp_path / "out.jsonl")[column] == ["one", "two"]


EARLY = {
    "ending": ("predict", ["run={run}", "input={tmp}/a.xlsx"], "ending in '.xlsx'"),
    "no input": ("predict", ["run={run}", "input={tmp}/none.csv"], "no such file"),
    "no run": ("predict", ["run={tmp}/none", "input={tmp}/a.csv"], "no such folder"),
    "no run for a text": ("predict", ["run={tmp}/none", "text=x"], "no such folder"),
    "output": ("predict", ["run={run}", "input={tmp}/a.csv", "output={tmp}/a.csv"], "a file there already"),
    "column": ("predict", ["run={run}", "input={tmp}/a.csv"], "data in place of a header"),
    "serve": ("serve", ["run={tmp}/none"], "no such folder"),
    "export": ("export", ["run={tmp}/none"], "no such folder"),
    "eval": ("eval", ["run={tmp}/none"], "no such folder"),
}


@pytest.mark.parametrize("case", EARLY)
def test_mistakes_are_told_before_torch_is_imported(stray: tuple[Path, Path], tmp_path: Path, case: str) -> None:
    command, arguments, told = EARLY[case]
    (tmp_path / "a.csv").write_text("0,a line of text that goes on\n1,another line of text that goes on\n")
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    argv = [command, *(argument.format(run=stray[1], tmp=tmp_path) for argument in arguments)]
    code = (
        f"import sys, atexit; sys.argv = {argv!r}; atexit.register(lambda: print('torch' in sys.modules)); "
        f"import lit_humor.{command} as command; command.main()"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert_one_message(done, told)
    assert done.stdout.strip().endswith("False"), f"torch was imported; {time.monotonic() - start:.1f} s"
