"""Times as people write them: 90s, 10min, 6h."""

from __future__ import annotations

import re

_UNITS = {"s": 1, "min": 60, "h": 3600}


def parse_duration(text: str) -> float | None:
    """Seconds of a time such as ``10min`` or ``1.5h``; None where it is none, or zero."""
    found = re.fullmatch(rf"(\d+(?:\.\d+)?) ?({'|'.join(_UNITS)})", text)
    return float(found[1]) * _UNITS[found[2]] or None if found else None


def say_duration(seconds: float) -> str:
    """As one would say it: 48 s, 12 min, 3 h 05 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
