"""Run a benchmark: python src/lit_humor/bench.py suite=recipes train_path=<csv> val_path=<csv> [max_epochs=3]."""

from omegaconf import DictConfig

from lit_humor.config.command import command


@command("bench")
def main(cfg: DictConfig) -> None:
    """Run a suite, write its table to ``benchmarks/`` and show it."""
    from lit_humor.benchmarking.bench import run_suite

    run_suite(cfg)


if __name__ == "__main__":
    main()
