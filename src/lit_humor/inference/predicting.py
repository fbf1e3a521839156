"""The command that scores texts with a trained run: of the command line, of standard input, or of a file."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from lit_humor.config.command import INTERRUPTED
from lit_humor.config.saved import SavedRun, no_run
from lit_humor.core.errors import UserError
from lit_humor.data.examples import Examples
from lit_humor.data.reading.checking import check_texts
from lit_humor.data.reading.separated import Quoting
from lit_humor.data.reading.streams import UNDECODABLE, Chunk, Rejected, is_undecodable, read_chunks
from lit_humor.engine.checkpoints import sum_of
from lit_humor.engine.factory import build_tasks
from lit_humor.engine.libraries import set_up_libraries
from lit_humor.engine.machine import peak_memory_bytes
from lit_humor.inference.ensembles import load_together, weights_of
from lit_humor.inference.explaining import colored, explain, questions, strongest
from lit_humor.inference.inputs import columns_of, first_row, quoting_of, target_of
from lit_humor.inference.parts import Parts
from lit_humor.inference.pictures import check_images, with_images
from lit_humor.inference.scoring import Scorer
from lit_humor.inference.self_training import PseudoLabels, pseudo_labels
from lit_humor.runs import screen
from lit_humor.tasks.answers import answers_of, joined_answers, only_answering, only_explained, read_thresholds

_CHUNK_ROWS = 1024  # of a part of the output; after an interruption, an unfinished part is computed again
_LINES = 256  # of standard input that are scored together
_DIGITS = 6  # after the decimal point, of numbers in a file

Thresholds = Mapping[str, float | None]


def predict(cfg: DictConfig, saved: SavedRun | None, texts: Sequence[str], images: Sequence[str] = ()) -> None:
    """Score ``texts``, with ``images`` if the run reads pictures, ``cfg.input`` or standard input.

    Raises:
        UserError: There is no run or no text, or settings contradict each other.
    """
    set_up_libraries()
    if saved is None:
        raise no_run(cfg.paths.logs_dir)
    check_images(cfg, saved, texts, images)
    if not texts and not cfg.input and sys.stdin.isatty():
        expected = 'text="...", input=<file>, or lines on standard input'
        raise UserError("text, input", found="neither", expected=expected, fix='add text="..."')
    tasks = build_tasks(saved.config, saved.class_names)
    only_answering(tasks.values(), "input" if cfg.input else "text", 'set query="..." in its place')
    if cfg.explain:
        only_explained(tasks)
    thresholds = read_thresholds(tasks, cfg.threshold, saved.calibration)
    if cfg.input and texts:
        raise UserError("text, input", found="both", expected="one of them", fix="leave input away")
    if any(not text.strip() for text in texts):
        raise UserError("text", found="a blank text", expected="words", fix='set text="..."')
    if cfg.input and cfg.explain:
        raise UserError("explain", found="a file", expected="text=... or lines on standard input", fix="leave it out")
    pseudo = pseudo_labels(cfg, saved, tasks)
    if cfg.input:
        _predict_file(cfg, saved, Path(cfg.input), target_of(cfg), thresholds, pseudo)
        return
    scorer = load_together(cfg, saved)
    if images:
        _print_answers(scorer, with_images(texts, images, saved.config.data.size), thresholds)
        return
    lines = iter(texts) if texts else _lines_of_input()
    num_lines = 0
    while batch := list(islice(lines, _LINES)):
        num_lines += len(batch)
        usable = Examples.unlabelled([text for text in batch if text.strip()])
        _print_answers(scorer, usable, thresholds, batch, explained=cfg.explain)
    if not num_lines:
        raise UserError("standard input", found="no lines", expected="a text a line", fix='add text="..."')


def _lines_of_input() -> Iterator[str]:
    """Yield lines of standard input without line ends; an unreadable line becomes empty, so that numbers stay right."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    for number, line in enumerate(sys.stdin, start=1):
        reason = UNDECODABLE if is_undecodable(line) else ""
        if not reason and (problems := check_texts([line], [""], "text", blank_is_fine=True)):
            reason = problems[0].found
        if reason or not line.strip():
            print(f"standard input, line {number}: {reason or 'a blank text'}; left without a label", file=sys.stderr)
        yield "" if reason else line.rstrip("\r\n")


def _print_answers(
    scorer: Scorer,
    usable: Examples,
    thresholds: Thresholds,
    texts: Sequence[str] | None = None,
    *,
    explained: bool = False,
) -> None:
    """Print a line for each text: the answers of the tasks, which are empty for a blank text, and the text.

    ``usable`` are the rows of the ``texts`` that are not blank.
    """
    answers: Mapping[str, Mapping[str, Any]] = {name: {} for name in scorer.tasks}
    if len(usable):
        answers = answers_of(scorer.tasks, scorer.outputs_of(usable), scorer.calibration, thresholds)
    row = 0
    for text in usable.texts if texts is None else texts:
        at = row if text.strip() else None
        cells = [cell for name, task in scorer.tasks.items() for cell in task.cells(answers[name], at)]
        print("\t".join([*cells, text if text.strip() else ""]), flush=True)
        if at is not None:
            row += 1
            if explained:
                _explain(scorer, text, answers, at)


