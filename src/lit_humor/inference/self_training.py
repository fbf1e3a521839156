"""Labels of one's own model for texts without labels: the rows whose calibrated probability is high enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from omegaconf import DictConfig

from lit_humor.config.saved import SavedRun
from lit_humor.core.batch import PROBABILITY
from lit_humor.core.errors import UserError
from lit_humor.core.settings import typed
from lit_humor.tasks.answers import PREDICTION, only_exported
from lit_humor.tasks.task import Task

_WEIGHT = "weight"
_KEY = "pseudo_labels"


class PseudoLabels:
    """Keeps the rows that a model is sure of, with its label and its probability as the weight of the row.

    Rule: a row of the predicted class c is kept if its calibrated probability is at least the limit of c; limits by
    class keep the rarer class from getting few rows, or only wrong ones.

    Source: Lee 2013, Pseudo-label; limits by class as in Zhang et al. 2021, FlexMatch, but fixed.
    Cost: that of scoring the file.
    Alternatives: ``objective=distillation`` learns from the numbers themselves, of rows that have labels, too.

    Args:
        limits: Probability from which a row is kept, by class.
        label_column: Name of the column of labels.
    """

    def __init__(self, limits: Mapping[str, float], label_column: str) -> None:
        self.limits, self.label_column = dict(limits), label_column
        self.counts: Counter[str] = Counter()  # rows that were kept in this process, by class

    def keep(self, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows that are kept: without the columns of the prediction, with label and ``weight``."""
        added = {PREDICTION, self.label_column, _WEIGHT, *(PROBABILITY + name for name in self.limits)}
        kept = []
        for row in rows:
            name = row[PREDICTION]
            probability = row[PROBABILITY + name]
            if probability >= self.limits[name]:
                own = {key: value for key, value in row.items() if key not in added}
                kept.append(own | {self.label_column: name, _WEIGHT: probability})
                self.counts[name] += 1
        return kept


def pseudo_labels(cfg: DictConfig, saved: SavedRun, tasks: Mapping[str, Task]) -> PseudoLabels | None:
    """Return what keeps rows, or None if all rows are answered.

    Args:
        cfg: Configuration of ``predict.py``.
        saved: The run.
        tasks: Its tasks.

    Raises:
        UserError: The run does not tell classes apart, there is no file, or a limit is wrong.
    """
    if cfg.pseudo_labels is None:
        return None
    task = only_exported(tasks.values(), _KEY, f"leave {_KEY} out")
    if task.form is None or task.form.activation != "softmax":
        found, expected = f"a run of {task.kind}", "one that tells classes apart"
        raise UserError(_KEY, found=found, expected=expected, fix=f"leave {_KEY} out")
    if not cfg.input:
        raise UserError(_KEY, found="no file", expected="input=<file> beside it", fix=f"leave {_KEY} out")
    wanted, names = cfg.pseudo_labels, task.class_names
    limits = dict(wanted) if isinstance(wanted, DictConfig) else dict.fromkeys(names, wanted)
    if set(limits) != set(names) or not all(isinstance(one, int | float) and 0 < one <= 1 for one in limits.values()):
        expected = f"a probability above 0, at most 1, or one for each of {list(names)}"
        raise UserError(_KEY, found=str(wanted), expected=expected, fix=f"set {typed(_KEY, 0.9)}")
    return PseudoLabels({name: float(limits[name]) for name in names}, saved.config.data.get("label_column") or "label")
