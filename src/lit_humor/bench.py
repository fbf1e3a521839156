"""Run a benchmark: python src/lit_humor/bench.py suite=recipes train_path=<csv> val_path=<csv> [max_epochs=3]."""

import sys

from omegaconf import DictConfig

from lit_humor.config.command import command

_OF_TRAIN = ("experiment", "debug")  # groups of train.py, which Hydra would look for here


def main() -> None:
    """Run a suite, write its table to ``benchmarks/`` and show it."""
    words = [word.partition("=") for word in sys.argv[1:]]
    typed = {key: value for key, sign, value in words if key in _OF_TRAIN and sign and value != "null"}
    sys.argv[1:] = [word for word in sys.argv[1:] if not word.startswith("experiment=")]

    @command("bench")
    def run(cfg: DictConfig) -> None:
        from lit_humor.benchmarking.bench import run_suite

        cfg.experiment, cfg.debug = (typed.get(key) for key in _OF_TRAIN)
        run_suite(cfg)

    run()


if __name__ == "__main__":
    main()
