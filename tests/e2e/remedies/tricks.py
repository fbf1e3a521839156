"""Mistakes in the settings of training tricks."""

import shutil
from pathlib import Path
from types import SimpleNamespace

from transformers import MPNetConfig

from tests.e2e.remedies.inside import OWN, SMALL, _encoder_of
from tests.e2e.remedies.settings import typed_tiny
from tests.e2e.remedies.telling import Case

TO_THE_END = ("trainer.max_epochs=1", "baseline=false", "report=false", "paths.cache_dir=FOLDER/cache")
FROZEN = ("model.network.frozen_layers=1", "callbacks.frozen_prefix.cached=true")
OF_GRITLM = ("experiment=gritlm", "debug=tiny", "trainer=cpu", "paths.logs_dir=FOLDER/logs")
NO_ROOM = SimpleNamespace(total=9, used=9, free=0)
MPNET = MPNetConfig(**(SMALL | {"vocab_size": 700}), num_attention_heads=2)  # type: ignore[arg-type]

SMALL_DATA = ("data=tiny", "trainer=cpu", "paths.logs_dir=FOLDER/logs")
STUDENT = ("objective=distillation", "trainer.max_epochs=1", "baseline=false", "report=false")


def _with_a_run(folder: Path, runs: Path) -> None:
    shutil.copytree(runs / "one", folder / "logs" / "one")


WEIGHTED = "text,label,weight\n" + "".join(f"line {i} of the file,{i % 2},{i}\n" for i in range(60))
SOUP = ("soup=true", "output=FOLDER/soup")
TEXT = "text=why did the hen cross the road?"


CASES = {
    "a soup of one": Case("eval", ("runs=[RUNS/one]", *SOUP), errors=2, to_the_end=True),
    "a soup without a folder": Case(
        "eval",
        ("runs=[RUNS/one,RUNS/one/checkpoints/last.ckpt]", "soup=true", "paths.logs_dir=FOLDER/logs"),
        to_the_end=True,
    ),
    "a trick like none": Case(
        "sweep",
        ("plan=ablation", "together=[ema,emma]", "n=1", "debug=tiny", "dry_run=true", "paths.logs_dir=FOLDER/logs"),
        to_the_end=True,
    ),
    "a soup of other models": Case("eval", ("runs=[RUNS/one,RUNS/two]", *SOUP), errors=2, to_the_end=True),
    "a soup of other rows": Case(
        "eval", ("runs=[RUNS/one,RUNS/few,RUNS/one/checkpoints/last.ckpt]", *SOUP), to_the_end=True
    ),
    "a wrong limit of labels": Case(
        "predict",
        ("run=RUNS/one", "input=RUNS/spam.csv", "output=FOLDER/new.csv", "pseudo_labels=2"),
        to_the_end=True,
    ),
    "labels of a run without classes": Case(
        "predict",
        ("run=RUNS/rated", "input=RUNS/rated.csv", "output=FOLDER/new.csv", "pseudo_labels=0.9"),
        to_the_end=True,
    ),
    "labels without a file": Case("predict", ("run=RUNS/one", TEXT, "pseudo_labels=0.9"), to_the_end=True),
    "a weight of nothing": typed_tiny(
        "data=csv", "data.train_path=FOLDER/rows.csv", "data.weight_column=weight", files={"rows.csv": WEIGHTED},
        way="leave",
    ),
    "runs and a run": Case("predict", ("runs=[RUNS/one,RUNS/two]", "run=RUNS/one", TEXT), to_the_end=True),
    "runs of other classes": Case("predict", ("runs=[RUNS/one,RUNS/spam]", TEXT), to_the_end=True),
    "runs without numbers": Case("predict", ("runs=[RUNS/writes,RUNS/writes]", TEXT), to_the_end=True),
    "no teacher": typed_tiny(*STUDENT, make=_with_a_run),
    "a teacher that is not there": typed_tiny(*STUDENT, "objective.teachers=[on]", make=_with_a_run),
    "numbers of distillation": typed_tiny(
        *STUDENT, "objective.teachers=[RUNS/one]", "objective.temperature=0", "objective.weight=2", errors=2
    ),
    "more layers than there are": Case(
        "train", ("model=minilm_half", "model.pretrained.every=7", *SMALL_DATA)
    ),
    "a teacher of other classes": typed_tiny(*STUDENT, "objective.teachers=[RUNS/one,RUNS/spam]", to_the_end=True),
    "a teacher of another task": typed_tiny(*STUDENT, "objective.teachers=[RUNS/rated]", to_the_end=True),
    "numbers of terms": typed_tiny("regularizers.r_drop.alpha=0"),
    "a term that is a number": typed_tiny("regularizers.r_drop=1"),
    "an epoch of a term": typed_tiny("regularizers.fgm.epsilon=1", "regularizers.fgm.from_epoch=-1"),
    "too few masks": typed_tiny("regularizers.multi_sample_dropout.samples=1"),
    "r_drop without classes": typed_tiny(
        "task=regression", "objective=mean_squared_error", "regularizers.r_drop.alpha=1", "data=csv",
        "data.train_path=RUNS/rated.csv", "data.target_column=rating",
    ),
    "fgm of rows that are compared": typed_tiny(
        "objective=supervised_contrastive", "trainer.accumulation=1", "regularizers.fgm.epsilon=1"
    ),
    "fgm of given states": typed_tiny(*FROZEN, *TO_THE_END, "regularizers.fgm.epsilon=1", to_the_end=True),
    "masks of a network without a head": Case(
        "train", (*OF_GRITLM, *TO_THE_END, "regularizers.multi_sample_dropout.samples=3"), to_the_end=True
    ),
    "gamma": typed_tiny("objective=focal", "objective.gamma=-1"),
    "accumulation of rows that are compared": typed_tiny("objective=supervised_contrastive"),
    "a temperature": typed_tiny(
        "objective=supervised_contrastive", "trainer.accumulation=1",
        "objective.parts.supervised_contrastive.temperature=0",
    ),
    "decay of averaged weights": typed_tiny("callbacks.ema.decay=1"),
    "more frozen layers than there are": typed_tiny("model.network.frozen_layers=2"),
    "more new layers than learn": typed_tiny("model.network.frozen_layers=1", "model.network.reinitialized_layers=2"),
    "frozen states without frozen layers": typed_tiny(*FROZEN[1:], *TO_THE_END, to_the_end=True),
    "frozen states without room": typed_tiny(
        *FROZEN, *TO_THE_END, to_the_end=True,
        patched={"lit_humor.callbacks.frozen_prefix.disk_usage": lambda folder: NO_ROOM},
    ),
    "frozen states of texts that change": typed_tiny(*FROZEN, *TO_THE_END, "data.augment=[casing]", to_the_end=True),
    "frozen states of another encoder": Case(
        "train", (*OWN[:-1], *TO_THE_END, *FROZEN), make=_encoder_of(MPNET), to_the_end=True
    ),
    "changes of what is no text": Case("train", (*OF_GRITLM, "data.augment=[casing]")),
    "a change like none": typed_tiny("data.augment=[translation]"),
    "a rate of changes": typed_tiny("data.augment=[casing]", "data.augment_rate=1"),
}  # fmt: skip
