"""The command that uses a trained run: a text, lines of standard input, or a file of any size."""

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

import numpy as np
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from lit_humor.config.command import INTERRUPTED
from lit_humor.config.saved import SavedRun, no_run
from lit_humor.core.batch import PROBABILITY
from lit_humor.core.errors import UserError
from lit_humor.data.examples import check_texts
from lit_humor.data.reading.separated import Quoting
from lit_humor.data.reading.streams import UNDECODABLE, Chunk, Rejected, is_undecodable, read_chunks
from lit_humor.engine.checkpoints import sum_of
from lit_humor.engine.machine import peak_memory_bytes
from lit_humor.engine.quiet import quiet_libraries
from lit_humor.inference.explaining import colored, explain, strongest
from lit_humor.inference.inputs import PREDICTION, columns_of, first_row, quoting_of, target_of
from lit_humor.inference.parts import Parts
from lit_humor.inference.scoring import Scorer, load_scorer
from lit_humor.runs import screen

_CHUNK_ROWS = 1024  # of a part: an interruption costs the one that is being made
_LINES = 256  # of standard input scored at once


def predict(cfg: DictConfig, saved: SavedRun | None, texts: Sequence[str]) -> None:
    """Score ``texts``, ``cfg.input`` or standard input with a run."""
    quiet_libraries()
    if saved is None:
        raise no_run(cfg.paths.logs_dir)
    if not texts and not cfg.input and sys.stdin.isatty():
        expected = 'text="...", input=<file>, or lines on standard input'
        raise UserError("text, input", found="neither", expected=expected, fix='add text="..."')
    threshold = _threshold(cfg, saved)
    if cfg.input and texts:
        raise UserError("text, input", found="both", expected="one of them", fix="leave input away")
    if any(not text.strip() for text in texts):
        raise UserError("text", found="a blank text", expected="words", fix='set text="..."')
    if cfg.input and cfg.explain:
        raise UserError("explain", found="a file", expected="text=... or lines on standard input", fix="leave it out")
    if cfg.input:
        _predict_file(cfg, saved, Path(cfg.input), target_of(cfg), threshold)
        return
    scorer = load_scorer(saved, cfg.ckpt)
    lines = iter(texts) if texts else _lines_of_input()
    num_lines = 0
    while some := list(islice(lines, _LINES)):
        num_lines += len(some)
        usable = [text for text in some if text.strip()]
        scores = iter(scorer.score(usable)) if usable else iter(())
        for text in some:
            values = next(scores) if text.strip() else None
            print("\t\t" if values is None else _line(scorer.class_names, values, threshold, text), flush=True)
            if cfg.explain and values is not None:
                _explain(scorer, text, int(_choose(values[None], threshold)[0]))
    if not num_lines:
        raise UserError("standard input", found="no lines", expected="a text a line", fix='add text="..."')


