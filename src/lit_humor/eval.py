"""Evaluate a saved checkpoint: python src/lit_humor/eval.py run=<folder> [split=val] [data=csv data.test_path=...]."""

from omegaconf import DictConfig

from lit_humor.config.command import command


@command("eval")
def main(cfg: DictConfig) -> None:
    """Load a run, evaluate one split, write and show the results."""
    from lit_humor.inference.evaluation import evaluate  # imports lightning (seconds): not for --help and --cfg

    evaluate(cfg)


if __name__ == "__main__":
    main()
