"""Mistakes in plans of many runs, in benchmarks, and in where they run."""

# ruff: noqa: E501
import json
import shutil
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from lit_humor.runs import record
from tests.e2e.remedies.data import GOOD
from tests.e2e.remedies.settings import take
from tests.e2e.remedies.telling import Case, GoesOn
from tests.obeying import Hand, Line

RUNS = ("model=tiny", "data=tiny", "trainer.max_epochs=1", "paths.logs_dir=FOLDER/logs", "paths.cache_dir=FOLDER/cache")
SEARCH = ("plan=search", "n=1", *RUNS)
BENCH = ("model=tiny", "output=FOLDER", "paths.logs_dir=FOLDER/logs", "memory=false", "compiled=false")


def programs(*names: str, **scripts: str) -> Hand:
    """Puts programs on the path, which do nothing or what their script says: a machine where they are installed."""

    def hand(folder: Path, line: Line) -> Line:
        for name, script in {**dict.fromkeys(names, "exit 0"), **scripts}.items():
            path = folder / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)
        return line

    return hand


def _goes_on(*args: Any, **kwargs: Any) -> None:
    raise GoesOn


def _in_its_own_process(folder: Path, line: Line) -> None:
    from lit_humor.benchmarking.apart import apart
    from lit_humor.core.settings import check_name

    apart(check_name, "name", "a-b" if line.has("name") else "a/b", copy_of=check_name.__module__)


ALONE = {"PATH": "FOLDER/bin"}


def _finished(folder: Path, runs: Path) -> None:
    """A benchmark's run of other code."""
    copied = folder / "logs" / f"bench-{folder.name}-tiny-v3-all-epochs-seed-1"
    shutil.copytree(runs / "spam", copied)
    config = OmegaConf.load(copied / record.CONFIG)
    config.data.train_path = config.data.val_path = str(folder / "train.csv")
    OmegaConf.save(config, copied / record.CONFIG)
    path = copied / record.ENVIRONMENT
    path.write_text(json.dumps(json.loads(path.read_text()) | {"commit": "of another day"}))


