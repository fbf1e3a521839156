"""The house rules that a machine can check."""

import ast
import functools
import itertools
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "lit_humor"
FILES = sorted(SOURCE.rglob("*.py"))
COMMANDS = sorted(path for path in SOURCE.glob("*.py") if path.stem != "__init__")
SIBLINGS = ("data", "models", "objectives", "metrics", "optim")

# What a room may import from others of the project.
ARROWS = {
    "core": set(),
    **{name: {"core"} for name in SIBLINGS},
    "runs": {"core", "tasks"},
    "tasks": {"core", "data", "metrics", "pages"},
    "pages": {"core"},
    "config": {"core", "data", "runs"},
    "reporting": {"config", "core", "metrics", "pages", "runs", "tasks"},
    "launch": {"core", "runs"},
    "sweeps": {"config", "core", "launch", "pages", "reporting", "runs", "tasks"},
    "exporters": {"core", "models", "pages", "runs", "tasks"},
    "callbacks": {"core", "data", "runs", "tasks"},
    "learning": {"core", "metrics", "models", "objectives", "optim", "tasks"},
    "engine": {"callbacks", "config", "core", "learning", "reporting", "runs", "tasks", *SIBLINGS},
    "inference": {
        "callbacks",
        "config",
        "core",
        "engine",
        "exporters",
        "learning",
        "pages",
        "reporting",
        "runs",
        "tasks",
        *SIBLINGS,
    },
    "auditing": {"config", "core", "data", "engine", "inference", "metrics", "pages", "runs", "tasks"},
    "benchmarking": {"config", "core", "data", "engine", "learning", "runs"},
}
# Where a library may be imported: rooms, or single files.
LIBRARIES = {
    "hydra": {"config", "engine/factory.py", *(path.name for path in COMMANDS)},
    "lightning": {"data/batches/datamodule.py", "callbacks", "learning", "engine", "inference"},
    "transformers": {"data/batches/tokens.py", "models", "benchmarking/peer_trainers.py", "exporters"},
    "torch": {
        "core/batch.py",
        "tasks",
        *SIBLINGS,
        "callbacks",
        "learning",
        "engine",
        "inference",
        "benchmarking",
        "exporters",
    },
    "matplotlib": {"pages", "reporting", "callbacks/confusion.py", "benchmarking/plots.py"},
    "jinja2": {"pages"},
    "fastapi": {"inference/serving.py"},
    "PIL": {"data/pictures"},
    "bitsandbytes": {"models/quantizing.py"},
    "peft": {"models/adapters.py"},
}
WITHOUT_TORCH = ("config", "launch", "pages", "reporting", "runs", "sweeps", "tasks")  # commands on these start at once
HEAVY = {"lightning", "torch", "torchmetrics", "transformers"}


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@functools.cache
def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(_tree(path)):
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
        assert {path.as_posix(), path.parent.as_posix(), path.parts[0]} & LIBRARIES[library], (
            f"{path} imports {library}"
        )


