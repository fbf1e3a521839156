"""Mistakes in settings: what the configuration, the plan and the classes of a training refuse."""

# ruff: noqa: E501
import json
from pathlib import Path

from tests.e2e.remedies.telling import Case
from tests.obeying import Hand, Line

TINY = ("model=tiny", "data=tiny", "trainer=cpu", "paths.logs_dir=FOLDER/logs")


def typed_tiny(*wrong: str, errors: int = 1, **more: object) -> Case:
    """A training of little, with mistakes."""
    return Case("train", (*TINY, *wrong), errors=errors, **more)  # type: ignore[arg-type]


def take(*settings: str) -> Hand:
    """A hand that takes settings which the sentence leaves to its reader, and takes away what was wrong."""

    def hand(folder: Path, line: Line) -> Line:
        for setting in (one.replace("FOLDER", str(folder)) for one in settings):
            line = line.having(setting) if "=" in setting else line.without(setting)
        return line

    return hand


def _encoder(folder: Path, kind: str, **changes: object) -> None:
    """A folder with the configuration of an encoder."""
    (folder / "encoder").mkdir()
    content = {"model_type": kind, "vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 1}
    content |= {"num_attention_heads": 2, "intermediate_size": 16, **changes}
    (folder / "encoder" / "config.json").write_text(json.dumps(content))


CASES = {
    "unknown keys": typed_tiny("optim.learning_rat=1e-5", "hydra.verbose=false"),
    "unknown group": typed_tiny("optm.learning_rate=1e-5"),
    "unknown choices": Case("train", ("data=tiny", "model=minilmm", "trainer=cpu", "paths.logs_dir=FOLDER/logs")),
    "a choice like none": typed_tiny("experiment=zzz", hand=take("experiment")),
    "a key like none": typed_tiny("+zzz=3", hand=take("zzz")),
    "keys past the types": typed_tiny("+objective.smoothing=0.1", "+model.drpo=0.5", errors=2, hand=take("model.drpo")),
    "not a number": typed_tiny("trainer.max_epochs=abc", hand=take("trainer.max_epochs=2")),
    "types of a class": typed_tiny(
        "optim.learning_rate=abc", "data.padding=short", errors=2,
        hand=take("optim.learning_rate=1e-5", "data.padding=longest"),
    ),
    "least values": typed_tiny(
        "trainer.max_epochs=0", "data.max_length=1", "trainer.validate_every_steps=0",
        "trainer.gradient_clip_val=-1", "data.val_fraction=1.5", "data.test_fraction=-1", errors=3,
    ),
    "monitor and callbacks": typed_tiny(
        "callbacks.early_stopping.monitor=val/f2", "callbacks.confusion_matrix=5", "logger.tensorboard=yes", errors=2
    ),
    "plan": typed_tiny(
        "trainer.max_tokens=0", "trainer.num_nodes=0", "trainer.micro_batch_size=5", "trainer.num_workers=-1",
        "trainer.precision=half", "trainer.attention=fast", "trainer.strategy=ddq", "trainer.compile=maybe",
        errors=5, hand=take("trainer.precision=auto", "trainer.attention=auto", "trainer.strategy=auto", "trainer.compile=auto"),
    ),
    "fsdp": typed_tiny("trainer.strategy=fsdp"),
    "devices": Case("train", ("model=tiny", "data=tiny", "trainer=gpu", "paths.logs_dir=FOLDER/logs"), errors=0),
    "objective": typed_tiny(
        "objective.label_smoothing=1", "objective.beta=1", "objective.class_weights=fair", errors=3
    ),
    "optimizer": typed_tiny(
        "optim.learning_rate=0", "optim.lr_scale=-1", "optim.layer_decay=2", "optim.schedule.warmup_fraction=1", errors=2
    ),
    "checkpoints": typed_tiny("trainer.checkpoint_every=soon", "trainer.keep=0", errors=2),
    "network": typed_tiny("model.network.dropout=1", "model.network.attention_dropout=-0.1"),
    "too long": typed_tiny("data.max_length=513"),
    "names of runs": typed_tiny("run_id=a b/c"),
    "a secret": typed_tiny(
        "+paths.api_key=s3cr3t", hand=take("paths.api_key")
    ),
    "foreign targets": typed_tiny("objective._target_=torch.load", hand=take("objective._target_")),
    "missing targets": typed_tiny("objective._target_=lit_humor.objectives.nope.Nope", hand=take("objective._target_")),
    "no value": Case("train", ("data=hub", "model=tiny", "paths.logs_dir=FOLDER/logs"), hand=take("data.name", "data=tiny"),
                     ),
    "an argument that is missing": typed_tiny("~optim.learning_rate", hand=take("optim.learning_rate")),
    "no setting": typed_tiny("foo bar", hand=lambda folder, line: Line("train", tuple(a for a in line.arguments if a != "foo bar"))),
    "an option": typed_tiny("--seed=3"),
    "blanks behind a key": typed_tiny("seed =3"),
    "a key to leave out with a value": typed_tiny(
        "~callbacks.early_stopping=[", hand=lambda folder, line: Line("train", tuple(one.removesuffix("=[") for one in line.arguments))
    ),
    "a type inside of a group": typed_tiny("trainer={max_epochs: abc}", hand=take("trainer")),
    "no UTF-8": typed_tiny("run_id=\udcff", way="rename", hand=take("run_id")),
    "no task": typed_tiny("~tasks.classification"),
    "no mode": typed_tiny("mode=best"),
    "a task without numbers": typed_tiny("task=regression", errors=1, hand=take("task")),
    "a loss of another task": typed_tiny("task=regression", "objective=cross_entropy", errors=2, way="leave task", hand=take("task")),
    "a group that was not chosen": Case(
        "eval", ("run=RUNS/one", "data.test_path=FOLDER/a.csv"), files={"a.csv": "text,label\nx,0\ny,1\n"}
    ),
    "a file that is no configuration": Case(
        "train", ("experiment=broken", "model=tiny", "data=tiny", "paths.logs_dir=FOLDER/logs"),
        hand=take("experiment"),
    ),
    "no such model": Case("train", ("data=tiny", "model.pretrained=nobody/nothing", "paths.logs_dir=FOLDER/logs")),
    "a model with code": Case(
        "train", ("data=tiny", "model.pretrained=FOLDER/encoder", "paths.logs_dir=FOLDER/logs"),
        make=lambda folder, runs: _encoder(folder, "bert", auto_map={"AutoModel": "modeling.Evil"}),
    ),
    "a model without weights": Case(
        "train", ("data=tiny", "model.pretrained=FOLDER/encoder", "paths.logs_dir=FOLDER/logs"),
        make=lambda folder, runs: _encoder(folder, "bert"), hand=take("model.pretrained"),
    ),
    "weights of another file": Case(
        "train", ("data=tiny", "model=minilm", "paths.logs_dir=FOLDER/logs"),
        patched={"lit_humor.models.embedded.MINILM_SHA256": "0" * 64}, hand=take("model=tiny"),
    ),
    "no room to unpack": Case(
        "train", ("data=tiny", "model=e5_small", "paths.logs_dir=FOLDER/logs", "paths.cache_dir=FOLDER/cache"),
        patched={"lit_humor.models.e5_folder.NEEDED_BYTES": 2**60}, way="model=minilm",
    ),
}  # fmt: skip
