"""Try a run in the browser: python src/lit_humor/serve.py run=<folder> [port=8000]."""

from omegaconf import DictConfig

from lit_humor.config.command import command


@command("serve")
def main(cfg: DictConfig) -> None:
    """Serve a page and a JSON endpoint on this machine until Ctrl-C."""
    from lit_humor.inference.serving import serve  # imports torch (seconds): not for --help and --cfg

    serve(cfg)


if __name__ == "__main__":
    main()
