"""Pictures that are typed beside texts: predict.py image=cat.png text="..."."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from lit_humor.config.saved import SavedRun
from lit_humor.core.batch import VAL
from lit_humor.core.errors import MissingExtraError, UserError
from lit_humor.core.settings import command_line, setting
from lit_humor.data.examples import Examples
from lit_humor.data.pictures.store import Pictures, in_memory, of_files
from lit_humor.engine.configuration import settled
from lit_humor.engine.factory import build_datamodule, open_pretrained


def check_images(cfg: DictConfig, saved: SavedRun, texts: Sequence[str], images: Sequence[str]) -> None:
    """Check that a run that reads pictures is given a text with a picture, and another run none.

    Args:
        cfg: The configuration of the command.
        saved: The run.
        texts: Texts that were typed.
        images: Files of pictures that were typed.

    Raises:
        UserError: A picture or text is missing, or cannot be used.
    """
    if not reads_pictures(saved):
        if images:
            raise UserError("image", found="a run that reads no pictures", expected="none", fix="leave image out")
        return
    if cfg.input:
        found, expected = "a run that reads pictures", "a picture with a text"
        raise UserError("input", found=found, expected=expected, fix='leave input out, and add image=<file> text="..."')
    if not texts:
        raise UserError("text", found="none", expected="the text of the picture", fix='add text="..."')
    if len(images) not in (1, len(texts)):
        expected = f"one for all texts, or one for each of {len(texts)}" if len(texts) > 1 else "one"
        raise UserError("image", found=str(len(images) or "none"), expected=expected, fix="add image=<file>")
    if cfg.explain:
        expected = "a run that reads texts alone"
        raise UserError("explain", found="a run that reads pictures", expected=expected, fix="leave explain out")


def only_of_texts(saved: SavedRun, where: str) -> None:
    """Check that a run reads texts alone, for a command that gives it nothing else.

    Raises:
        UserError: It reads pictures.
    """
    if reads_pictures(saved):
        fix = command_line("predict", setting("run", str(saved.folder)), "image=<file>", "text=...") + " uses it"
        raise UserError(where, found="a run that reads pictures", expected="one that reads texts alone", fix=fix)


def validation_pictures(saved: SavedRun, texts: Sequence[str]) -> Pictures | None:
    """Return the pictures of the validation rows of a run, read or drawn again if need be; None if it reads none.

    Args:
        saved: The run.
        texts: The texts of these rows, as the run read them.

    Raises:
        UserError: The data has other rows now.
    """
    if not reads_pictures(saved):
        return None
    cfg = settled(saved.config)
    rows = build_datamodule(cfg, open_pretrained(cfg, saved.backbone), plan=None).load().get(VAL)
    if rows is None or rows.texts != list(texts):
        found, fix = "other validation rows in its data than it was trained with", "put its files of rows back"
        raise UserError(f"run={saved.folder}", found=found, expected="the same rows", fix=fix)
    return rows.pictures


def with_images(texts: Sequence[str], images: Sequence[str], size: int | None) -> Examples:
    """Return rows to score: texts, each with its picture, or all with the only one.

    Args:
        texts: [N] texts.
        images: Files of N pictures, or of one.
        size: Height and width of pictures in pixels, as in training; None leaves them as they are.

    Raises:
        UserError: A picture cannot be read.
    """
    try:
        from lit_humor.data.pictures.files import read_picture
    except ModuleNotFoundError:
        raise MissingExtraError("image", package="pillow", extra="pictures") from None
    places = [f"image={image}" for image in images]
    read = [read_picture(Path(image), size, place) for image, place in zip(images, places, strict=True)]
    rows = np.arange(len(texts)) if len(read) > 1 else np.zeros(len(texts), dtype=np.int64)
    store = in_memory(read) if size else of_files(map(Path, images), places)
    return replace(Examples.unlabelled(texts), pictures=Pictures(store, rows))


def reads_pictures(saved: SavedRun) -> bool:
    """Return whether the rows of a run have pictures."""
    return "pictures_dir" in saved.config.data
