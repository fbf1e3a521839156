"""Losses, scores and weights of the recipes, as they were: whatever is rebuilt around them, these numbers stay.

To make them anew: ``GOLDEN_REASON="why they change" python -m pytest tests/golden``, and say the same in the commit.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.typed import ROOT, result_of

VALUES = Path(__file__).with_name("values.json")
NUM_LOSSES = 20
# Kernels that every x86-64 processor of the last ten years has, on one thread: the same sums in the same order.
KERNELS = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_CBWR": "COMPATIBLE",
    "OMP_NUM_THREADS": "1",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
}
QUIET = (
    *("trainer=cpu", "baseline=false", "report=false", "logger.tensorboard=null"),
    *("callbacks.early_stopping=null", "callbacks.confusion=null"),
)
WHOLE, CUT = ("trainer.accumulation=1", "trainer.max_epochs=4"), ("trainer.accumulation=4", "trainer.max_epochs=10")
WAYS = {
    "accumulation-1": WHOLE,
    "accumulation-4": CUT,
    "packed": (*WHOLE, "trainer.attention=packed"),
    "used-embeddings": (*WHOLE, "model.network.embeddings=used"),
    "two-processes": (*WHOLE, "trainer.devices=2", "trainer.micro_batch_size=4"),
}
RUNS = {
    **{
        f"{version}-{way}": (f"experiment={version}", "debug=tiny", *QUIET, *arguments)
        for version in ("v1", "v2", "v3")
        for way, arguments in WAYS.items()
    },
    "v3-minilm": ("experiment=v3", "debug=tiny", "model=minilm", "data.max_length=16", *QUIET, *WHOLE),
}
LARGE = "v3-minilm"  # kernels of its products differ between processors: five digits are compared, and no weights


@cache
def recorded() -> dict[str, Any]:
    return dict(json.loads(VALUES.read_text())) if VALUES.is_file() else {"runs": {}}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder for each of ``RUNS``; those of one process are made by one process, one after the other."""
    logs = tmp_path_factory.mktemp("golden")
    places = (f"paths.logs_dir={logs}", f"paths.cache_dir={logs}/cache")
    trainings = [[*settings, *places, f"run_id={name}"] for name, settings in RUNS.items()]
    command = [sys.executable, "-m", "tests.golden.child", json.dumps(trainings)]
    environment = os.environ | KERNELS | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return logs


def _values(folder: Path, *, with_weights: bool) -> dict[str, Any]:
    losses = json.loads((folder / "losses.json").read_text())
    scores = {
        f"{split}/{name}": value
        for split, results in result_of(folder)["results"].items()
        for name, value in results.items()
        if isinstance(value, float)
    }
    values = {"losses": losses[:NUM_LOSSES], "scores": scores}
    return values | ({"weights": _hash_of_weights(folder)} if with_weights else {})


def _hash_of_weights(folder: Path) -> str:
    import torch

    state = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(f"{name} {tuple(state[name].shape)} {state[name].dtype}".encode())
        digest.update(state[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


@pytest.mark.skipif(not os.environ.get("GOLDEN_REASON"), reason="GOLDEN_REASON makes the numbers anew")
def test_make_anew(folders: Path) -> None:
    runs = {name: _values(folders / name, with_weights=name != LARGE) for name in RUNS}
    told = {"reason": os.environ["GOLDEN_REASON"], "processor": _processor(), "kernels": KERNELS, "runs": runs}
    VALUES.write_text(json.dumps(told, indent=1) + "\n")


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_recipe_trains_as_it_did(folders: Path, name: str) -> None:
    """To five digits on any processor; to the last bit on the one that made the numbers."""
    found, expected = _values(folders / name, with_weights=name != LARGE), recorded()["runs"][name]
    assert len(found["losses"]) == len(expected["losses"]) == NUM_LOSSES
    assert found["losses"] == pytest.approx(expected["losses"], abs=1e-5)
    assert found["scores"] == pytest.approx(expected["scores"], abs=1e-5)
    if recorded()["processor"] == _processor() and name != LARGE:
        assert found == expected


def test_every_run_is_recorded() -> None:
    assert len(RUNS) == 16
    assert list(recorded()["runs"]) == list(RUNS)
    assert len({run.get("weights") for run in recorded()["runs"].values()}) > 10, "runs that differ have other weights"
