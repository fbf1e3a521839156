"""What a run tells of its precision, and that it keeps it."""

import json
from pathlib import Path

import pytest

from tests.torture.running import train

MEASURED = {
    "shape": {"hidden_size": 384, "intermediate_size": 1536, "num_heads": 12, "rows": 32, "tokens": 32},
    "threads": 2,
    "milliseconds": {"32-true": 40.0, "bf16-mixed": 24.0},
}


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true"])
def test_a_resumed_run_keeps_its_precision_whatever_is_fastest_now(tmp_path: Path, precision: str) -> None:
    arguments = (
        "debug=tiny",
        f"paths.logs_dir={tmp_path}",
        "run_id=run",
        "trainer.devices=1",
        "trainer.precision=auto",
        "baseline=false",
        "report=false",
    )
    assert train(tmp_path, *arguments, accident={"event": "batch", "at": 3, "action": "SIGTERM"}).code == 143
    path = tmp_path / "run" / "environment.json"
    environment = json.loads(path.read_text())
    environment["plan"] |= {"precision": precision, "probe": MEASURED}  # as another machine chose it
    path.write_text(json.dumps(environment))
    done = train(tmp_path, f"resume={tmp_path / 'run'}")
    assert done.code == 0, done.output
    plan = json.loads(path.read_text())["plan"]
    assert (plan["precision"], plan["probe"]) == (precision, MEASURED)
    assert json.loads((tmp_path / "run" / "result.json").read_text())["probe"] == MEASURED
    assert precision in done.output
