"""Runs commands the way a user types them, each in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def typed(command: str, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """``python src/lit_humor/<command>.py <arguments>``, offline."""
    return subprocess.run(
        [sys.executable, str(ROOT / "src" / "lit_humor" / f"{command}.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "COLUMNS": "200"},
    )


def result_of(folder: Path) -> Any:
    return json.loads((folder / "result.json").read_text())
