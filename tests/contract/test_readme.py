"""The README quotes the benchmarks; it may not drift from them."""

import json
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


def test_figures_of_length_profiles_are_those_of_the_ladders() -> None:
    text = " ".join((ROOT / "README.md").read_text().split())
    (machine,) = re.findall(r"ladder_tweets_([\w.-]+)\.md", text)
    (quoted,) = re.findall(r"rows of 128 the default is (.*?) times the baseline, at most (\S+) % of it padding", text)
    found = []
    for profile in ("one_liners", "tweets", "stories", "fixed"):
        content = json.loads((ROOT / "benchmarks" / f"ladder_{profile}_{machine}.json").read_text())
        found.append(content["rungs"][content["default"]])
    assert re.findall(r"[\d.]+", quoted[0]) == [f"{rung['ratio']:.1f}" for rung in found]
    assert quoted[1] == f"{max(rung['padding_waste'] for rung in found) * 100:.1f}"


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200
