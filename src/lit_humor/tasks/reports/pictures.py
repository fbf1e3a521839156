"""The section on rows with pictures, and on how much was taken of each of two encoders. Legend: N rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lit_humor.core.batch import PROBABILITY
from lit_humor.core.settings import command_line, setting
from lit_humor.data.pictures.store import find_pictures
from lit_humor.pages.page import Grid, Picture, Section, Thumbnail
from lit_humor.tasks.answers import PREDICTION
from lit_humor.tasks.classification import Classification
from lit_humor.tasks.generation import Generation
from lit_humor.tasks.pictured import GATE, PICTURE
from lit_humor.tasks.reports.numbers import Cells, row_grid, row_text
from lit_humor.tasks.reports.scored import ScoredRun

SHOWN = 20  # rows of a table
_PIXELS = 96  # most of a thumbnail, each way
_MOST_BYTES = 2**20  # of all thumbnails of a page
_WRITTEN = "written text"
_NO_PILLOW = "No pictures are shown, for Pillow is missing: pip install -c constraints.txt -e '.[pictures]' brings it."
_GATE = (
    "The gate takes a share of each query from the first encoder and the rest from the second; the number of a row is "
    "the mean over its queries. It says what was mixed, not what the answer depends on."
)

Columns = Mapping[str, Any]


def picture_sections(
    run: ScoredRun, kinds: Mapping[str, ScoredRun], folder: Path, config: Mapping[str, Any]
) -> list[Section]:
    """Return a section on the rows of the headline split with their pictures, and on the gate, as far as it has these.

    Args:
        run: The run.
        kinds: The run as the tasks of each kind see it.
        folder: The run folder.
        config: The content of its ``config.yaml``.
    """
    split, columns = run.headline, run.predictions[run.headline]
    seen = {kind: one.predictions[split] for kind, one in kinds.items()}
    name, groups, parts = _share_name(config), _groups(seen), list[str | Grid | Picture]()
    shown = _shown(seen, {name: columns[GATE]} if GATE in columns else {})
    if PICTURE in columns:
        place = Path((config.get("data") or {}).get("pictures_dir") or ".")
        again = command_line("eval", setting("run", str(folder)), setting("split", split))
        chosen = [row for rows in groups.values() for row in rows[:SHOWN]]
        thumbnails, note = _thumbnails(columns, chosen, place, again)
        parts += [note] if note else []
        for group, rows in groups.items():
            caption = f"{group}: {len(rows):,} of {len(columns['id']):,} rows of {split}"
            grid = row_grid(caption, columns, rows, shown, texts=("answer", _WRITTEN), limit=SHOWN)
            parts.append(_with_pictures(grid, rows[:SHOWN], thumbnails))
    if GATE in columns:
        parts += [_GATE, _gate_grid(f"{name[0].upper()}{name[1:]} in {split}", columns[GATE], seen, groups)]
    return [Section("Pictures" if PICTURE in columns else "Gate", parts)] if parts else []


def _shown(seen: Mapping[str, Columns], share: Mapping[str, Cells]) -> dict[str, Cells]:
    """Return the columns of a table of rows: what the tasks of a run have, and the share of an encoder."""
    judged, written, shown = seen.get(Classification.kind), seen.get(Generation.kind), dict[str, Cells]()
    if judged is not None:
        predicted = judged[PREDICTION]
        shown |= {"label": judged["label"], "prediction": predicted, "probability": _certainty(judged)}
    shown |= share
    if written is not None:
        shown["answer"] = written["answer"]
        if PREDICTION in written and (judged is None or written[PREDICTION] is not judged[PREDICTION]):
            shown[_WRITTEN] = written[PREDICTION]
    return shown


def _certainty(judged: Columns) -> list[float]:
    """Return the probability of the predicted class of each row."""
    return [judged[PROBABILITY + name][row] for row, name in enumerate(judged[PREDICTION])]


def _groups(seen: Mapping[str, Columns]) -> dict[str, list[int]]:
    """Return rows by what is said of them, in the order to show them."""
    if (judged := seen.get(Classification.kind)) is not None:
        order = np.argsort(-np.asarray(_certainty(judged)), kind="stable").tolist()
        is_right = [label == name for label, name in zip(judged["label"], judged[PREDICTION], strict=True)]
        return {
            "Wrong, the surest first": [row for row in order if not is_right[row]],
            "Right, the surest first": [row for row in order if is_right[row]],
        }
    if (written := seen.get(Generation.kind)) is not None:
        losses = np.asarray(written["nll"]) / np.maximum(written["answer_tokens"], 1)
        order = np.argsort(losses, kind="stable").tolist()
        return {"The likeliest answers": order, "The least likely answers": order[::-1]}
    return {"The first rows": list(range(max((len(one["id"]) for one in seen.values()), default=0)))}


def _thumbnails(columns: Columns, rows: Iterable[int], place: Path, again: str) -> tuple[dict[int, Thumbnail], str]:
    """Return thumbnails of rows, and a sentence on those that are missing, empty if none is.

    Args:
        columns: Columns of the predictions.
        rows: Their rows to show.
        place: Parent of the folders of kept pictures.
        again: The command that keeps them again.
    """
    try:
        from lit_humor.data.pictures.thumbnails import data_uri
    except ModuleNotFoundError:
        return {}, _NO_PILLOW
    keys = {row: columns[PICTURE][row] for row in rows}
    pictures, made, size = find_pictures(place, keys.values()), dict[int, Thumbnail](), 0
    for row, key in keys.items():
        if key in pictures:
            source = data_uri(pictures[key], _PIXELS)
            size += len(source)
            if size <= _MOST_BYTES:
                text = f"Picture of row {columns['id'][row]}: {row_text(columns, row)}"
                made[row] = Thumbnail(text, source)
    if gone := sum(key not in pictures for key in keys.values()):
        return made, (
            f"{gone} of {len(keys)} pictures are not shown: they are no longer in {place}. "
            f"To have them there again: {again}, and write this page again."
        )
    most = f"{_MOST_BYTES / 2**20:g} MiB"
    return made, f"{len(made)} of {len(keys)} pictures are shown, at most {most}." if len(made) < len(keys) else ""


def _with_pictures(grid: Grid, rows: Sequence[int], thumbnails: Mapping[int, Thumbnail]) -> Grid:
    """Return a table of rows with their pictures in its first column; the same table if there are none."""
    if not thumbnails:
        return grid
    cells = [[thumbnails.get(row, ""), *cells] for row, cells in zip(rows, grid.rows, strict=True)]
    return replace(grid, columns=[PICTURE, *grid.columns], rows=cells, texts=tuple(one + 1 for one in grid.texts))


def _share_name(config: Mapping[str, Any]) -> str:
    """Return the name of the gate's share: by what the first encoder reads, if the second reads something else."""
    network = (config.get("model") or {}).get("network") or {}
    first, second = (one["reads"] for one in network.get("encoders") or [{"reads": ""}] * 2)
    return f"share of the {first}" if first != second else "share of the first encoder"


def _gate_grid(
    caption: str, shares: Sequence[float], seen: Mapping[str, Columns], groups: Mapping[str, Sequence[int]]
) -> Grid:
    """Return a table of the shares of all rows, of those that are right and wrong, and of each class."""
    parts: dict[str, Sequence[int]] = {"all": range(len(shares))}
    if (judged := seen.get(Classification.kind)) is not None:
        parts |= {name.partition(",")[0].lower(): rows for name, rows in groups.items()}
        for name in dict.fromkeys(judged["label"]):
            parts[f"label {name}"] = [row for row, label in enumerate(judged["label"]) if label == name]
    cells, values = [], np.asarray(shares, dtype=np.float64)
    for name, rows in parts.items():
        if len(rows):
            part = values[list(rows)]
            numbers = (part.mean(), part.std(), part.min(), part.max())
            cells.append([name, str(len(rows)), *(f"{number:.3f}" for number in numbers)])
    return Grid(caption, ["rows", "number", "mean", "standard deviation", "least", "most"], cells)
