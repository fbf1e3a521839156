"""The task contract: what a run learns to answer, with its metrics, checks, columns and tables.

A new task is a new file here, and a node in ``configs/task``. Legend: B rows of a batch, N rows of a split.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from lit_humor.core.errors import UserError
from lit_humor.tasks.answers import PREDICTION, Explained, ExportForm, joined_answers
from lit_humor.tasks.pictured import pictured_columns

if TYPE_CHECKING:  # commands that only read run folders do not load torch
    import numpy as np
    from torch import Tensor, nn

    from lit_humor.data.dividing.splits import Drawn
    from lit_humor.data.examples import Examples
    from lit_humor.data.preparing.preparation import Reading
    from lit_humor.data.settings import DataSettings
    from lit_humor.metrics.task_metrics import TaskMetrics

TASK_ARGUMENTS = ("class_names",)  # arguments that the code adds when it builds a task
NETWORK_ARGUMENTS = OBJECTIVE_ARGUMENTS = ("num_classes",)  # arguments that a task may add for them
LOGITS = "logits"  # output of a head, one number for each class or target


class ResultTable(NamedTuple):
    """A table for the screen; cells are texts or numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


class Baseline(NamedTuple):
    """The results of a simple model on the same rows.

    Attributes:
        description: Description of the model.
        results: Metrics by split, as in ``TaskMetrics.compute``.
    """

    description: str
    results: dict[str, dict[str, Any]]


