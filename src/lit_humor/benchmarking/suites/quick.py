"""Runs short forms of ladder and peers, to look at a new machine or to compare commits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from lit_humor.benchmarking.suites import ladder, peers
from lit_humor.runs import record, screen

QUICK_JSON = "quick.json"
_STEPS, _REPEATS, _ROWS = 2, 3, 640


def run(cfg: DictConfig) -> dict[str, Any]:
    """Run both on the demo corpus; write their ratios to ``quick.json``; return the results."""
    folder = Path(cfg.output) / "quick"
    short = {"output": str(folder), "steps": _STEPS, "repeats": min(cfg.repeats, _REPEATS), "max_epochs": 1}
    short |= {"memory": False, "compiled": False}
    for_ladder, for_peers = cfg.copy(), cfg.copy()
    for_ladder.update(short)
    for_peers.update({**short, "repeats": 1, "rows": cfg.rows or _ROWS})
    of_ladder, of_peers = ladder.run(for_ladder), peers.run(for_peers)
    waste = of_ladder["rungs"][of_ladder["default"]]["padding_waste"]
    content = {"ratios": {**of_peers["ratios"], "padding_waste": waste}, "ladder": of_ladder, "peers": of_peers}
    record.write_json(Path(cfg.output) / QUICK_JSON, content)
    ratios = ", ".join(f"{name} {value:.3g}" for name, value in content["ratios"].items())
    screen.show(f"{ratios}\nAll results: {Path(cfg.output) / QUICK_JSON}; tables: {folder}")
    return content