def _explain(scorer: Scorer, text: str, answers: Mapping[str, Mapping[str, Any]], row: int) -> None:
    for name, question in questions(scorer, answers, row):
        words = explain(scorer, text, question.of)
        Console(highlight=False, soft_wrap=True).print(colored(text, words))
        print(f"for {name}: {strongest(text, words)}", flush=True)


def _predict_file(
    cfg: DictConfig,
    saved: SavedRun,
    source: Path,
    target: Path,
    thresholds: Thresholds,
    pseudo: PseudoLabels | None = None,
) -> None:
    """Score a file, which ``inputs.check_file`` has checked, in parts, which are kept after an interruption."""
    quoting: Quoting = "none" if quoting_of(cfg, saved) == "none" else "standard"
    columns = columns_of(cfg, saved, first_row(source, quoting), str(source))
    scorer = load_together(cfg, saved)
    sums = [*map(sum_of, weights_of(cfg, saved)), sum_of(source)]  # a copy keeps these, not its name and time
    origin: dict[str, Any] = {"sums": sums, "columns": columns, "thresholds": thresholds, "quoting": quoting}
    origin |= {"calibration": dict(scorer.calibration), "part_rows": _CHUNK_ROWS}
    origin |= {"pseudo_labels": [pseudo.limits, pseudo.label_column]} if pseudo else {}
    parts = Parts(target, origin)
    start, count = time.monotonic(), 0
    try:
        with _progress() as show:
            for count, chunk in enumerate(read_chunks(source, _CHUNK_ROWS, quoting), start=1):
                if not parts.is_done(count - 1):
                    rows, rejected = _score_chunk(scorer, chunk, columns, thresholds, show.add)
                    parts.add(count - 1, pseudo.keep(rows) if pseudo else rows, rejected)
                show.reach(chunk.share)
        num_rows, num_rejected = parts.join(count)
    except KeyboardInterrupt:
        kept = f"{len(parts)} parts are kept in {parts.folder}"
        print(f"\nInterrupted. {kept}; the same command goes on.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    seconds, scored = time.monotonic() - start, show.num_rows
    summary = [f"{num_rows:,} rows: {target}"]
    if pseudo:
        summary.append(f"Kept with their labels: {dict(pseudo.counts)}. Train on them: data.weight_column=weight")
    if num_rejected:
        summary.append(f"{num_rejected:,} rows were left out, with the reason of each: {parts.rejected_path}")
    summary.append(
        f"{seconds:.1f} s, {scored / seconds:,.0f} rows/s, peak memory {peak_memory_bytes('cpu') / 2**20:,.0f} MiB"
    )
    screen.show(*summary)


def _score_chunk(
    scorer: Scorer,
    chunk: Chunk,
    columns: Mapping[str, str | None],
    thresholds: Thresholds,
    on_batch: Callable[[int], None],
) -> tuple[list[dict[str, Any]], list[Rejected]]:
    """Return rows with their predictions, in order, and rows that cannot be scored."""
    text, pair = str(columns["text"]), columns["pair"]
    texts = [row.get(text) for row in chunk.rows]
    problems = check_texts(texts, [f"line {line}" for line in chunk.lines], text)
    pairs = None
    if pair is not None:
        pairs = [row.get(pair) or "" for row in chunk.rows]
        problems |= check_texts(pairs, [f"line {line}" for line in chunk.lines], pair, blank_is_fine=True)
    rejected = chunk.rejected + [
        Rejected(chunk.lines[row], f"{error.found} in column '{text}'", json.dumps(chunk.rows[row], default=str))
        for row, error in problems.items()
    ]
    kept = [row for row in range(len(chunk.rows)) if row not in problems]
    if not kept:
        return [], sorted(rejected)
    kept_pairs = pairs and [pairs[row] for row in kept]
    answers = joined_answers(scorer.answer([str(texts[row]) for row in kept], kept_pairs, on_batch, thresholds))
    columns_added = {name: [_rounded(value) for value in values] for name, values in answers.items()}
    rows = [
        chunk.rows[row] | {name: values[index] for name, values in columns_added.items()}
        for index, row in enumerate(kept)
    ]
    return rows, sorted(rejected)


def _rounded(value: Any) -> Any:
    return round(value, _DIGITS) if isinstance(value, float) else value


class _Shown:
    """A progress bar that is updated after every part; number of rows and pace are updated after every batch."""

    def __init__(self, bar: Progress) -> None:
        self.bar, self.task, self.num_rows = bar, bar.add_task("", total=1.0, pace=""), 0

    def add(self, num_rows: int) -> None:
        """Count rows that were scored."""
        self.num_rows += num_rows
        pace = self.num_rows / max(self.bar.tasks[0].elapsed or 0.0, 1e-3)
        self.bar.update(self.task, pace=f"{self.num_rows:,} rows, {pace:,.0f} rows/s")

    def reach(self, share: float) -> None:
        """Set the share of the file that is done, 0 to 1."""
        self.bar.update(self.task, completed=share, refresh=True)


@contextmanager
def _progress() -> Iterator[_Shown]:
    columns = TextColumn("predict"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, TextColumn("{task.fields[pace]}"), transient=True) as bar:
        yield _Shown(bar)
