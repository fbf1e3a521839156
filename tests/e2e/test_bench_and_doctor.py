import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.typed import typed, typed_alone, typed_here


@pytest.mark.slow
def test_quick_bench_leaves_its_ratios(tmp_path: Path) -> None:
    folders = [f"output={tmp_path}", f"paths.logs_dir={tmp_path / 'logs'}"]
    done = typed("bench", "suite=quick", "model=tiny", "repeats=1", "rows=40", *folders)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "quick.json").read_text())
    assert set(found["ratios"]) == {"ours_vs_hf_default", "ours_vs_hf_best", "ours_vs_fixed_padding", "padding_waste"}
    assert all(value > 0 for value in found["ratios"].values())
    assert len(found["ladder"]["rungs"]) >= 9
    assert found["ladder"]["rungs"][found["ladder"]["default"]]["name"].endswith("= default")
    assert [run["name"] for run in found["peers"]["runs"]] == [
        *("train.py", "hf_default", "hf_best", "hf_fixed_padding", "pytorch", "raw_loop")
    ]
    assert len({run["steps"] for run in found["peers"]["runs"]}) == 1
    assert len(list((tmp_path / "quick").glob("*.md"))) == len(list((tmp_path / "quick").glob("*.png"))) == 2
    assert not list((tmp_path / "logs").iterdir())


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("suite=fast", "one of infer, ladder, loader, peers, quick, recipes, start"),
        ("profile=novels", "own"),
        ("repeats=0", "at least 1"),
    ],
)
def test_mistakes_at_the_bench(argument: str, told: str) -> None:
    done = typed_here("bench", *dict.fromkeys(["suite=ladder", argument]))
    assert done.returncode == 1
    assert told in done.stderr


def test_doctor_needs_no_torch() -> None:
    done = typed_alone("doctor")
    assert done.returncode == 0, done.stdout
    assert "torch" in done.stdout
    program = "import sys, lit_humor.doctor; print('torch' in sys.modules, 'hydra' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout
    assert told.split() == ["False", "False"]


def test_doctor_shows_the_plan_and_knows_one_argument() -> None:
    done = typed("doctor", "full=true")
    assert done.returncode == 0, done.stdout
    assert "Hardware plan: 32 rows an optimizer step" in done.stdout
    assert "full=true" in typed_alone("doctor", "--help").stdout
    wrong = typed_alone("doctor", "all")
    assert wrong.returncode == 1
    assert "expected nothing or full=true" in wrong.stderr
