import os
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random XLM-R with tokenizer, as a local folder in the hub's format."""
    from lit_humor.models.embedded import tiny_xlm_roberta

    return tiny_xlm_roberta(str(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="session")
def hahackathon() -> Path:
    folder = ROOT.parent / "shared" / "data" / "hahackathon"
    if not (folder / "dev.csv").is_file():
        pytest.skip(f"no HaHackathon data at {folder}: it is the organisers' and not part of this project")
    return folder
