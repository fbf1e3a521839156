"""The notebooks run, and are what their text says."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
from jupyter_client import KernelManager
from nbclient import NotebookClient

from tests.e2e.lending import lending
from tests.e2e.typed import ROOT, _run_copy, result_of, typed

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["01_evaluate", "02_your_own_data", "03_add_a_loss"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_its_text_without_outputs(path: Path) -> None:
    notebook, text = nbformat.read(path, as_version=4), jupytext.read(path.with_suffix(".py"))
    cells = [(cell.cell_type, cell.source) for cell in notebook.cells]
    assert cells == [(cell.cell_type, cell.source) for cell in text.cells], "make notebooks"
    assert not [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]


@pytest.fixture(scope="module")
def kernel() -> Iterator[KernelManager]:
    """One for all three, a copy that has imported torch."""
    with lending("-m", _run_copy) as python:
        manager = KernelManager(kernel_name="python3")
        manager.kernel_spec.argv[0] = str(python)
        manager.start_kernel(cwd=str(ROOT / "notebooks"))
        yield manager
        manager.shutdown_kernel(now=True)


def _execute(name: str, kernel: KernelManager, *lines: str, **environment: str) -> list[Any]:
    """Run a notebook, behind some lines, in a kernel that has forgotten every name of the one before.

    A new kernel sets where pictures go before matplotlib is imported; this one has imported it.
    """
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    first = ["%reset -f", "%matplotlib inline", *(f"%env {key}={value}" for key, value in environment.items()), *lines]
    notebook.cells.insert(0, nbformat.v4.new_code_cell("\n".join(first)))
    NotebookClient(notebook, timeout=300, km=kernel).execute()
    return notebook.cells[1:]


def test_evaluate(tmp_path: Path, kernel: KernelManager) -> None:
    done = typed("train", "debug=tiny", f"paths.logs_dir={tmp_path}", "run_id=run", "baseline=false", "report=false")
    assert done.returncode == 0, done.stderr
    interrupted = shutil.copytree(tmp_path / "run", tmp_path / "interrupted")  # heard of last
    shutil.rmtree(interrupted / "predictions")
    (interrupted / "result.json").unlink()
    cells = _execute("01_evaluate", kernel, LIT_HUMOR_LOGS=str(tmp_path))
    shown = " ".join(str(output.get("data", {})) for cell in cells for output in cell.get("outputs", ()))
    told = next(line for line in shown.replace("\\n", "\n").splitlines() if line.startswith("accuracy"))
    assert float(told.split()[1]) == pytest.approx(result_of(tmp_path / "run")["results"]["test"]["accuracy"], abs=1e-5)
    assert "image/png" in shown
    assert "language" in shown


def test_your_own_data(kernel: KernelManager) -> None:
    with lending(".py", _run_copy) as lent:
        python = f"__import__('sys').executable = {str(lent)!r}"  # of what is typed behind "!"
        cells = _execute("02_your_own_data", kernel, python, LIT_HUMOR_MODEL="tiny")
    printed = " ".join(output.get("text", "") for cell in cells for output in cell.get("outputs", ()))
    assert "Findings" in printed
    assert "Run folder" in printed
    assert "Error" not in printed


def test_add_a_loss(kernel: KernelManager) -> None:
    cells = _execute("03_add_a_loss", kernel)
    assert any("val/f1" in str(output.get("data", {})) for cell in cells for output in cell.get("outputs", ()))
