"""Checks of run, input and output of predict.py that are made before torch is imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from lit_humor.config.saved import SavedRun
from lit_humor.core.errors import UserError
from lit_humor.data.reading.columns import TEXT_COLUMNS, find_column, no_pairs, unless_null
from lit_humor.data.reading.places import name_place
from lit_humor.data.reading.separated import Quoting, as_quoting
from lit_humor.data.reading.streams import check_input, read_chunks
from lit_humor.inference.parts import check_target
from lit_humor.tasks.answers import PREDICTION


def check_file(cfg: DictConfig, saved: SavedRun) -> str:
    """Check the whole of ``cfg.input``, before a model is loaded and any row is scored.

    Returns:
        A note on how the file is read; usually empty.

    Raises:
        UserError: The run, the file, its columns or the output cannot be used.
    """
    source, quoting = Path(cfg.input), quoting_of(cfg, saved)
    check_target(target_of(cfg))
    note = check_input(source, quoting)
    columns_of(cfg, saved, first_row(source, "standard" if quoting == "auto" else quoting), str(source))
    return note


def first_row(source: Path, quoting: Quoting) -> dict[str, Any]:
    """Return the first readable row of a file.

    Raises:
        UserError: No row is readable.
    """
    problem = "no rows"
    for chunk in read_chunks(source, 1, quoting):
        if chunk.rows:
            return chunk.rows[0]
        if problem == "no rows":
            line, reason, _ = chunk.rejected[0]
            problem = f"no row that can be read ({name_place(line)}: {reason})"
    raise UserError(f"input={source}", found=problem, expected="some", fix="put rows into the file")


def target_of(cfg: DictConfig) -> Path:
    """Return the path of the file to write."""
    return Path(cfg.output or Path(cfg.input).with_suffix(".predictions.csv"))


def quoting_of(cfg: DictConfig, saved: SavedRun) -> Quoting:
    """Return the meaning of quotes in the input: as set, or as in the run."""
    return as_quoting(str(cfg.quoting or saved.config.data.get("quoting", "auto")))


def columns_of(cfg: DictConfig, saved: SavedRun, first: Mapping[str, Any], origin: str) -> dict[str, str | None]:
    """Return the names of the columns of texts and, for a run that was trained on pairs, of second texts.

    Args:
        cfg: The configuration of the command.
        saved: The run.
        first: The first row of the input.
        origin: Name of the input, for messages.

    Raises:
        UserError: There is no such column, the run has no second texts, or a column has the name of an added one.
    """
    names: Mapping[str, Any] = {name: [value] for name, value in first.items()}
    trained = saved.config.data
    there = trained.get("text_column") in first
    wanted = unless_null(cfg.text_column, first) or (trained.get("text_column") if there else None)
    text = find_column(names, wanted, TEXT_COLUMNS, "text_column", origin)
    pair = unless_null(cfg.text_pair_column, first) or unless_null(trained.get("text_pair_column"), first)
    if pair is not None:
        if not trained.get("text_pair_column"):
            raise no_pairs("text_pair_column", pair)
        pair = find_column(names, pair, (), "text_pair_column", origin)
    if PREDICTION in first:
        found = f"a column '{PREDICTION}' in {origin}"
        raise UserError("input", found=found, expected="none of that name, which is added", fix="rename it")
    return {"text": text, "pair": pair}
