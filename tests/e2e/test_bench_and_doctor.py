import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.typed import typed, typed_alone, typed_here

SMALLEST = ("model=gritlm_tiny", "model.pretrained.num_layers=1")


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


@pytest.mark.slow
def test_a_guide_is_measured_row_by_row(tmp_path: Path) -> None:
    little = ("repeats=1", "steps=1", "compiled=false", f"output={tmp_path}", f"paths.logs_dir={tmp_path / 'logs'}")
    done = typed("bench", "suite=families", "experiment=gritlm", "debug=tiny", *SMALLEST, *little)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("families_gritlm_joke_halves_gritlm_tiny_*.json")
    rows = {row["name"]: row for row in json.loads(path.read_text())["rows"]}
    table = path.with_suffix(".md").read_text()
    assert "experiment=gritlm debug=tiny" in table
    assert "not measured yet" not in table
    assert all(len(row["seconds"]) == (not row["reason"]) for row in rows.values())
    reasons = {row["reason"].partition(":")[0] for row in rows.values()} - {""}
    assert reasons == {
        "no result here",
        "not timed",
        "not measured here",
        "no effect",
        "not offered",
        "no effect on speed",
    }
    assert [row["effect"] for row in rows.values() if row["reason"].startswith("no result here")] == [
        "sdpa=EFFICIENT_ATTENTION"
    ]
    assert {row["rows"] for row in rows.values() if row["kind"] != "texts" and row["seconds"]} == {8}
    moved = {
        row["effect"]: row["gradient_difference"] for row in rows.values() if row["gradient_difference"] is not None
    }
    assert moved[""] == 0 < 0.01 < moved["preserve_rng_state=False"]
    graphs = [row["graphs"] for row in rows.values() if row["graphs"]]
    assert len(graphs) == 6
    assert graphs[0] < graphs[2], "a graph for each width"
    assert not (tmp_path / "logs").exists()
    assert f"Written: {path.with_suffix('.md')}" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiment", "model", "rows", "claim"),
    [
        ("dimtda", "fused_tiny", 32, "10-15 minutes a step"),
        ("qwen3vl_random", "qwen3_vl_tiny", 16, "4-8 for the whole"),
    ],
)
def test_a_guide_of_pictures_is_measured_row_by_row(
    tmp_path: Path, experiment: str, model: str, rows: int, claim: str
) -> None:
    if model.startswith("qwen3"):
        pytest.importorskip("bitsandbytes", reason="needs the extra qlora")
    little = ("repeats=1", "steps=1", "compiled=false", f"output={tmp_path}", f"paths.logs_dir={tmp_path / 'logs'}")
    little += ("minutes=60", "compile_seconds=600")
    done = typed("bench", "suite=families", f"experiment={experiment}", "debug=tiny", *little)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob(f"families_{experiment}_*_{model}_*.json")
    found = {row["name"]: row for row in json.loads(path.read_text())["rows"]}
    reasons = {row["reason"].partition(":")[0] for row in found.values()}
    assert reasons - {"not measured here"} == {"", "not timed"}
    assert {row["rows"] for row in found.values() if row["seconds"]} == {rows}, "a step, however it is cut"
    assert all(row["graphs"] for row in found.values() if row["name"].endswith("compiled"))
    table = path.with_suffix(".md").read_text()
    assert "measure speed and nothing else" in table
    assert claim in table


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("suite=fast", "one of families, infer, ladder, loader, peers, quick, recipes, start"),
        ("profile=novels", "own"),
        ("repeats=0", "at least 1"),
        ("experiment=gritlm", "Fix: set suite=families."),
        ("experiment=v3", "Fix: leave experiment out."),
        ("model=gritlm_minilm", "Fix: set suite=families experiment=gritlm."),
        ("model=qwen3_vl_tiny", "Fix: set suite=families experiment=qwen3vl_random."),
        ("model=fused_tiny", "Fix: set suite=families experiment=dimtda."),
        ("suite=families", "one of dimtda, dimtda_before, gritlm, gritlm_before, gritlm_embed_only, gritlm_write_only"),
    ],
)
def test_mistakes_at_the_bench(argument: str, told: str) -> None:
    others = [] if argument.startswith("suite=") else ["suite=ladder"]
    done = typed_here("bench", *others, argument)
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
    for fact in ("GFLOPS in 32-true", "attention of torch that runs", "fused AdamW", "pinned memory", "C++ compiler"):
        assert fact in done.stdout
    assert "Hardware plan: 32 rows an optimizer step" in done.stdout
    assert "full=true" in typed_alone("doctor", "--help").stdout
    wrong = typed_alone("doctor", "all")
    assert wrong.returncode == 1
    assert "expected nothing or full=true" in wrong.stderr
