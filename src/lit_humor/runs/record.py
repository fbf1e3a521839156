"""The files of a run folder: names, atomic writing, reading. Standard library only."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

CONFIG, ENVIRONMENT, STATUS = "config.yaml", "environment.json", "status.json"
RESULT, DATA_REPORT, METRICS = "result.json", "data_report.json", "metrics.csv"
CHECKPOINTS, PREDICTIONS, CONFUSION, BACKBONE = "checkpoints", "predictions", "confusion", "backbone"
CALIBRATION = "calibration.json"
PROBABILITY = "p_"  # columns of predictions: this and the name of a class
STOP_REQUEST = "stop-request"  # a file that asks the run to save and leave
BEST, LAST = "best.ckpt", "last.ckpt"

RUNNING, DONE, INTERRUPTED, FAILED = "running", "done", "interrupted", "failed"


def write_text(path: str | Path, text: str) -> None:
    """Write a file that appears whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON that appears whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read JSON."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def read_calibration(folder: str | Path) -> dict[str, float]:
    """What ``report.py`` fitted on validation: ``temperature``, and ``threshold`` of two classes; empty before that."""
    path = Path(folder) / CALIBRATION
    return read_json(path) if path.is_file() else {}
