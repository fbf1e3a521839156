"""Mistakes with a model that embeds and writes: in its settings, its rows, and what its runs are used for."""

# ruff: noqa: E501
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.e2e.remedies.runs import copy_run
from tests.e2e.remedies.settings import take
from tests.e2e.remedies.telling import Case
from tests.obeying import Line

HERE = ("trainer=cpu", "paths.logs_dir=FOLDER/logs")
TYPED = ("experiment=gritlm", "debug=tiny", *HERE)
RUN, EMBEDS = "run=RUNS/writes", "run=RUNS/embeds"
ROWS = {"in.csv": "text,end\n" + "".join(f"a cat in bar {row},went home at {row}\n" for row in range(20))}
LABELLED = {"in.csv": "text,label\na cat at a job interview,1\na man in a bar,0\n"}
TO_AUDIT = ("data=csv", "data.train_path=FOLDER/in.csv", "model=tiny", "paths.logs_dir=FOLDER/logs")
TEXTS = {"in.csv": "text\na cat at a job interview\na man in a bar\n"}


def _typed(*wrong: str, **more: object) -> Case:
    """A training of little, with mistakes."""
    return Case("train", (*TYPED, *wrong), **more)  # type: ignore[arg-type]


def _model(*wrong: str, **more: object) -> Case:
    return _typed(*(f"model.preparation.{one}" for one in wrong), **more)


def _used(command: str, *arguments: str, run: str = RUN, **more: object) -> Case:
    """A finished run is used, to the end of the command."""
    return Case(command, (run, *arguments), to_the_end=True, **more)  # type: ignore[arg-type]


def _short(folder: Path, line: Line) -> Line:
    return line.having("model.preparation.instruction=find")


def _vectors(wrong: bytes | np.ndarray) -> Callable[[Path, Path], None]:
    """A copy of a run, one of whose files of vectors is no longer that of its rows."""

    def make(folder: Path, runs: Path) -> None:
        copy_run("writes")(folder, runs)
        path = folder / "logs" / "run" / "predictions" / "test.query.npy"
        if isinstance(wrong, bytes):
            path.write_bytes(wrong)
        else:
            np.save(path, wrong)

    return make


def _without_test(folder: Path, runs: Path) -> None:
    copy_run("writes")(folder, runs)
    for name in ("query", "passage"):
        (folder / "logs" / "run" / "predictions" / f"test.{name}.npy").unlink()
    shutil.rmtree(folder / "logs" / "run" / "eval", ignore_errors=True)


