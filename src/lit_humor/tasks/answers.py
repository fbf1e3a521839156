"""What a task gives to predict.py, serve.py and export.py. Legend: B rows of a batch, N rows, K numbers of a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lit_humor.core.errors import UserError

if TYPE_CHECKING:  # what only reads run folders need not wait for torch
    from torch import Tensor

    from lit_humor.tasks.task import Task

PREDICTION = "prediction"  # the column that every task adds to the rows of a file

Activation = Literal["softmax", "sigmoid", "none"]


class ExportForm(NamedTuple):
    """How a model that gives K numbers a row is written for other programs.

    Attributes:
        output: The numbers, as the objective and an ONNX graph call them.
        names: [K] what each number is of.
        activation: What makes them of the logits [B, K].
        problem_type: What transformers calls such a model.
        metrics: Numbers of the results for a model card.
        purpose: A sentence for a model card: what the model does.
        meaning: A sentence for a model card: how its numbers are to be read.
    """

    output: str
    names: tuple[str, ...]
    activation: Activation
    problem_type: Literal["regression", "single_label_classification", "multi_label_classification"]
    metrics: tuple[str, ...]
    purpose: str
    meaning: str


class Explained(NamedTuple):
    """What the words of a text are asked about.

    Attributes:
        name: Of the answer.
        of: [B] of it, from what the network gives for a batch.
    """

    name: str
    of: Callable[[Mapping[str, Tensor]], Tensor]


def answers_of(
    tasks: Mapping[str, Task],
    outputs: Mapping[str, Any],
    calibration: Mapping[str, float],
    thresholds: Mapping[str, float | None],
) -> dict[str, dict[str, list[Any]]]:
    """The answers of each task, by its name.

    Args:
        tasks: Of a run.
        outputs: What the objective gave for N rows, arrays by name.
        calibration: What was fitted on validation.
        thresholds: Of the tasks that have one.
    """
    return {name: task.answers(outputs, calibration, thresholds.get(name)) for name, task in tasks.items()}


def joined_answers(answers: Mapping[str, Mapping[str, Sequence[Any]]]) -> dict[str, Sequence[Any]]:
    """Columns of all tasks; one that an earlier task has already gets the name of its task in front."""
    joined: dict[str, Sequence[Any]] = {}
    for task_name, columns in answers.items():
        for name, values in columns.items():
            joined[f"{task_name}_{name}" if name in joined else name] = values
    return joined


def read_thresholds(
    tasks: Mapping[str, Task], wanted: Any, calibration: Mapping[str, float]
) -> dict[str, float | None]:
    """The threshold of each task that can have one.

    Raises:
        UserError: One was asked for that no task has.
    """
    if wanted is None:
        return {}
    errors = []
    thresholds: dict[str, float | None] = {}
    for name, task in tasks.items():
        try:
            thresholds[name] = task.read_threshold(wanted, calibration)
        except UserError as error:
            errors.append(error)
    if not thresholds:
        raise errors[0]
    return thresholds


def only_exported(tasks: Iterable[Task], where: str) -> Task:
    """The one task of a run that can be exported.

    Raises:
        UserError: There is none, or several.
    """
    kinds = [task.kind for task in tasks]
    fit = [task for task in tasks if task.form is not None]
    if len(kinds) != 1 or not fit:
        raise UserError(
            where,
            found=f"a run of {' and '.join(kinds)}",
            expected="a run of one task that gives numbers or classes",
            fix="use it by predict.py, or train one task alone",
        )
    return fit[0]
