"""Measure: python src/lit_humor/bench.py suite=recipes train_path=<csv> val_path=<csv> [max_epochs=3]."""

from omegaconf import DictConfig

from lit_humor.engine.cli import command


@command("bench")
def main(cfg: DictConfig) -> None:
    """Run a suite, write its table to ``benchmarks/`` and show it."""
    from lit_humor.benchmarking.recipes import run_recipes
    from lit_humor.core.errors import UserError

    if cfg.suite != "recipes":
        raise UserError("suite", found=cfg.suite, expected="recipes", fix="set suite=recipes")
    run_recipes(cfg)


if __name__ == "__main__":
    main()
