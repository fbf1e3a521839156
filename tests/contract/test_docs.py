"""What the pages of docs/ say of the code is held against the code."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "lit_humor"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
NAMES_OTHERS = ("adding.md", "log.md")  # files to be made, files that were
PAGES = sorted(path for path in (ROOT / "docs").glob("*.md") if path.name not in NAMES_OTHERS)
MOST_FILES, MOST_LINES = 8, 900  # of the path of one run

Edges = set[tuple[str, str]]


def _imports_between_rooms() -> Edges:
    edges: Edges = set()
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lit_humor"):
                names = [f"{node.module}.{alias.name}".split(".")[1] for alias in node.names]
                edges |= {(room, name) for name in names if name != room and (SOURCE / name).is_dir()}
    return edges


def _without_detours(edges: Edges) -> Edges:
    """The edges that no longer way replaces."""
    after = defaultdict(set)
    for first, second in edges:
        after[first].add(second)

    def reached(start: str, left_out: tuple[str, str]) -> set[str]:
        seen, waiting = set(), [one for one in after[start] if (start, one) != left_out]
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                waiting += after[one]
        return seen

    return {edge for edge in edges if edge[1] not in reached(edge[0], edge)}


def test_the_picture_is_that_of_the_code() -> None:
    drawn = set(re.findall(r"^ +(\w+) --> (\w+)$", ARCHITECTURE, re.MULTILINE))
    expected = _without_detours(_imports_between_rooms())
    assert len(expected) > 30
    assert drawn == expected, f"draw {sorted(expected - drawn)}, erase {sorted(drawn - expected)}"


def test_the_path_of_one_run_is_short_and_counted() -> None:
    table = ARCHITECTURE.split("## One run, read in order")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([\w/.]+)` \| (\d+) \|", table, re.MULTILINE)
    assert 6 <= len(rows) <= MOST_FILES
    lines = {name: len((ROOT / name).read_text().splitlines()) for name, _ in rows}
    assert {name: int(count) for name, count in rows} == lines
    assert sum(lines.values()) <= MOST_LINES


def test_every_room_is_listed() -> None:
    tree = ARCHITECTURE.split("## The rooms")[1].split("\n## ")[0]
    rooms = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").is_file()}
    assert set(re.findall(r"\b([a-z]+)/", tree)) >= rooms


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_and_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    paths = re.findall(r"`((?:src/lit_humor/|tests/|configs/)?[\w/]+\.(?:py|yaml|md))`", text)
    places = (ROOT, SOURCE, ROOT / "tests" / "unit", ROOT / "tests", ROOT / "docs")
    for path in paths:
        assert any((place / path).is_file() for place in places), f"{page.name}: {path}"
    for link in re.findall(r"\]\(([\w/.-]+\.\w+)\)", text):
        assert (page.parent / link).is_file(), f"{page.name}: {link}"


def test_the_glossary_is_a_word_a_line() -> None:
    words = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)[2:]
    assert len(words) > 10
    assert all(len(meaning) <= 130 for _, meaning in words)
