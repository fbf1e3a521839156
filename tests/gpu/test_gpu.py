"""What only a GPU can show; skipped elsewhere."""

import json
from pathlib import Path

import pytest
import torch

from tests.e2e.typed import result_of, typed_alone

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")


@pytest.mark.parametrize("experiment", ["v1", "v2", "v3"])
def test_experiments_run_on_the_gpu(tmp_path: Path, experiment: str) -> None:
    done = typed_alone("train", f"experiment={experiment}", "debug=tiny", f"paths.logs_dir={tmp_path}", "run_id=gpu")
    assert done.returncode == 0, done.stderr
    plan = json.loads((tmp_path / "gpu" / "environment.json").read_text())["plan"]
    assert plan["accelerator"] == "gpu"
    assert plan["window_size"] == {"v1": 8, "v2": 8, "v3": 32}[experiment]
    assert result_of(tmp_path / "gpu")["results"]["test"]["rows"] == 48


def test_eval_on_the_gpu_prints_the_numbers_of_training(tmp_path: Path) -> None:
    assert typed_alone("train", "debug=tiny", f"paths.logs_dir={tmp_path}", "run_id=gpu").returncode == 0
    assert typed_alone("eval", f"run={tmp_path / 'gpu'}", "split=val", f"output={tmp_path / 'again'}").returncode == 0
    assert result_of(tmp_path / "again")["results"]["val"] == result_of(tmp_path / "gpu")["results"]["val"]
