"""Measures the guide to speed of a family: one change a row, on the same rows, beside what is claimed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from omegaconf import DictConfig
from rich.progress import track

from lit_humor.benchmarking import output
from lit_humor.benchmarking.apart import FailedApart, apart
from lit_humor.benchmarking.guide import (
    COMPILED,
    GPU,
    STEPS,
    Change,
    Guide,
    choices_with_guide,
    family_of,
    load_guide,
)
from lit_humor.benchmarking.guide_table import guide_markdown
from lit_humor.benchmarking.measuring import count_graphs, measure
from lit_humor.benchmarking.raw_step import can_compile
from lit_humor.config.command import typed_overrides
from lit_humor.config.validate import unknown_value
from lit_humor.core.errors import UserError
from lit_humor.engine.machine import Machine, look_at_machine
from lit_humor.runs import screen

_BEFORE = "lit_humor.benchmarking.beforehand"  # imported by the process that is copied for each row
_STEPS, _REPEATS = 3, 3  # where nothing else is typed: under 10 minutes with MiniLM on two cores


@dataclass
class Measured:
    """A row of the table.

    Attributes:
        number: Its number, from 1.
        name: Name of the change.
        settings: What to type for it.
        effect: What is done that no setting does.
        on: Name of the row that it changes; None for the first.
        kind: Rows of one kind are compared with each other.
        claimed: What the guide says.
        refused: Why the project does not offer it.
        reason: Why it is not timed.
        seconds: One value for each repeat.
        rows: Rows, or texts, of these seconds.
        precision: Precision of the plan.
        peak_memory_mib: Peak memory of its process, the largest of the repeats.
        graphs: Graphs of ``torch.compile`` in a few small steps.
        gave_up: Whether it stopped to compile, since every shape was another.
        first_seconds: Seconds of the steps that the compiler has not seen before, in the first repeat.
        gradient_difference: |gradient - gradient of exact steps| / |gradient of exact steps|.
        cut: Texts that are cut before they are tokenized.
    """

    number: int
    name: str
    settings: tuple[str, ...]
    effect: str
    on: str | None
    kind: str
    claimed: str
    refused: str
    reason: str
    seconds: list[float] = field(default_factory=list)
    rows: int = 0
    precision: str = ""
    peak_memory_mib: float | None = None
    graphs: int | None = None
    gave_up: bool = False
    first_seconds: float | None = None
    gradient_difference: float | None = None
    cut: int | None = None

    def add(self, found: Mapping[str, Any]) -> None:
        """Add the numbers of a repeat."""
        self.seconds.append(found["seconds"])
        self.rows, self.precision = found["rows"], found.get("precision", "")
        self.peak_memory_mib = max(self.peak_memory_mib or 0.0, found.get("peak_memory_mib", 0.0)) or None
        self.first_seconds = self.first_seconds or found.get("first_seconds")
        self.gradient_difference = found.get("gradient_difference", self.gradient_difference)
        self.cut = found.get("cut", self.cut)


def run(cfg: DictConfig) -> dict[str, Any]:
    """Measure every row ``repeats`` times, interleaved; write, show and return the results.

    Raises:
        UserError: The experiment has no guide, or its training cannot be built.
    """
    machine = look_at_machine()
    experiment, guide, common, model = _asked(cfg, machine)
    cfg.name = cfg.name or guide.data
    typed = {word.partition("=")[0] for word in typed_overrides()}
    steps = cfg.steps if "steps" in typed else min(cfg.steps, _STEPS)
    repeats = cfg.repeats if "repeats" in typed else min(cfg.repeats, _REPEATS)
    small = () if machine.gpu_names or machine.has_mps else guide.on_cpu
    common += small
    rows = [_row(number, change, cfg, machine) for number, change in enumerate(guide.changes, start=1)]
    asked = {"experiment": experiment, "model": model, "base": [*small, *guide.base], "steps": steps, "repeats": 1}
    asked["note"] = guide.note
    told = {**output.describe_here(), "asked": asked, "data": output.data_name(cfg)}
    words = [f"experiment={experiment}", *([f"debug={cfg.debug}"] if cfg.debug else [])]

    def written() -> tuple[dict[str, Any], str]:
        content = {**told, "rows": [asdict(row) for row in rows]}
        return content, guide_markdown(output.title(f"Guide to speed of {experiment}", cfg, model), words, content)

    timed = sum(not row.reason for row in rows)
    screen.show(f"{timed} of {len(rows)} rows x {repeats} repeats x {steps} optimizer steps of {model}, interleaved")
    suite, started, last = f"families_{experiment}", time.monotonic(), 0.0
    for repeat in track(range(repeats), description="repeats"):
        begun = time.monotonic()
        if repeat and begun - started + last > 60 * cfg.minutes:
            screen.show(f"{repeat} of {repeats} repeats: a further one would take more than minutes={cfg.minutes}")
            break
        once = 0.0
        # Every second repeat in reverse order: a machine that slows down affects all rows in the same way.
        for row in rows if repeat % 2 == 0 else reversed(rows):
            change, left = guide.named(row.name), 60 * cfg.minutes - (time.monotonic() - started)
            is_due = not row.seconds and (not row.reason or change.how == COMPILED)
            if left < 0 and is_due and repeat == 0 and row.number > 1:
                row.reason = f"not measured: minutes={cfg.minutes:g} were over"
            once += _measure(row, change, [*common, *guide.settings_of(change)], cfg, steps, max(left, 1))
            asked["repeats"] = repeat + 1
            output.write(cfg, suite, told["machine"], *written(), model)  # after each, so that nothing is lost
        last = time.monotonic() - begun - once
    content, text = written()
    output.publish(cfg, suite, content, text, model)
    return content


def _asked(cfg: DictConfig, machine: Machine) -> tuple[str, Guide, list[str], str]:
    """Return the experiment, its guide, its overrides of ``train.py``, and the name of its model.

    Raises:
        UserError: It has no guide, or something was typed that does not belong to it.
    """
    of_model = [word for word in typed_overrides() if word.startswith(("model=", "model."))]
    typed = next((word.partition("=")[2] for word in of_model if word.startswith("model=")), None)
    known = choices_with_guide("experiment")
    meant = family_of(typed) if typed else None
    experiment = cfg.experiment or (choices_with_guide("experiment", [meant])[0] if meant else None)
    if experiment is None:
        expected, fix = f"one of {', '.join(known)}", f"set experiment={known[0]}"
        raise UserError("experiment", found="none", expected=expected, fix=fix)
    if experiment not in known:
        raise unknown_value("experiment", experiment, known)
    family = family_of(experiment)
    assert family is not None
    if typed and family_of(typed) != family:
        raise unknown_value("model", typed, choices_with_guide("model", [family]))
    for key in ("train_path", "val_path"):
        if cfg[key]:
            expected = f"null: suite=families takes the rows of experiment={experiment}"
            raise UserError(key, found=str(cfg[key]), expected=expected, fix=f"leave {key} out")
    is_tiny = cfg.debug == "tiny"
    common = [f"experiment={experiment}", *(["debug=tiny"] if is_tiny else []), "trainer.devices=1", *of_model]
    common += [f"data.rows_per_split={cfg.rows}"] if cfg.rows else []
    guide = load_guide(family)
    usual = guide.on_gpu if guide.on_gpu and machine.gpu_names else guide.model
    common += [] if typed or is_tiny else [f"model={usual}"]
    return experiment, guide, common, typed or (guide.tiny if is_tiny else usual)


def _row(number: int, change: Change, cfg: DictConfig, machine: Machine) -> Measured:
    reason = change.unmeasured
    if change.needs == GPU and not machine.gpu_names:
        reason = "not measured here: it needs a GPU"
    if change.how == COMPILED and change.effect:
        reason = "not timed: no setting, its graphs alone are counted"
    elif change.how == COMPILED and not (cfg.compiled and can_compile(machine)):
        reason = "not timed: " + ("compiled=false" if not cfg.compiled else "no C++ compiler (c++) on this machine")
    told = {name: getattr(change, name) for name in ("name", "settings", "effect", "on", "claimed", "refused")}
    return Measured(number=number, kind=STEPS if change.how == COMPILED else change.how, reason=reason, **told)


def _measure(
    row: Measured, change: Change, overrides: Sequence[str], cfg: DictConfig, steps: int, seconds: float
) -> float:
    """Add a repeat to a row, or the reason why there is none; return the seconds that only the first repeat takes.

    Args:
        row: The row.
        change: Its change.
        overrides: Overrides of ``train.py``.
        cfg: Configuration of ``bench.py``.
        steps: Optimizer steps.
        seconds: Most seconds of its first measurement, where it is not the first row.

    Raises:
        UserError: The first row, which is all settings of the product, cannot be measured.
    """
    started, is_first = time.monotonic(), not row.seconds
    limit = min(seconds, cfg.compile_seconds) if change.how == COMPILED else seconds
    try:
        if change.how == COMPILED and row.graphs is None and not row.reason.startswith("not measured"):
            found = apart(count_graphs, overrides, change.effect, seconds=limit, copy_of=_BEFORE)
            row.graphs, row.gave_up = found.count, found.gave_up
        once = time.monotonic() - started
        if row.reason:
            return once
        told = (change.how, overrides, steps, change.effect, change.gradient and is_first)
        row.add(apart(measure, *told, seconds=limit if is_first and row.number > 1 else None, copy_of=_BEFORE))
        return once + (row.first_seconds or 0.0 if is_first else 0.0)
    except (FailedApart, UserError) as error:
        if row.number == 1:
            raise
        row.reason = f"no result here: {str(error).replace('|', '/')}"
        return time.monotonic() - started
