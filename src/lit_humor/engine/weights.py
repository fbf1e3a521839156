"""Saves what a run needs to load its model without the hub; loads the weights of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor, nn

from lit_humor.config.command import CONFIG_DIR
from lit_humor.config.saved import class_names_of
from lit_humor.core.errors import UserError, one_line
from lit_humor.core.settings import typed
from lit_humor.engine.checkpoints import read_checkpoint, sum_of
from lit_humor.learning.learner import Learner
from lit_humor.models.embeddings import with_full_tables
from lit_humor.models.pretrained import Pretrained
from lit_humor.runs import record
from lit_humor.tasks.task import class_names_of_tasks

_OF_OLD_RUNS = "lit_humor.models.encoder.TextClassifier"  # whose configuration names no network


def save_backbone(run_dir: Path, learner: Learner, pretrained: Pretrained) -> None:
    """Save configuration, tokenizer and class names, so that the run loads without the hub."""
    names = class_names_of_tasks(learner.tasks)
    record.write_json(run_dir / record.LABELS, {"class_names": list(names)})
    pretrained.save(run_dir / record.BACKBONE, learner.model.config, names)


def load_weights(learner: Learner, checkpoint: Path, load_table: Callable[[], Tensor]) -> None:
    """Load the weights of a checkpoint into a learner.

    Args:
        learner: A learner with the same model.
        checkpoint: The file.
        load_table: Returns the pretrained word embeddings, which a checkpoint need not contain.

    Raises:
        UserError: There is no such checkpoint, or it is of another model.
    """
    state = read_checkpoint(checkpoint, mmap=True)["state_dict"]  # the optimizer's state is not read into memory
    try:
        why_not = _put(learner, with_full_tables(state, load_table))
    except ValueError as error:
        why_not = str(error)
    if why_not:
        run = checkpoint.absolute().parent.parent
        is_run = (run / record.CONFIG).is_file()
        fix = f"set {typed('run', str(run))}" if is_run else "set run=<the run folder that it came from>"
        raise UserError(f"ckpt={checkpoint}", found=why_not, expected="a checkpoint of this run's model", fix=fix)


def load_initial_weights(learner: Learner, run: str) -> dict[str, str]:
    """Load the best weights of another run as initial weights; the state of its optimizer is not used.

    Classes are matched by their names: the last layer's rows are put into the order of this run's classes. If the
    names differ, the last layer keeps its random weights. Class weights of the loss stay those of this run's data.

    Args:
        learner: The learner to train.
        run: Run folder, or one checkpoint of it.

    Returns:
        ``checkpoint``, ``sha256``, and, if the last layer keeps its random weights, its name as ``anew``.

    Raises:
        UserError: There is no such checkpoint, or it is of another model.
    """
    path = Path(run) if run.endswith(".ckpt") else Path(run) / record.CHECKPOINTS / record.BEST
    state = dict(read_checkpoint(path)["state_dict"])
    state |= {f"objective.{name}": value for name, value in learner.objective.named_buffers()}
    folder = path.absolute().parent.parent
    anew = _match_classes(learner, state, list(class_names_of(folder)))
    if why_not := _put(learner, state):
        raise UserError(
            f"init_from={run}",
            found=why_not,
            expected="a run of the model that is trained here",
            fix=_fix(folder, learner),
        )
    return {"checkpoint": str(path.absolute()), "sha256": sum_of(path)} | ({"anew": anew} if anew else {})


def _put(learner: Learner, state: Mapping[str, Tensor]) -> str:
    """Load weights; return an empty text, or the reason why they do not fit."""
    is_waiting = any(parameter.is_meta for parameter in learner.parameters())
    if is_waiting:
        state = {name: value.clone() for name, value in state.items()}  # a copy in memory: the file may change later
    try:
        learner.load_state_dict(state, assign=is_waiting)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        return f"weights of another model ({_difference(learner, state) or one_line(error)})"
    return ""


def _difference(learner: Learner, state: Mapping[str, Tensor]) -> str:
    own = {name: value.shape for name, value in learner.state_dict().items()}
    odd = [
        f"{name} has the shape {list(value.shape)} there and {list(own[name])} here"
        for name, value in state.items()
        if name in own and own[name] != value.shape
    ]
    odd += [f"{name} is not there" for name in own if name not in state]
    odd += [f"{name} is there, but not here" for name in state if name not in own]
    others = f"; {len(odd) - 1} more do not fit" if len(odd) > 1 else ""
    return f"{odd[0]}{others}" if odd else ""


def _match_classes(learner: Learner, state: dict[str, Tensor], theirs: list[str]) -> str:
    """Reorder the last layer's rows in ``state`` by class name; return the layer's name if the classes are others."""
    ours = list(class_names_of_tasks(learner.tasks))
    layers = [
        name
        for name, module in learner.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == len(ours)
    ]
    if not layers or theirs == ours:
        return ""
    own = {f"{layers[-1]}.{name}": value for name, value in learner.get_submodule(layers[-1]).named_parameters()}
    rows = {len(state[name]) for name in own if name in state}
    if not theirs and rows == {len(ours)}:  # a checkpoint without its run folder
        return ""
    if sorted(theirs) == sorted(ours) and rows == {len(ours)}:
        order = [theirs.index(name) for name in ours]
        state |= {name: state[name][order] for name in own}
        return ""
    state |= {name: value.detach().clone() for name, value in own.items() if name in state}
    return layers[-1]


def _fix(folder: Path, learner: Learner) -> str:
    """Return the setting that chooses the model of a run."""
    if not (folder / record.CONFIG).is_file():
        return "set model=<as in the run that it came from>"
    model = yaml.safe_load((folder / record.CONFIG).read_text(encoding="utf-8"))["model"]
    kind, there = model.get("network", {}).get("_target_", ""), model["pretrained"]
    name = kind.rpartition(".")[2]
    if kind and name != type(learner.model).__name__:
        return f"leave init_from away, for that run has a network of another kind, {name}"
    for path in sorted((CONFIG_DIR / "model").glob("*.yaml")):
        choice = yaml.safe_load(path.read_text(encoding="utf-8"))
        is_same = "pretrained" in choice and _without_place(choice["pretrained"]) == _without_place(there)
        if is_same and _network_of(path) == (kind or _OF_OLD_RUNS):
            return f"set model={path.stem}"
    if isinstance(there, str):
        return f"set {typed('model.pretrained', there)}"
    return f"set model as {folder / record.CONFIG} has it"


def _network_of(path: Path) -> str:
    """Return the class of the network that a file of ``configs/model`` names, or the file that it begins with."""
    choice = yaml.safe_load(path.read_text(encoding="utf-8"))
    own: str | None = choice.get("network", {}).get("_target_")
    return own or _network_of(path.with_name(f"{choice['defaults'][0]}.yaml"))


def _without_place(pretrained: Any) -> Any:
    if not isinstance(pretrained, dict):
        return pretrained
    return {key: _without_place(value) for key, value in pretrained.items() if key != "cache_dir"}