class Task(ABC):
    """What a run learns to answer.

    ``monitor`` and ``mode`` in ``configs/task`` say which of its metrics chooses the checkpoint, and whether a high or
    low value is better.

    Args:
        class_names: Class names in class order; empty if rows have no classes.

    Attributes:
        kind: Name of the task's file, and of its folder in ``tasks/reports``.
        definitions: Meaning of each metric by its name; ``loss`` is that of the objective.
        scalars: Metrics of one value, which can be monitored as ``val/<name>``.
        curves: The two metrics that are shown for each epoch, with short headings.
        compared: Metrics of a table of runs, each with ``max`` or ``min``, whichever is better.
        constant_answer: The answers of a collapsed model, for a message.
        outputs: Outputs that the objective must have.
        objective: The usual choice of ``configs/objective``.
        family: The usual choice of ``configs/family``.
        answers_texts: Whether ``answers`` has columns, and not only vectors are made.
        scores_rows_alone: Whether the score of a row depends on that row alone, not on the vectors of other rows.
        reads: Outputs that the network must give (``Network.gives``), which the losses are computed from.
    """

    kind: ClassVar[str]
    definitions: ClassVar[Mapping[str, str]]
    scalars: ClassVar[tuple[str, ...]]
    curves: ClassVar[Mapping[str, str]]
    compared: ClassVar[Mapping[str, str]]
    constant_answer: ClassVar[str] = "one answer only"
    outputs: ClassVar[tuple[str, ...]]
    objective: ClassVar[str]
    family: ClassVar[str] = "classifier"
    answers_texts: ClassVar[bool] = True
    scores_rows_alone: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = (LOGITS,)

    def __init__(self, class_names: Iterable[str] = ()) -> None:
        self.class_names = tuple(class_names)

    @property
    def network_arguments(self) -> dict[str, Any]:
        """What the network needs to know of the task when it is built: ``num_classes``, if a head is read."""
        return {"num_classes": max(len(self.class_names), 1)} if LOGITS in self.reads else {}

    @property
    def objective_arguments(self) -> dict[str, Any]:
        """What the objective needs to know of the task when it is built: ``num_classes``, where rows have classes."""
        return {"num_classes": len(self.class_names)} if self.class_names else {}

    @abstractmethod
    def check(self, splits: Mapping[str, Examples], drawn: Drawn, settings: DataSettings, val_key: str) -> None:
        """Check that the data can be used for training and validation.

        Args:
            splits: The splits by name.
            drawn: How splits were drawn.
            settings: Settings of splits and batches.
            val_key: The setting for a separate validation file, e.g. ``data.val_path``.

        Raises:
            UserError: The data cannot be used; the message names the setting to change.
        """

    @abstractmethod
    def metrics(self, slice_values: Mapping[str, Sequence[str]], *, synced: bool = True) -> TaskMetrics:
        """Return new metrics for one stage.

        Args:
            slice_values: Names of slice columns with their values, e.g. ``{"language": ["en", "es"]}``.
            synced: Whether ``compute`` gathers the rows of all processes; all of them must call it then.
        """

    def connect(self, pretrained: Reading) -> None:
        """Set ``pretrained``, which has the tokenizer; called before ``metrics``."""
        self.pretrained = pretrained

    def extra_outputs(self, network: Any, batch: Mapping[str, Tensor], split: str | None) -> dict[str, Tensor]:
        """Return outputs that cost more than the objective's, such as written texts; not called in validation.

        Args:
            network: The network (``models/network.py``), in evaluation mode.
            batch: A batch, on its device.
            split: The split that is scored; None for rows of ``predict.py``.

        Returns:
            Named tensors [B, ...]; widths are the same for all batches.
        """
        return {}

    def asked_again(self, text: str, answers: Sequence[str]) -> str:
        """Return a text that is read again with its answers of the passes so far, one at least, for the next pass."""
        return f"{answers[-1]}: {text}"

    @abstractmethod
    def columns(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Any]:
        """Return columns of ``predictions/<split>.parquet`` for the rows of a batch.

        Args:
            outputs: Outputs of the objective for these rows, on the CPU.
            batch: The rows, on the CPU.

        Returns:
            A list or array of B values for each column; an array [B, D] goes into a file of its own.
        """

    @abstractmethod
    def measure_columns(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Compute all metrics of saved predictions, without slices, only in this process.

        Args:
            columns: Columns of ``predictions/<split>.parquet``.
        """

    @abstractmethod
    def tables(
        self, split: str, results: Mapping[str, Any], baseline: Mapping[str, Any] | None = None
    ) -> list[ResultTable]:
        """Return tables of a split's results for the screen, next to those of the baseline if there is one."""

    def baseline(self, train: Examples, evaluated: Mapping[str, Examples]) -> Baseline | None:
        """Fit a simple model on the training rows and score it by split; return None if the task has none.

        Raises:
            ValueError: The model cannot be fitted; the message says why.
        """
        return None

    @property
    def form(self) -> ExportForm | None:
        """How a model of this task is exported; None if it cannot be exported."""
        return None

    def numbers(self, outputs: Mapping[str, Any], calibration: Mapping[str, float]) -> np.ndarray:
        """Return [N, K] float64, the numbers behind the answers, as an exported model computes them.

        Args:
            outputs: Outputs of the objective, arrays whose first dimension is N.
            calibration: Temperature and threshold that were fitted on validation, or empty.

        Raises:
            UserError: The answers of this task have no such numbers.
        """
        found, fix = f"a run of {self.kind}", "use its answers"
        raise UserError("scores", found=found, expected="a task that answers with numbers", fix=fix)

    @abstractmethod
    def answers(
        self, outputs: Mapping[str, Any], calibration: Mapping[str, float], threshold: float | None = None
    ) -> dict[str, list[Any]]:
        """Return the columns that ``predict.py`` adds to N rows: ``prediction`` and, for example, probabilities.

        Args:
            outputs: As in ``numbers``.
            calibration: As in ``numbers``.
            threshold: Result of ``read_threshold``.
        """

    def cells(self, answers: Mapping[str, Sequence[Any]], row: int | None) -> list[str]:
        """Return the cells of an answer on the screen; for a blank text (``row`` None) as many empty cells."""
        return [""] if row is None else [str(answers[PREDICTION][row])]

    def served(self, answers: Mapping[str, Sequence[Any]], row: int) -> dict[str, Any]:
        """Return the JSON of an answer for ``serve.py``; its page shows ``label``."""
        return {"label": answers[PREDICTION][row]}

    def explained(
        self, answers: Mapping[str, Sequence[Any]], row: int, calibration: Mapping[str, float]
    ) -> Explained | None:
        """Return the number whose value is attributed to words; None for a task without an override."""
        return None

    @property
    def can_be_explained(self) -> bool:
        """Whether ``explained`` gives a number."""
        return type(self).explained is not Task.explained

    def read_threshold(self, wanted: Any, calibration: Mapping[str, float]) -> float | None:
        """Return the value of ``threshold=`` for this task.

        Raises:
            UserError: The task has no threshold, or the value is not valid.
        """
        expected = f"none, as {self.kind} has no threshold"
        raise UserError("threshold", found=str(wanted), expected=expected, fix="leave threshold away")

    def calibrate(self, columns: Mapping[str, Sequence[Any]]) -> tuple[dict[str, float], list[ResultTable]]:
        """Fit numbers on labelled rows that later predictions use, and say in tables what they are worth.

        Args:
            columns: Columns of ``predictions/<split>.parquet``.

        Raises:
            UserError: The task has no such numbers, or these rows do not determine them.
        """
        found = f"a run of {self.kind}"
        raise UserError("calibrate", found=found, expected="one of classification", fix="leave calibrate away")

    def intervals(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, tuple[float, float]]:
        """Return 95 % intervals of some metrics from ``predictions/<split>.parquet``, without loading torch."""
        return {}

    def is_collapsed(self, results: Mapping[str, Any], objective: nn.Module) -> bool:
        """Return whether the model gives the same answer to all validation rows.

        Args:
            results: Metrics of a validation, with ``loss``.
            objective: The training objective.
        """
        return False

    def describe(self) -> dict[str, Any]:
        """Return plain values of this task for the run folder."""
        return {
            "kind": self.kind,
            "definitions": dict(self.definitions),
            "curves": dict(self.curves),
            "compared": dict(self.compared),
        }


def join_results(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Join the results of several tasks; nested mappings, such as metrics by slice, are joined as well."""
    joined: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            is_nested = isinstance(value, Mapping) and isinstance(joined.get(name), Mapping)
            joined[name] = join_results([joined[name], value]) if is_nested else value
    return joined


def columns_of(
    tasks: Mapping[str, Task], outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]
) -> dict[str, Sequence[Any]]:
    """Return the columns of all tasks for the rows of a batch, and those of ``pictured_columns``."""
    own = joined_answers({name: task.columns(outputs, batch) for name, task in tasks.items()})
    return {**own, **pictured_columns(outputs, batch)}


def class_names_of_tasks(tasks: Mapping[str, Task]) -> tuple[str, ...]:
    """Return class names in class order; empty if no task has classes."""
    return next((task.class_names for task in tasks.values() if task.class_names), ())


def definitions_of(tasks: Mapping[str, Task]) -> dict[str, str]:
    """Return the meaning of every metric of a run by its name."""
    return {name: meaning for task in tasks.values() for name, meaning in task.definitions.items()}
