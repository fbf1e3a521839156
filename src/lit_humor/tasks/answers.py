"""The answers of tasks for predict.py, serve.py and export.py. Legend: B, N rows, K numbers of a row."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from lit_humor.core.errors import UserError

if TYPE_CHECKING:  # commands that only read run folders do not load torch
    from torch import Tensor

    from lit_humor.tasks.task import Task

PREDICTION = "prediction"  # the column that every task adds to a file

T = TypeVar("T")
Activation = Literal["softmax", "sigmoid", "none"]


class ExportForm(NamedTuple):
    """How a model with K numbers for each row is exported.

    Attributes:
        output: Name of the numbers in the objective's outputs and in an ONNX graph.
        names: [K] name of each number.
        activation: Function from logits [B, K] to the numbers.
        problem_type: ``problem_type`` in transformers.
        metrics: Names of the metrics on the model card.
        purpose: Sentence for the model card: what the model does.
        meaning: Sentence for the model card: what its numbers mean.
    """

    output: str
    names: tuple[str, ...]
    activation: Activation
    problem_type: Literal["regression", "single_label_classification", "multi_label_classification"]
    metrics: tuple[str, ...]
    purpose: str
    meaning: str


class Explained(NamedTuple):
    """A number whose value can be attributed to the words of a text.

    Attributes:
        name: Name of the answer.
        of: Function from the outputs of the network to the number [B].
    """

    name: str
    of: Callable[[Mapping[str, Tensor]], Tensor]


def answers_of(
    tasks: Mapping[str, Task],
    outputs: Mapping[str, Any],
    calibration: Mapping[str, float],
    thresholds: Mapping[str, float | None],
) -> dict[str, dict[str, list[Any]]]:
    """Return the answers of each task by its name.

    Args:
        tasks: The tasks of a run.
        outputs: Outputs of the objective for N rows, arrays by name.
        calibration: Temperature and threshold that were fitted on validation.
        thresholds: Thresholds of the tasks that have one.
    """
    return {name: task.answers(outputs, calibration, thresholds.get(name)) for name, task in tasks.items()}


def joined_answers(answers: Mapping[str, Mapping[str, T]]) -> dict[str, T]:
    """Return the columns of all tasks; a name that an earlier task has gets the name of its task in front."""
    joined: dict[str, T] = {}
    for task_name, columns in answers.items():
        for name, values in columns.items():
            joined[f"{task_name}_{name}" if name in joined else name] = values
    return joined


def own_columns(task_name: str, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return columns of ``joined_answers``, and of others, with those of one task under the names that it gave them."""
    prefix = f"{task_name}_"
    own = {name.removeprefix(prefix): values for name, values in columns.items() if name.startswith(prefix)}
    return {**columns, **own}


def read_thresholds(
    tasks: Mapping[str, Task], wanted: Any, calibration: Mapping[str, float]
) -> dict[str, float | None]:
    """Return the threshold of each task that can have one.

    Raises:
        UserError: A threshold is set, and no task accepts it.
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


def only_answering(tasks: Collection[Task], where: str, fix: str) -> None:
    """Check that a run has a task that answers a text.

    Raises:
        UserError: All of them only embed.
    """
    kinds = [task.kind for task in tasks if not task.answers_texts]
    if not any(task.answers_texts for task in tasks):
        raise UserError(where, found=f"a run of {' and '.join(kinds)}", expected="one that answers a text", fix=fix)


def only_explained(tasks: Mapping[str, Task]) -> dict[str, Task]:
    """Return the tasks of a run that can be explained.

    Raises:
        UserError: None of them can.
    """
    fit = {name: task for name, task in tasks.items() if task.can_be_explained}
    if not fit:
        found = f"a run of {' and '.join(task.kind for task in tasks.values())}"
        expected = "a task whose answer is a number of the network"
        raise UserError("explain", found=found, expected=expected, fix="leave explain out")
    return fit


def only_scored_alone(tasks: Collection[Task], where: str, fix: str) -> None:
    """Check that the rows of a run are scored one by one, so that several models may each answer some of them.

    Raises:
        UserError: A task compares the vectors of rows, which only one model may have made.
    """
    if not all(task.scores_rows_alone for task in tasks):
        found = f"a run of {' and '.join(task.kind for task in tasks)}"
        expected = "tasks whose rows are scored one by one, not by their vectors"
        raise UserError(where, found=found, expected=expected, fix=fix)


def only_exported(tasks: Iterable[Task], where: str, fix: str) -> Task:
    """Return the task of a run with one task that can be exported.

    Raises:
        UserError: There are several tasks, or it cannot be exported.
    """
    kinds = [task.kind for task in tasks]
    fit = [task for task in tasks if task.form is not None]
    if len(kinds) != 1 or not fit:
        raise UserError(
            where,
            found=f"a run of {' and '.join(kinds)}",
            expected="a run of one task that gives numbers or classes",
            fix=fix,
        )
    return fit[0]
