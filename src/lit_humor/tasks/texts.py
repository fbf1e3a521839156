"""What tasks share whose rows have a text to find or to write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lit_humor.core.errors import UserError

if TYPE_CHECKING:
    from lit_humor.data.dividing.splits import Drawn
    from lit_humor.data.examples import Examples
    from lit_humor.data.settings import DataSettings


def check_answers(
    kind: str, splits: Mapping[str, Examples], drawn: Drawn, settings: DataSettings, val_key: str
) -> None:
    """Check that training and validation have rows, and all rows an answer.

    Raises:
        UserError: They have not; the message names the setting to change.
    """
    from lit_humor.data.dividing.fitness import check_fit

    for name, examples in splits.items():
        if examples.answers is None:
            raise UserError(
                "data.answer_column",
                found=f"no answers in split '{name}'",
                expected=f"a column of texts, which task={kind} learns",
                fix="set data.answer_column=<column>, or set data=joke_halves",
            )
    check_fit(splits, drawn, settings, val_key)
