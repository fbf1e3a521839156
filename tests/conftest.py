import gc
import os
from pathlib import Path

import pytest

from tests.composing import remember_files

os.environ["HF_HUB_OFFLINE"] = "1"

ROOT = Path(__file__).resolve().parents[1]
remember_files()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """As many as there are cores; for ``auto`` one more: a test that waits for others leaves its core to the next."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores + (config.option.numprocesses == "auto"), 4)


def pytest_collection_finish(session: pytest.Session) -> None:
    """What was imported stays, so no later collection of garbage looks through it: 0.4 s each."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random XLM-R with tokenizer, as a local folder in the hub's format."""
    from lit_humor.config.command import compose
    from lit_humor.engine.factory import resolve_pretrained

    return resolve_pretrained(
        compose("train", ["model=tiny", f"paths.cache_dir={tmp_path_factory.mktemp('tiny')}"])
    ).name


@pytest.fixture(scope="session")
def hahackathon() -> Path:
    folder = ROOT.parent / "shared" / "data" / "hahackathon"
    if not (folder / "dev.csv").is_file():
        pytest.skip(f"no HaHackathon data at {folder}: it is the organisers' and not part of this project")
    return folder
