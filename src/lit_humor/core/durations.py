"""Converts durations from and to text: 90s, 10min, 6h."""

from __future__ import annotations

import re

_UNITS = {"s": 1, "min": 60, "h": 3600}


def parse_duration(text: str) -> float | None:
    """Return the seconds of a duration such as ``10min`` or ``1.5h``; None if it is invalid or zero."""
    match = re.fullmatch(rf"(\d+(?:\.\d+)?) ?({'|'.join(_UNITS)})", text)
    return float(match[1]) * _UNITS[match[2]] or None if match else None


def say_duration(seconds: float) -> str:
    """Return a duration as text: 48 s, 12 min, 3 h 05 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
