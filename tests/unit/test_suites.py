"""A suite of bench.py is a file of suites/ with a function run(cfg)."""

import inspect
import subprocess
import sys
import types

import pytest

from lit_humor.benchmarking import bench, suites
from lit_humor.config.command import CONFIG_DIR, compose
from lit_humor.core.errors import UserError

NAMES = ["families", "infer", "ladder", "loader", "peers", "quick", "recipes", "start"]


def test_suites_are_the_files() -> None:
    assert bench.suite_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_suite_runs_from_the_configuration(name: str) -> None:
    module = __import__(f"{suites.__name__}.{name}", fromlist=["run"])
    assert list(inspect.signature(module.run).parameters) == ["cfg"]
    assert module.__doc__
    assert f"# {name} " in (CONFIG_DIR / "bench.yaml").read_text(encoding="utf-8"), "--help says what it measures"


def test_a_new_file_is_a_new_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []
    module = types.ModuleType("memory_only")
    module.run = lambda cfg: measured.append(cfg.suite)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, f"{suites.__name__}.memory_only", module)
    monkeypatch.setattr(bench, "suite_names", lambda: [*NAMES, "memory_only"])
    bench.run_suite(compose("bench", ["suite=memory_only"]))
    assert measured == ["memory_only"]


def test_an_unknown_suite_and_numbers_out_of_range() -> None:
    with pytest.raises(
        UserError, match=r"suite: found 'laddder', expected one of families, infer, .*did you mean 'ladder'"
    ):
        bench.run_suite(compose("bench", ["suite=laddder"]))
    with pytest.raises(UserError, match="repeats: found 0, expected at least 1"):
        bench.run_suite(compose("bench", ["repeats=0"]))


def test_finding_suites_imports_none_of_them() -> None:
    code = "import sys; from lit_humor.benchmarking import bench; bench.suite_names(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
