"""Weights of a checkpoint into a model: to score it, or to train on from there."""

from __future__ import annotations

from pathlib import Path

from lit_humor.core.errors import UserError
from lit_humor.engine.checkpoints import read_checkpoint, sum_of
from lit_humor.engine.learner import Learner
from lit_humor.runs import record


def load_weights(learner: Learner, checkpoint: Path, key: str = "ckpt") -> None:
    """Put the weights of a checkpoint into a learner.

    Args:
        learner: Of the same model.
        checkpoint: The file.
        key: What named it, for messages.

    Raises:
        UserError: There is no such checkpoint, or it is another model's.
    """
    state = read_checkpoint(checkpoint)["state_dict"]
    try:
        learner.load_state_dict(state)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{key}={checkpoint}",
            found=f"weights that do not fit the model ({str(error).splitlines()[0]})",
            expected="a checkpoint of the same model",
            fix="name the run folder that the checkpoint came from: run=<folder>" if key == "ckpt" else "set model=",
        ) from None


def load_initial_weights(learner: Learner, run: str) -> dict[str, str]:
    """Start from the best weights of another run, with an optimizer of one's own; return what to say of them.

    Args:
        learner: To be trained.
        run: Run folder, or one checkpoint of it.

    Raises:
        UserError: There is no such checkpoint, or it is another model's.
    """
    path = Path(run) if run.endswith(".ckpt") else Path(run) / record.CHECKPOINTS / record.BEST
    load_weights(learner, path, "init_from")
    return {"checkpoint": str(path.absolute()), "sha256": sum_of(path)}