CASES = {
    "writing: several micro-batches a step": _typed("trainer.accumulation=4"),
    "writing: a metric of classes": _typed("monitor=val/f1"),
    "writing: a setting of another loss": _typed("objective.per=mixed", errors=3),
    "writing: a mean that depends on the batch": _typed("objective.parts.language_modeling.per=mixed"),
    "writing: one loss, a mean of that kind": _typed("task=generation", "objective.per=mixed"),
    "writing: a temperature": _typed("objective.parts.contrastive.temperature=0"),
    "writing: one loss, numbers": _typed("task=embedding", "objective.temperature=0", "objective.positive_share=1", errors=2),
    "writing: a loss of no part": _typed("objective.parts.contrastive=null", "objective.parts.language_modeling=null"),
    "writing: the loss of one part": _typed("objective.parts.contrastive=null", errors=2),
    "writing: a factor of no part": _typed("+objective.factors.sum=1"),
    "writing: factors of no part": _typed("objective.factors={a: 1, language_modeling: 2}"),
    "writing: two that compare rows": _typed(
        "+objective.parts.more={_target_: lit_humor.objectives.contrastive.Contrastive}", "trainer.max_epochs=1"
    ),
    "writing: a loss of classes": _typed("objective=cross_entropy"),
    "writing: parts of none": _model("parts=[x]"),
    "writing: no inputs to embed": Case("train", (*TYPED, "model.preparation.parts=[writing]"), to_the_end=True),
    "writing: no inputs to write": Case("train", (*TYPED, "model.preparation.parts=[embedding]"), to_the_end=True),
    "writing: templates": _model("embedding_template=x", "writing_template=y", errors=2),
    "writing: counts": _model("answer_tokens=0", "num_negatives=-1", errors=2),
    "writing: too long together": _typed("data.max_length=500"),
    "writing: longer answers than a model reads": _model("answer_tokens=100000"),
    "writing: an instruction without room": _model(f"instruction={'word ' * 200}", way="shorten", hand=_short),
    "writing: a longer instruction": _model(f"instruction={'word ' * 30}"),
    "writing: what is written": _typed("tasks.generation.max_tokens=0", "tasks.generation.num_beams=0", "tasks.generation.splits=[tset]", errors=3),
    "writing: a model of another family": Case("train", ("model=gritlm_tiny", "data=tiny", *HERE), way="family=classifier"),
    "writing: a task of another family": Case("train", ("task=embedding", *HERE)),
    "writing: another model": _typed("model=tiny"),
    "writing: rows of classes": Case("train", ("experiment=gritlm", "model=gritlm_tiny", "data=tiny", *HERE), way="joke_halves"),
    "writing: to export": _used("export", "output=FOLDER/out", run=EMBEDS),
    "writing: to export for onnxruntime": _used("export", "to=onnx", "output=FOLDER/out"),
    "writing: to export with fewer pieces": _used("export", "vocabulary=used", "output=FOLDER/out"),
    "writing: vectors of a run of classes": _used("export", "to=sentence_transformers", "output=FOLDER/out", run="run=RUNS/one"),
    "writing: vectors for an audit of no run": Case("audit", (*TO_AUDIT, "vectors=FOLDER/in.csv"), files=LABELLED, to_the_end=True),
    "writing: vectors for an audit of a run of classes": Case("audit", (*TO_AUDIT, "vectors=RUNS/one", "vectors_similarity=2"), files=LABELLED, to_the_end=True, errors=2),
    "writing: to calibrate": _used("eval", "calibrate=true"),
    "writing: other rows without answers": _used("eval", "data=csv", "data.test_path=FOLDER/in.csv", files=ROWS, hand=take("data.answer_column=end")),
    "writing: other rows of a corpus without answers": _used("eval", "data=tiny"),
    "writing: to begin with for classes": Case("train", ("model=tiny", "data=tiny", *HERE, "init_from=RUNS/writes")),
    "writing: too few rows": _typed("data.rows_per_split=1", hand=take("data.rows_per_split")),
    "writing: together": _used("eval", "runs=[RUNS/writes,RUNS/writes]", "output=FOLDER/both"),
    "writing: beside a run of classes": Case("report", ("runs=[RUNS/one,RUNS/writes]",), to_the_end=True),
    "writing: to explain": _used("predict", "text=ha", "explain=true"),
    "writing: a threshold": _used("predict", "text=ha", "threshold=0.5"),
    "writing: passages that are not there": _used("predict", "query=a cat", "against=FOLDER/jokes.csv"),
    "writing: a file without texts": _used("predict", "query=a cat", "against=FOLDER/in.csv", files={"in.csv": "text,row\n,1\n"}),
    "writing: a split that was not scored": Case("predict", ("run=FOLDER/logs/run", "query=a cat"), make=_without_test, to_the_end=True),
    "writing: no neighbours": _used("predict", "query=a cat", "k=0"),
    "writing: a blank query": _used("predict", "query= ", hand=take("query=a cat")),
    "writing: a query beside a text": _used("predict", "query=a cat", "text=ha", "explain=true", "threshold=0.5", errors=3),
    "writing: a query to a run of classes": _used("predict", "query=a cat", run="run=RUNS/one", hand=lambda folder, line: line.without("query").having("text=ha")),
    "writing: a text to a run that embeds": _used("predict", "text=ha", run=EMBEDS, hand=lambda folder, line: line.without("text").having("query=a cat")),
    "writing: a file to a run that embeds": _used("predict", "input=FOLDER/in.csv", run=EMBEDS, files=TEXTS, hand=lambda folder, line: line.without("input").having("query=a cat")),
    "writing: to serve a run that embeds": Case("serve", (EMBEDS,), hand=lambda folder, line: Line("predict", (*line.arguments, "query=a cat"))),
    "writing: vectors that were cut": Case("report", ("run=FOLDER/logs/run",), make=_vectors(b"\x93NUMPY"), to_the_end=True),
    "writing: vectors of other rows": Case("report", ("run=FOLDER/logs/run",), make=_vectors(np.zeros((3, 16), dtype=np.float32)), to_the_end=True),
}  # fmt: skip
