"""Find faults in data: python src/lit_humor/audit.py data=csv data.train_path=... [fix=<folder>]."""

from omegaconf import DictConfig

from lit_humor.config.command import command


@command("audit")
def main(cfg: DictConfig) -> None:
    """Show and save the findings, and write a cleaned copy with ``fix=``."""
    from lit_humor.auditing.audit import audit  # imports torch and scikit-learn (seconds)
    from lit_humor.runs import screen

    try:
        audit(cfg)
    finally:
        screen.close_log()


if __name__ == "__main__":
    main()
