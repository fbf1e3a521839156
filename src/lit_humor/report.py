"""Report on a run: python src/lit_humor/report.py run=<folder> | runs=[<folder>,<folder>]."""

from omegaconf import DictConfig

from lit_humor.config.command import command


@command("report")
def main(cfg: DictConfig) -> None:
    """Write report.html to a run folder, or a page that compares two runs."""
    from lit_humor.reporting.report import report  # imports torch (seconds): not for --help and --cfg

    report(cfg)


if __name__ == "__main__":
    main()
