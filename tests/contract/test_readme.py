"""The README quotes the benchmarks; it may not drift from them."""

import re

import pytest

from tests.conftest import ROOT


def _rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("section", ["Results", "How fast"])
def test_figures_stand_in_the_tables_of_benchmarks(section: str) -> None:
    body = (ROOT / "README.md").read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    links = re.findall(r"\((benchmarks/[\w.-]+\.md)\)", body)
    assert links
    known: dict[str, set[str]] = {}
    for link in links:
        for row in _rows((ROOT / link).read_text()):
            known.setdefault(row[0], set()).update(row)
    quoted = [row for row in _rows(body) if row[0] in known]
    assert len(quoted) >= 4
    for row in quoted:
        assert set(row) <= known[row[0]], row[0]


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200
