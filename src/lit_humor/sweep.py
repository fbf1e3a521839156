"""Many runs: python src/lit_humor/sweep.py plan=seeds n=3 slots=2 experiment=v3 [any setting of train.py]."""

import dataclasses
import re
import sys

from omegaconf import DictConfig

from lit_humor.engine.cli import command
from lit_humor.engine.schema import SweepConfig


def main() -> None:
    """Train every run of a plan that is not done yet, and write one table of all."""
    own = {field.name for field in dataclasses.fields(SweepConfig)} | {"plan", "hydra"}
    typed = [
        one for one in sys.argv[1:] if not one.startswith("-") and re.split(r"[.=]", one.lstrip("+~"))[0] not in own
    ]
    sys.argv[1:] = [one for one in sys.argv[1:] if one not in typed]

    @command("sweep")
    def run(cfg: DictConfig) -> None:
        from lit_humor.engine.sweeping import sweep  # imports scipy (a second)

        sweep(cfg, typed)

    run()


if __name__ == "__main__":
    main()