def _lines_of_input() -> Iterator[str]:
    """Lines without their ends; one that is no text becomes a blank one, so that each keeps its place."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    for number, line in enumerate(sys.stdin, start=1):
        reason = UNDECODABLE if is_undecodable(line) else ""
        if not reason and (problems := check_texts([line], [""], "text", blank_is_fine=True)):
            reason = problems[0].found
        if reason or not line.strip():
            print(f"standard input, line {number}: {reason or 'a blank text'}; left without a label", file=sys.stderr)
        yield "" if reason else line.rstrip("\r\n")


def _line(names: Sequence[str], scores: np.ndarray, threshold: float | None, text: str) -> str:
    label = _choose(scores[None], threshold)[0]
    return f"{names[label]}\t{scores[label]:.4f}\t{text}"


def _explain(scorer: Scorer, text: str, label: int) -> None:
    words = explain(scorer, text, label)
    Console(highlight=False, soft_wrap=True).print(colored(text, words))
    print(f"for {scorer.class_names[label]}: {strongest(text, words)}", flush=True)


def _choose(scores: np.ndarray, threshold: float | None) -> np.ndarray:
    """[N] the class called: the most probable, or the last of two from a threshold on."""
    return scores.argmax(axis=1) if threshold is None else (scores[:, 1] >= threshold).astype(int)


def _threshold(cfg: DictConfig, saved: SavedRun) -> float | None:
    if cfg.threshold is None:
        return None
    tuned = saved.calibration.get("threshold")
    if cfg.threshold == "tuned" and tuned is not None:
        return tuned
    is_binary = len(saved.class_names) == 2
    if is_binary and isinstance(cfg.threshold, (int, float)) and 0 < cfg.threshold < 1:
        return float(cfg.threshold)
    raise UserError(
        "threshold",
        found=str(cfg.threshold),
        expected="a number between 0 and 1, or tuned where the run has calibration.json; and a run with two classes",
        fix="leave it out, or run report.py first",
    )


def _predict_file(cfg: DictConfig, saved: SavedRun, source: Path, target: Path, threshold: float | None) -> None:
    """Score a file chunk by chunk; what is done stays done. ``inputs.check_file`` has looked through it."""
    quoting: Quoting = "none" if quoting_of(cfg, saved) == "none" else "standard"
    columns = columns_of(cfg, saved, first_row(source, quoting), str(source))
    scorer = load_scorer(saved, cfg.ckpt)
    checkpoint = Path(cfg.ckpt or saved.best)
    sums = [sum_of(checkpoint), sum_of(source)]  # what a copy keeps; names and file times may be others
    origin = {"sums": sums, "columns": columns, "threshold": threshold, "quoting": quoting}
    origin |= {"temperature": scorer.temperature, "part_rows": _CHUNK_ROWS}
    parts = Parts(target, origin)
    start, count = time.monotonic(), 0
    try:
        with _progress() as show:
            for count, chunk in enumerate(read_chunks(source, _CHUNK_ROWS, quoting), start=1):
                if not parts.is_done(count - 1):
                    parts.add(count - 1, *_score_chunk(scorer, chunk, columns, threshold, show.add))
                show.reach(chunk.share)
        num_rows, num_rejected = parts.join(count)
    except KeyboardInterrupt:
        kept = f"{len(parts)} parts are kept in {parts.folder}"
        print(f"\nInterrupted. {kept}; the same command goes on.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    seconds, scored = time.monotonic() - start, show.num_rows
    told = [f"{num_rows:,} rows: {target}"]
    if num_rejected:
        told.append(f"{num_rejected:,} rows were left out, with the reason of each: {parts.rejected_path}")
    told.append(
        f"{seconds:.1f} s, {scored / seconds:,.0f} rows/s, peak memory {peak_memory_bytes('cpu') / 2**20:,.0f} MiB"
    )
    screen.show(*told)


def _score_chunk(
    scorer: Scorer,
    chunk: Chunk,
    columns: Mapping[str, str | None],
    threshold: float | None,
    on_batch: Callable[[int], None],
) -> tuple[list[dict[str, Any]], list[Rejected]]:
    """Rows with their prediction, in order, and those that cannot be scored."""
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
    scores = scorer.score([str(texts[row]) for row in kept], pairs and [pairs[row] for row in kept], on_batch)
    labels = _choose(scores, threshold)
    rows = [
        {
            **chunk.rows[row],
            PREDICTION: scorer.class_names[label],
            **{
                f"{PROBABILITY}{name}": round(float(value), 6)
                for name, value in zip(scorer.class_names, values, strict=True)
            },
        }
        for row, label, values in zip(kept, labels, scores, strict=True)
    ]
    return rows, sorted(rejected)


class _Shown:
    """A bar that moves with every part, and a number of rows and a pace that move with every batch."""

    def __init__(self, bar: Progress) -> None:
        self.bar, self.task, self.num_rows = bar, bar.add_task("", total=1.0, told=""), 0

    def add(self, num_rows: int) -> None:
        """Rows that were scored."""
        self.num_rows += num_rows
        pace = self.num_rows / max(self.bar.tasks[0].elapsed or 0.0, 1e-3)
        self.bar.update(self.task, told=f"{self.num_rows:,} rows, {pace:,.0f} rows/s")

    def reach(self, share: float) -> None:
        """How much of the file is done, 0 to 1."""
        self.bar.update(self.task, completed=share, refresh=True)


@contextmanager
def _progress() -> Iterator[_Shown]:
    columns = TextColumn("predict"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, TextColumn("{task.fields[told]}"), transient=True) as bar:
        yield _Shown(bar)
