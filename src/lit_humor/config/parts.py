"""Names the part of an objective that an error is about."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from hydra.errors import InstantiationException

from lit_humor.core.errors import UserError


@contextlib.contextmanager
def naming_parts() -> Iterator[None]:
    """Have an error of a part, which knows only ``objective``, name the key of that part while it is built."""
    try:
        yield
    except InstantiationException as failed:
        error, part = failed.__cause__, re.search(r"full_key: (objective\.parts\.\S+)", str(failed))
        if not isinstance(error, UserError) or part is None:
            raise
        where, fix = (text.replace("objective.", f"{part[1]}.") for text in (error.where, error.fix))
        raise UserError(where, found=error.found, expected=error.expected, fix=fix) from None
