from pathlib import Path

import pytest

from lit_humor.runs import diagnosis
from lit_humor.runs.diagnosis import BAD, NOTE, OK, Requirement, diagnose, requirements

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("found", "wanted", "is_met"),
    [
        ("2.13.0+cpu", ">=2.10", True),
        ("2.9", ">=2.10", False),
        ("2.6.6", ">=2.6.6,<2.7", True),
        ("2.7.0", ">=2.6.6,<2.7", False),
        ("0.1.0", "==0.1.0", True),
        ("15", ">=15.0.0", True),
        ("1.0", "", True),
        (None, "", False),
    ],
)
def test_bounds(found: str | None, wanted: str, is_met: bool) -> None:
    assert Requirement("some", wanted, found, None).is_met is is_met


EXTRAS = {
    *("audit", "bench", "demo", "dev", "explain", "export", "hub", "mlflow", "monitor", "multilingual", "notebooks"),
    *("pictures", "report", "search", "serve", "slurm", "wandb"),
}


def test_every_requirement_of_the_project_is_read_and_met() -> None:
    found = requirements(ROOT / "pyproject.toml")
    names = {one.name for one in found}
    assert {"torch", "lightning", "transformers", "torchmetrics", "hydra-core", "rich"} <= names
    assert {one.extra for one in found} == {None, *EXTRAS}
    assert [one.name for one in found if not one.is_met] == []


def test_what_is_missing_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = diagnosis._version
    monkeypatch.setattr(diagnosis, "_version", lambda name: None if name in ("torch", "cleanlab") else installed(name))
    lines = {line: state for state, line in diagnose(ROOT)}
    assert lines["torch is missing (required: >=2.10)"] == BAD
    assert lines["to install torch: pip install -c constraints.txt -e ."] == BAD
    assert lines["cleanlab is missing (required: >=2.9, extra 'audit')"] == NOTE
    told = next(line for line in lines if "cleanlab" in line and line.startswith("to install"))
    assert told.endswith("pip install -c constraints.txt -e '.[audit]'")
    assert OK in lines.values()
