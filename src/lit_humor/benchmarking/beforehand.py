"""What a process has done before it is copied for the rows of a guide, so that no row has to: imported by that process.

It imports what trainings of these families are made of, and compiles for a first time, which takes the compiler seconds
that have nothing to do with a row. No threads may start here, since copies lack them: no large products of matrices, no
backward pass, no tokenizing.
"""

import contextlib

import torch

from lit_humor.benchmarking import measuring  # noqa: F401  # what the copies run
from lit_humor.benchmarking.guide import choices_with_guide, guide_names
from lit_humor.config.command import compose
from lit_humor.core.errors import UserError
from lit_humor.engine.configuration import validate

for family in guide_names():
    with contextlib.suppress(UserError):  # the rows of a family say what is missing, those of another do not need it
        validate(compose("train", [f"experiment={choices_with_guide('experiment', [family])[0]}"]))
with contextlib.suppress(RuntimeError):  # where nothing can be compiled, the rows that are say so
    torch.compile(torch.neg, backend="eager")(torch.ones(1))
