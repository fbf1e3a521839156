"""Commands that plan, show and help start without the libraries that train; no time is measured, only imports."""

import subprocess
import sys
from pathlib import Path

import pytest

from lit_humor.core.place import ROOT_DIR

HEAVY = ("torch", "lightning", "transformers", "torchmetrics", "pandas", "scipy", "sklearn", "matplotlib", "pyarrow")
LOADED = "Loaded at the end: "
CODE = f"""
import atexit, runpy, sys
atexit.register(lambda: print({LOADED!r} + " ".join(sorted(sys.modules))))
sys.argv = sys.argv[1:]
sys.path.insert(0, str(sys.argv[0].rpartition("/")[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("sweep plan=seeds dry_run=true debug=tiny", "Plan: 3 runs"),
        ("sweep plan=search dry_run=true debug=tiny", "Search: 20 trials"),
        ("sweep --help", "plan="),
        ("report --help", "run: null"),
        ("bench --help", "suite: quick"),
        ("train --cfg job", "max_epochs: 4"),
    ],
)
def test_what_starts_without_heavy_libraries(command: str, says: str, tmp_path: Path) -> None:
    name, *arguments = command.split()
    places = [f"paths.logs_dir={tmp_path}"] if "dry_run=true" in arguments else []
    script = ROOT_DIR / "src" / "lit_humor" / f"{name}.py"
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(script), *arguments, *places], capture_output=True, text=True, check=True
    )
    printed, _, loaded = done.stdout.rpartition(LOADED)
    assert says in printed
    modules = set(loaded.split())
    assert "hydra" in modules, "the modules were listed"
    assert not modules & set(HEAVY)
