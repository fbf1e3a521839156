"""The house rules that a machine can check."""

import ast
import re
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "lit_humor"
FILES = sorted(SOURCE.rglob("*.py"))
COMMANDS = sorted(path for path in SOURCE.glob("*.py") if path.stem != "__init__")
SIBLINGS = ("data", "models", "objectives", "metrics", "optim")

# What a folder may import from others of the project.
ARROWS = {
    "core": set(),
    **{name: {"core"} for name in SIBLINGS},
    "data": {"core", "runs"},  # files that appear whole
    "runs": {"core"},
    "pages": {"core"},
    "reporting": {"core", "metrics", "pages", "runs"},
    "exporters": {"core", "models", "pages", "runs"},
    "callbacks": {"core", "data", "reporting", "runs"},
    "engine": {"core", "callbacks", "exporters", "pages", "reporting", "runs", *SIBLINGS},
    "auditing": {"core", "data", "engine", "metrics", "pages", "runs"},
    "benchmarking": {"core", "data", "engine", "runs"},
}
# Where a library may be imported: folders, or single files.
LIBRARIES = {
    "hydra": {"engine", *(path.name for path in COMMANDS)},
    "lightning": {"data/datamodule.py", "callbacks", "engine"},
    "transformers": {"data/tokens.py", "data/datamodule.py", "models", "benchmarking/peer_trainers.py", "exporters"},
    "torch": {"core/batch.py", *SIBLINGS, "callbacks", "engine", "benchmarking", "exporters"},
    "matplotlib": {"reporting/figures.py", "callbacks/confusion.py", "benchmarking/plots.py"},
    "jinja2": {"pages"},
    "fastapi": {"engine/serving.py"},
}


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_files_were_found() -> None:
    assert len(FILES) > 40
    assert [path.stem for path in COMMANDS] == [
        "audit",
        "bench",
        "doctor",
        "eval",
        "export",
        "monitor",
        "predict",
        "report",
        "serve",
        "stop",
        "sweep",
        "train",
    ]


def test_arrows() -> None:
    seen = 0
    for path in FILES:
        folder = path.relative_to(SOURCE).parts[0]
        if folder not in ARROWS:
            continue
        for name in _imports(path):
            if name.startswith("lit_humor."):
                target = name.split(".")[1]
                seen += 1
                assert target == folder or target in ARROWS[folder], f"{path.name} imports {name}"
    assert seen > 80


@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_stay_in_their_places(library: str) -> None:
    users = [path.relative_to(SOURCE) for path in FILES if any(n.split(".")[0] == library for n in _imports(path))]
    assert users
    for path in users:
        assert {path.as_posix(), path.parts[0]} & LIBRARIES[library], f"{path} imports {library}"


def test_lightning_has_one_namespace() -> None:
    names = {
        name for path in FILES for name in _imports(path) if name.split(".")[0] in ("lightning", "pytorch_lightning")
    }
    assert names
    assert all(name.startswith("lightning.pytorch") for name in names)


def test_only_the_factory_instantiates() -> None:
    users = [path.name for path in FILES if "hydra.utils.instantiate" in _imports(path)]
    assert users == ["factory.py"]


def test_commands_hide_no_module_of_the_standard_library() -> None:
    children = {path.stem for path in SOURCE.iterdir() if path.name != "__pycache__"}
    assert len(children) > 10
    assert not children & set(sys.stdlib_module_names)


def test_no_name_says_nothing() -> None:
    empty = {"utils", "helpers", "common", "misc", "manager", "base"}
    assert not {part for path in FILES for part in (path.stem, *path.relative_to(SOURCE).parts)} & empty


def test_files_and_functions_are_small() -> None:
    tests = sorted(Path(__file__).resolve().parents[1].rglob("*.py"))
    assert len(tests) > 10
    for path in [*FILES, *tests]:
        text = path.read_text()
        assert text.count("\n") <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{path}: {node.name}"


def test_no_error_is_told_by_its_first_line_alone() -> None:
    """Of a library's error the first line may say nothing; ``one_line`` tells all of them."""
    pattern = re.compile(r"str\((?:error|cause)[^\n]*splitlines\(\)\[0\]")
    found = [path.name for path in FILES if pattern.search(path.read_text(encoding="utf-8"))]
    assert set(found) <= {"cli.py"}, "OmegaConf's first line says it all, the others where in its own classes"
