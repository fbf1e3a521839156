"""Small models that answer questions about pictures, and batches for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lit_humor.data.preparing.preparation import Digest, Preparation, Prepared
from lit_humor.models.embedded import random_qwen3_vl
from lit_humor.models.random_models import CHAT_TOKENS, PICTURE, PICTURE_END, PICTURE_START, TURN, TURN_END
from lit_humor.models.vision_language import VisionLanguage
from tests.unit.pairing import padded

SIDE, MERGE = 8, 2  # pixels of a patch, patches of a token
BACKENDS = ("sdpa", "eager", "matmul")
END = CHAT_TOKENS.index(TURN_END)
GRIDS = ((4, 4), (2, 6), (0, 0), (6, 2))
WORDS = ([300, 301, 302], [310], [320, 321], [330, 331, 332, 333])
ANSWERS = ([340, END], [350, 351, 352, 353, END], [360, 361, END], [340, END])
LORA_4 = {"rank": 4, "alpha": 8, "dropout": 0.05}


def make_model(folder: Path, **sizes: int) -> str:
    """A small random Qwen3-VL, as a folder."""
    usual = {"vocab_size": 600, "hidden_size": 32, "num_layers": 2, "num_heads": 2, "patch_size": SIDE}
    return random_qwen3_vl(str(folder), **(usual | {"picture_side": 4} | sizes))


def make_network(folder: str, **options: Any) -> VisionLanguage:
    """One that evaluates."""
    torch.manual_seed(2)
    return VisionLanguage(folder, **options).eval()


def adapted(folder: str, **options: Any) -> VisionLanguage:
    """With an adapter that does something, as after a training."""
    network = make_network(folder, adapter=LORA_4, **options)
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return network


def make_prompt(grid: Sequence[int], words: Sequence[int]) -> list[int]:
    turn, start, picture, end = (CHAT_TOKENS.index(one) for one in (TURN, PICTURE_START, PICTURE, PICTURE_END))
    shown = [start, *[picture] * (grid[0] * grid[1] // MERGE**2), end] if grid[0] else []
    return [turn, 299, *shown, *words, END, turn, 298]


def make_pixels(grid: Sequence[int], key: int) -> Tensor:
    """[height x width, D] uint8, the patches of a picture."""
    generator = torch.Generator().manual_seed(100 + key)
    return torch.randint(0, 256, (grid[0] * grid[1], 3 * SIDE**2), dtype=torch.uint8, generator=generator)


def make_batch(
    grids: Sequence[Sequence[int]] = GRIDS,
    words: Sequence[Sequence[int]] = WORDS,
    answers: Sequence[Sequence[int]] = ANSWERS,
    keys: Sequence[int] | None = None,
) -> dict[str, Tensor]:
    keys = [row if grid[0] else -1 for row, grid in enumerate(grids)] if keys is None else keys
    ids, mask = padded([make_prompt(grid, said) for grid, said in zip(grids, words, strict=True)], left=True)
    answer_ids, answer_mask = padded(answers)
    pixels = [make_pixels(grid, key) for grid, key in zip(grids, keys, strict=True)]
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "patches": torch.nn.utils.rnn.pad_sequence(pixels, batch_first=True),
        "patch_grid": torch.tensor([list(grid) for grid in grids]),
        "picture_keys": torch.tensor(list(keys)),
        "answer_ids": answer_ids,
        "answer_mask": answer_mask,
        "writing_weights": torch.ones(len(grids)),
        "row_weights": torch.ones(len(grids)),
        "rows": torch.arange(len(grids)),
    }


def rows_of(batch: dict[str, Tensor], rows: Any) -> dict[str, Tensor]:
    return {name: value[rows] for name, value in batch.items()}


def alone(batch: dict[str, Tensor], row: int) -> dict[str, Tensor]:
    """One row of a batch without padding."""
    one = rows_of(batch, slice(row, row + 1))
    length, count = int(one["attention_mask"].sum()), int(one["answer_mask"].sum())
    for name in ("input_ids", "attention_mask"):
        one[name] = one[name][:, -length:]
    for name in ("answer_ids", "answer_mask"):
        one[name] = one[name][:, :count]
    one["patches"] = one["patches"][:, : int(one["patch_grid"].prod())]
    return one


class PreparedChats(Prepared):
    """Rows of questions and answers that follow from the number of the row."""

    def __init__(self, count: int) -> None:
        self.count = count

    @property
    def lengths(self) -> np.ndarray:
        return np.full(self.count, 20)

    @property
    def num_truncated(self) -> int:
        return 0

    @property
    def mean_target_tokens(self) -> float:
        return 2.0

    def collate(self, rows: np.ndarray) -> dict[str, Tensor]:
        kinds = [int(row) % 3 for row in rows]
        batch = make_batch(
            [GRIDS[kind] for kind in kinds],
            [[300 + int(row) % 7] for row in rows],
            [[340 + kind, END] for kind in kinds],
            [kind if GRIDS[kind][0] else -1 for kind in kinds],
        )
        return {name: batch[name] for name in batch if name not in ("row_weights", "rows")}

    def update_digest(self, digest: Digest) -> None:
        digest.update(str(self.count).encode())


class ChatRows(Preparation):
    """Makes them."""

    def prepare(self, examples: Any, cache_dir: Any) -> PreparedChats:
        return PreparedChats(len(examples))
