"""Export a run for other programs: python src/lit_humor/export.py run=<folder> to=huggingface|onnx|onnx_int8."""

from omegaconf import DictConfig

from lit_humor.config.command import command


@command("export")
def main(cfg: DictConfig) -> None:
    """Export the best weights and check them on the validation rows."""
    from lit_humor.inference.exports import export  # imports torch (seconds): not for --help and --cfg

    export(cfg)


if __name__ == "__main__":
    main()
