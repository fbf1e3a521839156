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
    *("pictures", "qlora", "report", "search", "serve", "slurm", "wandb"),
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


def test_a_broken_torchvision_is_told_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "torchvision" not in " ".join(line for _, line in diagnose(ROOT))
    (tmp_path / "torchvision").mkdir()
    package = tmp_path / "torchvision" / "__init__.py"
    package.write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    (tmp_path / "torchvision-0.28.0.dist-info").mkdir()
    (tmp_path / "torchvision-0.28.0.dist-info" / "METADATA").write_text("Name: torchvision\nVersion: 0.28.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    told = [(state, line) for state, line in diagnose(ROOT) if "torchvision" in line]
    assert [state for state, _ in told] == [BAD, BAD]
    assert "0.28.0 does not load (RuntimeError: operator torchvision::nms does not exist)" in told[0][1]
    assert told[1][1].endswith("-m pip uninstall -y torchvision")
    package.write_text("")
    assert [line for _, line in diagnose(ROOT) if "torchvision" in line] == [], "one that loads is nobody's business"
