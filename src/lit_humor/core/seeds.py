"""Streams of randomness: every use of chance draws from its own stream, named by what it is for."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *names: str | int) -> int:
    """Derive the seed of one stream from the seed of the run.

    Streams are independent of one another: drawing more numbers in one never shifts another, and the
    result does not depend on the Python process.

    Args:
        seed: The seed of the run.
        *names: What the stream is for, e.g. ``derive_seed(42, "order", epoch)``.

    Returns:
        An integer in [0, 2**63).
    """
    key = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1
