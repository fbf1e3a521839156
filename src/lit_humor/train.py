"""Train a humor classifier: python src/lit_humor/train.py [experiment=v3] [group=choice ...] [key=value ...]."""

from omegaconf import DictConfig

from lit_humor.config.command import command


@command("train")
def main(cfg: DictConfig) -> None:
    """Check, plan, build, train, evaluate the best checkpoint, write and show the results."""
    from lit_humor.engine.training import train  # imports lightning (seconds): not for --help and --cfg

    train(cfg)


if __name__ == "__main__":
    main()
