"""Random streams: every use of random numbers has its own stream, named by its purpose."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *names: str | int) -> int:
    """Derive the seed of one stream from the seed of the run.

    Streams are independent: drawing more numbers from one never changes another. The result does not depend on the
    Python process.

    Args:
        seed: The seed of the run.
        *names: Purpose of the stream, e.g. ``derive_seed(42, "order", epoch)``.

    Returns:
        An integer in [0, 2**63).
    """
    key = "/".join(str(name) for name in (seed, *names))
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> 1