def _at_import(body: Iterable[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """What is imported with a module: not within functions, nor for types alone."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef) and "TYPE_CHECKING" not in ast.dump(node):
            parts = [node.body, getattr(node, "orelse", []), getattr(node, "finalbody", [])]
            yield from _at_import(
                [*itertools.chain(*parts), *(n for h in getattr(node, "handlers", []) for n in h.body)]
            )


def _chain_to_heavy(path: Path, seen: set[Path]) -> list[str]:
    """Modules from this one to the first that imports torch or its like; empty where none does."""
    seen.add(path)
    for node in _at_import(_tree(path).body):
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{name}" for name in names)]
        for name in names:
            if name.split(".")[0] in HEAVY:
                return [path.stem, name]
            target = SOURCE.joinpath(*name.split(".")[1:]).with_suffix(".py")
            if name.startswith("lit_humor.") and target.is_file() and target not in seen:
                rest = _chain_to_heavy(target, seen)
                if rest:
                    return [path.stem, *rest]
    return []


@pytest.mark.parametrize("room", WITHOUT_TORCH)
def test_rooms_without_torch_do_not_load_it_through_others(room: str) -> None:
    files = [path for path in FILES if path.relative_to(SOURCE).parts[0] == room]
    assert len(files) > 1
    for path in files:
        chain = _chain_to_heavy(path, set())
        assert not chain, " imports ".join(chain)


def test_a_chain_of_imports_is_followed() -> None:
    assert _chain_to_heavy(SOURCE / "inference" / "evaluation.py", set())[-1].split(".")[0] in HEAVY
    assert _chain_to_heavy(SOURCE / "callbacks" / "epoch_timer.py", set())[0] == "epoch_timer"


def _rooms() -> dict[str, int]:
    """Lines of each room: a folder, without the folders in it."""
    lines: dict[str, int] = {}
    for path in FILES:
        room = path.relative_to(SOURCE).parent.as_posix()
        lines[room] = lines.get(room, 0) + path.read_text().count("\n")
    return lines


def test_no_room_is_too_large() -> None:
    lines = _rooms()
    assert len(lines) > 20
    largest = max(lines, key=lambda room: lines[room])
    assert lines[largest] <= 0.15 * sum(lines.values()), largest


def test_every_room_says_what_lives_there() -> None:
    for room in _rooms().keys() - {"."}:
        told = ast.get_docstring(_tree(SOURCE / room / "__init__.py")) or ""
        assert told.count(".") >= 2, f"{room}/__init__.py: two sentences"


def test_lightning_has_one_namespace() -> None:
    names = {
        name for path in FILES for name in _imports(path) if name.split(".")[0] in ("lightning", "pytorch_lightning")
    }
    assert names
    assert all(name.startswith("lightning.pytorch") for name in names)


def test_only_the_factory_instantiates() -> None:
    users = [path.relative_to(SOURCE).as_posix() for path in FILES if "hydra.utils.instantiate" in _imports(path)]
    assert users == ["engine/factory.py"]


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
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{path}: {node.name}"


# Where a task may be taken for classification: its own bricks, and what only a classifier can be asked for.
KNOW_CLASSES = (
    *("tasks", "metrics", "models", "objectives"),
    *("auditing", "data/dividing/ordering.py"),
)
OF_CLASSIFICATION = re.compile(r"val/f1|probabilities|num_classes")


def _knows_classes(path: str, text: str) -> bool:
    """Whether a file outside of these rooms takes every task for classification."""
    return not path.startswith(KNOW_CLASSES) and OF_CLASSIFICATION.search(text) is not None


def test_nothing_takes_every_task_for_classification() -> None:
    assert [path for path in FILES if _knows_classes(path.relative_to(SOURCE).as_posix(), path.read_text())] == []
    for room in KNOW_CLASSES:
        there = [path for path in FILES if path.relative_to(SOURCE).as_posix().startswith(room)]
        assert any(OF_CLASSIFICATION.search(path.read_text()) for path in there), f"{room} needs no leave"
    choices = sorted((SOURCE.parents[1] / "configs").rglob("*.yaml"))
    assert len(choices) > 40
    assert [path.parent.name for path in choices if re.search(r"val/f1\b", path.read_text())] == ["task"]


def test_a_file_that_names_the_score_is_found() -> None:
    assert _knows_classes("callbacks/progress.py", 'metrics.get("val/f1")')
    assert not _knows_classes("metrics/classification.py", "probabilities")


def test_no_error_is_told_by_its_first_line_alone() -> None:
    """Of a library's error the first line may say nothing; ``one_line`` tells all of them."""
    pattern = re.compile(r"str\((?:error|cause)[^\n]*splitlines\(\)\[0\]")
    found = [path.name for path in FILES if pattern.search(path.read_text(encoding="utf-8"))]
    assert set(found) <= {"command.py"}, "OmegaConf's first line says it all, the others where in its own classes"
