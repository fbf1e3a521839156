"""Both lists of exact versions say the same, and the one with hashes has them for every file."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _pins(text: str) -> dict[str, str]:
    """Versions by canonical name."""
    found = re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, flags=re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_the_hashed_list_holds_every_tested_version() -> None:
    tested = _pins((ROOT / "constraints.txt").read_text())
    hashed = _pins((ROOT / "requirements.lock").read_text())
    assert len(tested) > 100
    assert {name: hashed.get(name) for name in tested} == tested


def test_every_file_is_hashed() -> None:
    entries = re.split(r"^(?=[\w])", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE)[1:]
    assert [entry for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry)] == []
    assert "://" not in "".join(entries), "the list serves every package index"
