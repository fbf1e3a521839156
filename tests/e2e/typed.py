"""Runs commands the way a user types them."""

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

from hydra.core.global_hydra import GlobalHydra

ROOT = Path(__file__).resolve().parents[2]


def typed(command: str, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """``python src/lit_humor/<command>.py <arguments>`` in a process of its own, offline."""
    return subprocess.run(
        [sys.executable, str(ROOT / "src" / "lit_humor" / f"{command}.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "COLUMNS": "200"},
    )


def typed_here(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The same in this process, which has imported everything already: seconds less for a mistake that ends at once."""
    main = importlib.import_module(f"lit_humor.{command}").main
    stdout, stderr, code = io.StringIO(), io.StringIO(), 0
    GlobalHydra.instance().clear()
    argv = [f"{command}.py", *arguments]
    with (
        mock.patch.object(sys, "argv", argv),
        mock.patch.dict(os.environ),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(argv, code, stdout.getvalue(), stderr.getvalue())


def result_of(folder: Path) -> Any:
    return json.loads((folder / "result.json").read_text())
