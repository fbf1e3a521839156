"""Classify texts with a run: python src/lit_humor/predict.py run=<folder> text="..." | input=<file> | < lines."""

import sys

from omegaconf import DictConfig

from lit_humor.config.command import command

_TEXTS: list[str] = []


@command("predict")
def _predict(cfg: DictConfig) -> None:
    from lit_humor.config.saved import calibrated, open_run

    saved = open_run(cfg.run) if cfg.run else None
    if saved and cfg.calibration:
        saved = calibrated(saved, cfg.calibration)
    if saved and cfg.input and not _TEXTS and not cfg.explain:
        from lit_humor.inference.inputs import check_file

        if note := check_file(cfg, saved):
            print(f"{cfg.input}: {note}")
    from lit_humor.inference.predicting import predict  # imports torch (seconds): not for --help and --cfg

    predict(cfg, saved, _TEXTS)


def main() -> None:
    """Run the command; ``text=...`` is taken unchanged, with commas and quotes, since Hydra would parse it."""
    _TEXTS[:] = [argument.removeprefix("text=") for argument in sys.argv[1:] if argument.startswith("text=")]
    sys.argv[1:] = [argument for argument in sys.argv[1:] if not argument.startswith("text=")]
    _predict()


if __name__ == "__main__":
    main()