CASES = {
    "sweep: its own keys": Case("sweep", (*RUNS, "n=0", "slots=0", "name=a b", "run_id=x", "seed=3", "resume=y"), errors=3),
    "sweep: budget": Case("sweep", (*RUNS, "n=1", "budget=soon", "launch.kind=locall"), errors=2,
                          patched={"lit_humor.sweeps.budget._paces": lambda *args: {}}),
    "sweep: a budget elsewhere": Case("sweep", (*RUNS, "n=1", "budget=6h", "launch=ssh", "launch.host=me@gpu"), hand=None,
                                      patched={"lit_humor.launch.ssh.shutil.which": lambda name: name, "lit_humor.launch.ssh.SshQueue.run": _goes_on}),
    "sweep: a budget too small": Case(
        "sweep", (*RUNS, "n=2", "budget=1min"),
        patched={"lit_humor.sweeps.budget._paces": lambda planned, placed, each, queue: {
            job: {"start_seconds": 5.0, "epoch_seconds": 60.0, "val_seconds": 1.0, "test_seconds": 1.0, "max_epochs": 1} for job in placed}},
    ),
    "sweep: a name of a run": Case("sweep", (*RUNS, "n=1", "name=run"), hand=take("name=other"),
                                   make=lambda folder, runs: shutil.copytree(runs / "one", folder / "logs" / "run") and None),
    "sweep: variants that wait": Case("sweep", (*RUNS, "n=1", "+after.b=a"), hand=take("after")),
    "sweep: where": Case("sweep", (*RUNS, "n=1", "launch=slurm", "launch.time=long"), hand=take("launch=local", "launch.time"),
                         environment=ALONE, missing=("submitit",), errors=3),
    "sweep: no queue": Case("sweep", (*RUNS, "n=1", "launch._target_=lit_humor.launch.queue.Job")),
    "sweep: ssh": Case("sweep", (*RUNS, "n=1", "launch=ssh"), environment=ALONE, hand=programs("ssh", "rsync"), errors=2,
                       fill={"<user>@<machine>": "me@gpu"}, patched={"lit_humor.launch.ssh.SshQueue.run": _goes_on}),
    "sweep: cloud": Case("sweep", (*RUNS, "n=1", "launch=cloud"), environment=ALONE, hand=programs("sky", "aws"), errors=2,
                         fill={"<name>": "jokes"}, patched={"lit_humor.launch.cloud.CloudQueue.run": _goes_on}),
    "search: ranges": Case("sweep", (*SEARCH, "+space={optim.learning_rate:{low:1,high:1}}"), errors=1,
                           missing=("optuna",)),
    "search: values of texts": Case("sweep", (*SEARCH, "+space={data.padding:[longest]}"), fill={"<another value>": "max_length"}),
    "search: no such setting": Case("sweep", (*SEARCH, "+space={optim.rate:[1,2]}"), hand=take("space"), way="lists them"),
    "search: commas, elsewhere, budget": Case("sweep", (*SEARCH, "seed=1,2", "launch=ssh", "budget=6h"), errors=3, hand=take("seed=1")),
    "bench: suites": Case("bench", (*BENCH, "suite=laddder", "profile=tweet", "repeats=0", "steps=0", "rows=3"), errors=3,
                          patched={"lit_humor.benchmarking.raw_step.Setup.step": _goes_on,
                                   "lit_humor.benchmarking.suites.ladder.climb": lambda overrides, machine: [("one", list(overrides))]}),
    "bench: peers": Case("bench", (*BENCH, "suite=peers", "seeds=[]", "rows=64"), missing=("accelerate",), errors=2),
    "bench: recipes": Case("bench", (*BENCH, "suite=recipes", "train_path=FOLDER/trian.csv", "val_path=FOLDER/vall.csv"),
                           files={"train.csv": GOOD, "val.csv": GOOD}, errors=1),
    "bench: a guide": Case("bench", (*BENCH, "suite=families", "train_path=FOLDER/a.csv", "val_path=FOLDER/a.csv"), errors=4,
                           patched={"lit_humor.benchmarking.suites.families.apart": _goes_on}),
    "bench: an experiment without a guide": Case("bench", (*BENCH, "suite=families", "experiment=gritl", "model=gritlm_tiny"),
                                                 patched={"lit_humor.benchmarking.suites.families.apart": _goes_on}),
    "bench: a suite of another family": Case("bench", (*BENCH, "suite=ladder", "model=gritlm_tiny"),
                                             patched={"lit_humor.benchmarking.suites.families.apart": _goes_on}),
    "bench: a suite of no experiment": Case("bench", (*BENCH, "suite=peers", "experiment=v3")),
    "bench: a process of its own": Case(_in_its_own_process, to_the_end=True),
    "bench: a run of other code": Case(
        "bench", (*BENCH, "suite=recipes", "train_path=FOLDER/train.csv", "val_path=FOLDER/train.csv", "experiments=[v3]", "seeds=[1]"),
        files={"train.csv": GOOD}, make=_finished,
        patched={"lit_humor.benchmarking.output.describe_here": lambda: {"commit": "of today"}},
    ),
    "bench: no pictures": Case(lambda folder, line: _bars(folder), missing=("matplotlib",), to_the_end=True),
    "processes from outside": Case("train", ("model=tiny", "data=tiny", "paths.logs_dir=FOLDER/logs"),
                                   environment={"WORLD_SIZE": "2", "LIT_HUMOR_LAUNCHED": None}, way="unset"),
    "torchrun with other devices": Case(
        "train", ("model=tiny", "data=tiny", "trainer=cpu", "paths.logs_dir=FOLDER/logs"),
        environment={"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"},
        patched={"lit_humor.engine.preparing.agree_on": _goes_on},
    ),
    "a node too many": Case("train", ("model=tiny", "data=tiny", "trainer=cpu", "paths.logs_dir=FOLDER/logs"), errors=1,
                            environment={"NODE_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511"},
                            patched={"lit_humor.engine.preparing.agree_on": _goes_on}, hand=take("trainer.devices=1")),
    "nodes that know nothing": Case("train", ("model=tiny", "data=tiny", "trainer=cpu", "trainer.num_nodes=2", "paths.logs_dir=FOLDER/logs"),
                                    environment={"NODE_RANK": None, "MASTER_ADDR": None, "MASTER_PORT": None},
                                    patched={"lit_humor.engine.preparing.agree_on": _goes_on}),
    "trackers": Case("train", ("model=tiny", "data=tiny", "trainer=cpu", "paths.logs_dir=FOLDER/logs", "logger=mlflow",
                               "logger.mlflow.tracking_uri=nowhere://x"), missing=("mlflow",), errors=2),
}  # fmt: skip


def _bars(folder: Path) -> None:
    from lit_humor.benchmarking.plots import bars

    bars(folder / "a.png", {"one": [1.0, 2.0]}, "seconds", "title")
