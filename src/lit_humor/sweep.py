"""Many runs: python src/lit_humor/sweep.py plan=seeds n=3 slots=2 experiment=v3 [any setting of train.py]."""

import dataclasses
import re
import sys

from omegaconf import DictConfig

from lit_humor.config.command import command, explained
from lit_humor.config.schema.sweep import SweepConfig
from lit_humor.core.settings import is_setting


def main() -> None:
    """Train every run of a plan that is not done yet, and write one table of all."""
    own = {field.name for field in dataclasses.fields(SweepConfig)} | {"plan", "hydra"}
    words = [one for one in sys.argv[1:] if not one.startswith("-")]
    typed = [one for one in words if re.split(r"[.=]", one.lstrip("+~"))[0] not in own]
    if any(not is_setting(one) for one in words):  # what is wrong, its neighbours tell
        typed = []
    sys.argv[1:] = [one for one in sys.argv[1:] if one not in typed]

    @command("sweep")
    def run(cfg: DictConfig) -> None:
        from lit_humor.sweeps.sweeping import sweep  # not for --help

        with explained("train", typed):
            sweep(cfg, typed)

    run()


if __name__ == "__main__":
    main()
