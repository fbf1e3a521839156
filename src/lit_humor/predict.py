"""Use a run: python src/lit_humor/predict.py run=<folder> [image=<file>] text="..." | query="..." | input=<file>."""

import sys

from omegaconf import DictConfig

from lit_humor.config.command import command

_KEYS = ("text", "setup", "question", "image", "query")  # taken as they are typed
_TYPED: dict[str, list[str]] = {}


@command("predict")
def _predict(cfg: DictConfig) -> None:
    from lit_humor.config.saved import calibrated, open_run

    if cfg.runs:
        _first_stands_for_all(cfg)
    saved = open_run(cfg.run) if cfg.run else None
    if saved and cfg.calibration:
        saved = calibrated(saved, cfg.calibration)
    texts = [*_TYPED["text"], *_TYPED["setup"], *_TYPED["question"]]
    if saved and cfg.input and not texts and not cfg.explain:
        from lit_humor.inference.inputs import check_file

        if note := check_file(cfg, saved):
            print(f"{cfg.input}: {note}")
    if queries := _TYPED["query"]:
        from lit_humor.inference.searching import search

        _alone(cfg)
        search(cfg, saved, queries)
        return
    from lit_humor.inference.predicting import predict  # imports torch (seconds): not for --help and --cfg

    predict(cfg, saved, texts, _TYPED["image"])


def _first_stands_for_all(cfg: DictConfig) -> None:
    """Set ``run`` to the first of ``runs``; check that nothing is typed that only one run can do.

    Raises:
        UserError: It is.
    """
    from lit_humor.core.errors import UserError

    one_alone = {key: cfg[key] for key in ("run", "ckpt", "calibration", "explain")} | {"query": _TYPED["query"]}
    for key in (key for key, value in one_alone.items() if value):
        raise UserError(key, found="runs beside it", expected="one run", fix=f"leave {key} out")
    cfg.run = cfg.runs[0]


def _alone(cfg: DictConfig) -> None:
    """Check that nothing is typed beside ``query=`` that it would leave unread.

    Raises:
        UserError: It is.
    """
    from lit_humor.core.errors import UserError

    other = {key: _TYPED[key] for key in _KEYS if key != "query"} | {key: cfg[key] for key in ("input", "explain")}
    if cfg.threshold is not None:
        other |= {"threshold": True}
    for key in (key for key, value in other.items() if value):
        raise UserError(key, found="query beside it", expected="one of them", fix=f"leave {key} out")


def main() -> None:
    """Run the command; ``text=...`` is taken unchanged, with commas and quotes, since Hydra would parse it."""
    _TYPED.clear()
    for key in _KEYS:
        _TYPED[key] = [one.partition("=")[2] for one in sys.argv[1:] if one.startswith(f"{key}=")]
    sys.argv[1:] = [one for one in sys.argv[1:] if one.partition("=")[0] not in _KEYS]
    _predict()


if __name__ == "__main__":
    main()
