"""Five orders of questions about pictures on a cluster of one machine (slurm.py)."""

from pathlib import Path

from tests.cluster.test_slurm import cluster  # noqa: F401  # a fixture
from tests.e2e.test_questions import BROKEN, check_five, plan

SLURM = ("launch=slurm", "launch.poll_seconds=0.5")


def test_five_orders_and_a_failure_among_them(cluster: Path, tmp_path: Path) -> None:  # noqa: F811
    failed = plan(tmp_path, *SLURM, BROKEN)
    assert failed.returncode == 1, failed.stdout
    assert failed.stdout.count(": skipped") == 1
    assert "Error: plan=five_pictures: found failed runs: qwen3vl_random-1-" in failed.stderr
    done = plan(tmp_path, *SLURM)
    assert done.returncode == 0, done.stdout + done.stderr
    check_five(tmp_path / "logs", tmp_path / "logs" / "set")
