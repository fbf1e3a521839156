"""Train many runs: python src/lit_humor/sweep.py plan=seeds n=3 slots=2 experiment=v3 [any setting of train.py]."""

import dataclasses
import re
import sys

from omegaconf import DictConfig

from lit_humor.config.command import command, explained
from lit_humor.config.schema.sweep import SweepConfig
from lit_humor.core.settings import is_setting


def main() -> None:
    """Train all runs of a plan that are not done, and write a table of all its runs."""
    own = {field.name for field in dataclasses.fields(SweepConfig)} | {"plan", "hydra"}
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    typed = [word for word in words if re.split(r"[.=]", word.lstrip("+~"))[0] not in own]
    if any(not is_setting(word) for word in words):  # the error about it needs the words next to it
        typed = []
    sys.argv[1:] = [word for word in sys.argv[1:] if word not in typed]

    @command("sweep")
    def run(cfg: DictConfig) -> None:
        from lit_humor.sweeps.sweeping import sweep  # not for --help

        with explained("train", typed):
            sweep(cfg, typed)

    run()


if __name__ == "__main__":
    main()
