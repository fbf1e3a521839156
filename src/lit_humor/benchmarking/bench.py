"""The suites of bench.py by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from lit_humor.benchmarking.suites.infer import run_inference
from lit_humor.benchmarking.suites.ladder import run_ladder
from lit_humor.benchmarking.suites.loader import run_loader
from lit_humor.benchmarking.suites.peers import run_peers
from lit_humor.benchmarking.suites.recipes import run_recipes
from lit_humor.benchmarking.suites.start import run_start
from lit_humor.config.validate import unknown_value
from lit_humor.core.errors import UserError
from lit_humor.runs import record, screen

QUICK_JSON = "quick.json"
_QUICK_STEPS, _QUICK_REPEATS, _QUICK_ROWS = 2, 3, 640


def run_quick(cfg: DictConfig) -> dict[str, Any]:
    """Short forms of ladder and peers; their ratios into ``quick.json``."""
    folder = Path(cfg.output) / "quick"
    repeats = min(cfg.repeats, _QUICK_REPEATS)
    short = {"output": str(folder), "steps": _QUICK_STEPS, "repeats": repeats, "max_epochs": 1}
    short |= {"memory": False, "compiled": False}
    for_ladder, for_peers = cfg.copy(), cfg.copy()
    for_ladder.update(short)
    for_peers.update({**short, "repeats": 1, "rows": cfg.rows or _QUICK_ROWS})
    ladder, peers = run_ladder(for_ladder), run_peers(for_peers)
    waste = ladder["rungs"][ladder["default"]]["padding_waste"]
    content = {"ratios": {**peers["ratios"], "padding_waste": waste}, "ladder": ladder, "peers": peers}
    record.write_json(Path(cfg.output) / QUICK_JSON, content)
    told = ", ".join(f"{name} {value:.3g}" for name, value in content["ratios"].items())
    screen.show(f"{told}\nAll of it: {Path(cfg.output) / QUICK_JSON}; tables: {folder}")
    return content


SUITES = {
    "quick": run_quick,
    "ladder": run_ladder,
    "peers": run_peers,
    "infer": run_inference,
    "loader": run_loader,
    "start": run_start,
    "recipes": run_recipes,
}


def run_suite(cfg: DictConfig) -> None:
    """Run the suite that ``cfg.suite`` names.

    Raises:
        UserError: There is no such suite, or a number is out of range.
    """
    if cfg.suite not in SUITES:
        raise unknown_value("suite", cfg.suite, SUITES)
    for key in ("repeats", "steps"):
        if cfg[key] < 1:
            raise UserError(key, found=str(cfg[key]), expected="at least 1", fix=f"set {key}=5")
    SUITES[cfg.suite](cfg)
