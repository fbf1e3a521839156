"""The task contract: what a run learns to answer, and all that follows from it.

Add a file here and a node in ``configs/task`` to add one. Legend: B rows of a batch, N rows of a split.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from lit_humor.core.errors import UserError
from lit_humor.tasks.answers import PREDICTION, Explained, ExportForm, joined_answers

if TYPE_CHECKING:  # what only reads run folders need not wait for torch
    import numpy as np
    from torch import Tensor, nn

    from lit_humor.data.dividing.splits import Drawn
    from lit_humor.data.examples import Examples
    from lit_humor.data.settings import DataSettings
    from lit_humor.metrics.task_metrics import TaskMetrics

TASK_ARGUMENTS = ("class_names",)  # what Python adds to the node of a task when it builds it
NETWORK_ARGUMENTS = OBJECTIVE_ARGUMENTS = ("num_classes",)  # what a task may add to theirs


class ResultTable(NamedTuple):
    """A table for the screen: cells are texts or numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


class Baseline(NamedTuple):
    """What a simple model scores on the same rows.

    Attributes:
        description: What model.
        results: By split, numbers as ``TaskMetrics.compute`` gives them.
    """

    description: str
    results: dict[str, dict[str, Any]]


class Task(ABC):
    """What a run learns to answer.

    Which of its numbers chooses the checkpoint, and whether it should be high or low, stands in ``configs/task`` as
    ``monitor`` and ``mode``.

    Args:
        class_names: Class names in class order; none where rows have no classes.

    Attributes:
        kind: Name of the task's file, and of its sections in ``reporting``.
        definitions: Every number by its name with what it means; ``loss`` is the objective's.
        scalars: Those of one value each, which may be monitored as ``val/<name>``.
        curves: The two numbers shown for each epoch, with short headings.
        compared: Numbers that stand in a table of many runs, each with ``max`` or ``min``, whichever is better.
        constant_answer: What a collapsed model answers.
        outputs: What an objective has to give for it beside its losses.
        objective: The usual choice of ``configs/objective`` for it.
    """

    kind: ClassVar[str]
    definitions: ClassVar[Mapping[str, str]]
    scalars: ClassVar[tuple[str, ...]]
    curves: ClassVar[Mapping[str, str]]
    compared: ClassVar[Mapping[str, str]]
    constant_answer: ClassVar[str] = "one answer only"
    outputs: ClassVar[tuple[str, ...]]
    objective: ClassVar[str]

    def __init__(self, class_names: Iterable[str] = ()) -> None:
        self.class_names = tuple(class_names)

    @property
    @abstractmethod
    def network_arguments(self) -> dict[str, Any]:
        """What the network needs to know of the task when it is built, such as the width of its head."""

    @property
    @abstractmethod
    def objective_arguments(self) -> dict[str, Any]:
        """What the objective needs to know of the task when it is built."""

    @abstractmethod
    def check(self, splits: Mapping[str, Examples], drawn: Drawn, settings: DataSettings, val_key: str) -> None:
        """Refuse data that can not train or steer a model.

        Args:
            splits: The splits that are trained and validated on.
            drawn: How they came about.
            settings: What was asked for.
            val_key: The key that names validation data of their own, e.g. ``data.val_path``.

        Raises:
            UserError: Names what decides it, and what to set.
        """

    @abstractmethod
    def metrics(self, slice_values: Mapping[str, Sequence[str]], *, synced: bool = True) -> TaskMetrics:
        """New metrics of one stage.

        Args:
            slice_values: Names of slice columns with their values, e.g. ``{"language": ["en", "es"]}``.
            synced: Whether ``compute`` adds up the rows of all processes, which then all have to call it.
        """

    @abstractmethod
    def columns(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Any]:
        """Columns of ``predictions/<split>.parquet`` for the rows of a batch.

        Args:
            outputs: What the objective gave beside its losses, of these rows, on the CPU.
            batch: The rows, on the CPU.

        Returns:
            A list, or an array whose first dimension is rows, for each column; B of each.
        """

    @abstractmethod
    def measure_columns(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Every number of rows that were answered before, without slices, on this process alone.

        Args:
            columns: Of ``predictions/<split>.parquet``.
        """

    @abstractmethod
    def tables(
        self, split: str, results: Mapping[str, Any], baseline: Mapping[str, Any] | None = None
    ) -> list[ResultTable]:
        """Results of a split for the screen, beside those of the baseline where there is one."""

    def baseline(self, train: Examples, evaluated: Mapping[str, Examples]) -> Baseline | None:
        """Fit a simple model on the training rows, and score it by split; None where the task has none.

        Raises:
            ValueError: It can not be fitted; says why.
        """
        return None

    @property
    def form(self) -> ExportForm | None:
        """How a model of this task is exported; None where it cannot be."""
        return None

    def numbers(self, outputs: Mapping[str, Any], calibration: Mapping[str, float]) -> np.ndarray:
        """[N, K] float64, the numbers behind the answers, as an exported model gives them.

        Args:
            outputs: What the objective gave beside its losses, arrays whose first dimension is the N rows.
            calibration: What was fitted on validation, if anything.

        Raises:
            UserError: This task answers with something else.
        """
        found, fix = f"a run of {self.kind}", "use its answers"
        raise UserError("scores", found=found, expected="a task that answers with numbers", fix=fix)

    @abstractmethod
    def answers(
        self, outputs: Mapping[str, Any], calibration: Mapping[str, float], threshold: float | None = None
    ) -> dict[str, list[Any]]:
        """Columns that ``predict.py`` adds to N rows: ``prediction``, and what it was made of.

        Args:
            outputs: As of ``numbers``.
            calibration: What was fitted on validation, if anything.
            threshold: As ``read_threshold`` gave it.
        """

    def cells(self, answers: Mapping[str, Sequence[Any]], row: int | None) -> list[str]:
        """What a line on the screen says of an answer; as many empty cells for a blank text (None)."""
        return [""] if row is None else [str(answers[PREDICTION][row])]

    def served(self, answers: Mapping[str, Sequence[Any]], row: int) -> dict[str, Any]:
        """What ``serve.py`` sends of an answer; ``label`` is what a page shows."""
        return {"label": answers[PREDICTION][row]}

    def explained(
        self, answers: Mapping[str, Sequence[Any]], row: int, calibration: Mapping[str, float]
    ) -> Explained | None:
        """What the words of a text are asked about; None where words cannot be asked."""
        return None

    def read_threshold(self, wanted: Any, calibration: Mapping[str, float]) -> float | None:
        """The value of ``threshold=`` for this task.

        Raises:
            UserError: It has no threshold, or not this one.
        """
        expected = f"none, as {self.kind} has no threshold"
        raise UserError("threshold", found=str(wanted), expected=expected, fix="leave threshold away")

    def intervals(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, tuple[float, float]]:
        """95 % intervals of some of its numbers over the rows of ``predictions/<split>.parquet``; loads no torch."""
        return {}

    def is_collapsed(self, results: Mapping[str, Any], objective: nn.Module) -> bool:
        """Whether validation shows a model that answers the same whatever it reads.

        Args:
            results: Of a validation, with its ``loss``.
            objective: What it was trained with.
        """
        return False

    def describe(self) -> dict[str, Any]:
        """Plain values that the run folder keeps of this task."""
        return {
            "kind": self.kind,
            "definitions": dict(self.definitions),
            "curves": dict(self.curves),
            "compared": dict(self.compared),
        }


def join_results(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What several tasks say as one: mappings within, such as numbers by slice, are put together in the same way."""
    joined: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            is_nested = isinstance(value, Mapping) and isinstance(joined.get(name), Mapping)
            joined[name] = join_results([joined[name], value]) if is_nested else value
    return joined


def columns_of(
    tasks: Mapping[str, Task], outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]
) -> dict[str, Sequence[Any]]:
    """Columns of all tasks for the rows of a batch."""
    return joined_answers({name: task.columns(outputs, batch) for name, task in tasks.items()})


def class_names_of_tasks(tasks: Mapping[str, Task]) -> tuple[str, ...]:
    """Class names in class order; none where no task has classes."""
    return next((task.class_names for task in tasks.values() if task.class_names), ())


def definitions_of(tasks: Mapping[str, Task]) -> dict[str, str]:
    """Every number of a run with its meaning."""
    return {name: meaning for task in tasks.values() for name, meaning in task.definitions.items()}
