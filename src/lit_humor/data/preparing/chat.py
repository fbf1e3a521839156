"""Makes inputs of a vision-language model: a chat of a question about a picture, and its answer.

Legend: N rows of a split, B of a batch, T tokens of the longest prompt, A of the longest answer, P most patches of a
picture, D numbers of a patch.
Imports only NumPy and torch, since loader processes import this module.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lit_humor.core.errors import MissingExtraError, UserError
from lit_humor.data.batches.store import TokenStore, padded, store_of
from lit_humor.data.batches.tokens import MOST_CHARACTERS
from lit_humor.data.pictures.patch_store import Patches, PatchStore, keep_patches
from lit_humor.data.preparing.preparation import Digest, Preparation, Prepared, Reading
from lit_humor.data.preparing.templates import ChatTemplate

if TYPE_CHECKING:
    from lit_humor.data.answers import Answers
    from lit_humor.data.examples import Examples
    from lit_humor.data.pictures.patches import Cut
    from lit_humor.data.pictures.store import Pictures
    from lit_humor.data.settings import DataSettings

_FORMAT = 1  # increase when a picture is cut in another way
_CHUNK_ROWS = 1024
_LEAST_ROOM = 8  # tokens for a question, which a remedy leaves
_NO_PICTURE = -1


@dataclass(frozen=True)
class PreparedChats(Prepared):
    """Prompts, pictures and answers of a split.

    Attributes:
        prompts: Token ids of the prompts, with those that stand for a picture.
        patches: The patches of the pictures, each picture once; None: no row has one.
        which: [N] int64, the picture of each row among these; -1 none.
        keys: [N] int64, equal for equal pictures, in other splits as well; -1 none.
        patch_numbers: D.
        answers: Token ids of the answers, with the end, or None.
        writes: [N] float32, 1 if the row trains the writing, else 0.
        pad_token_id: The tokenizer's pad id.
        widths: Tokens that prompts and answers are padded to; None: those of the longest in the batch.
    """

    prompts: TokenStore
    patches: PatchStore | None
    which: np.ndarray
    keys: np.ndarray
    patch_numbers: int
    answers: TokenStore | None
    writes: np.ndarray
    pad_token_id: int
    widths: tuple[int, int] | None

    @cached_property
    def lengths(self) -> np.ndarray:
        """[N] int64, the tokens of prompt, with its picture, and answer of each row."""
        return self.prompts.lengths + (0 if self.answers is None else self.answers.lengths)

    @property
    def num_truncated(self) -> int:
        """Number of questions that were too long and were cut."""
        return self.prompts.num_truncated

    @property
    def mean_target_tokens(self) -> float | None:
        """Mean number of tokens of an answer, with the end, over the rows that train the writing."""
        return None if self.answers is None else float(self.answers.lengths[self.writes > 0].mean())

    def collate(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Return what a vision-language model reads of some rows.

        Returns:
            ``input_ids`` and ``attention_mask`` [B, T] int64, prompts padded on the left; ``patches`` [B, P, D] uint8,
            ``patch_grid`` [B, 2] int64, height and width in patches, and ``picture_keys`` [B] int64, of the pictures.
            With answers ``answer_ids`` and ``answer_mask`` [B, A] int64, padded on the right, and ``writing_weights``
            [B] float32.
        """
        prompt_width, answer_width = self.widths or (None, None)
        ids, mask = padded(self.prompts, rows, self.pad_token_id, prompt_width, left=True)
        arrays = {"input_ids": ids, "attention_mask": mask, "picture_keys": self.keys[rows]}
        if self.patches is None:
            arrays["patches"] = np.zeros((len(rows), 0, self.patch_numbers), dtype=np.uint8)
            arrays["patch_grid"] = np.zeros((len(rows), 2), dtype=np.int64)
        else:
            arrays["patches"], arrays["patch_grid"] = self.patches.of_pictures(self.which[rows])
        if self.answers is not None:
            ids, mask = padded(self.answers, rows, self.pad_token_id, answer_width)
            arrays |= {"answer_ids": ids, "answer_mask": mask, "writing_weights": self.writes[rows]}
        return {name: torch.from_numpy(values) for name, values in arrays.items()}

    def update_digest(self, digest: Digest) -> None:
        """Add prompts, pictures with their sizes in patches, answers and uses to a hash."""
        arrays = [self.prompts.input_ids, self.prompts.offsets, self.keys, self.writes]
        if self.patches is not None:
            arrays.append(self.patches.grids[self.which])
        if self.answers is not None:
            arrays += [self.answers.input_ids, self.answers.offsets]
        for array in arrays:
            digest.update(np.ascontiguousarray(array).data)


class ChatPreparation(Preparation):
    """Makes the inputs of a vision-language model.

    A prompt is the chat template of the model up to the beginning of the answer, in which one token stands for each
    square of ``merge`` x ``merge`` patches of the picture. A question that is too long is cut; tokens of the
    picture, of the template and of the answer never are.

    Args:
        pretrained: The pretrained model.
        settings: Settings of batches; ``max_length`` is the most tokens of a prompt with its answer.
        answer_tokens: Most tokens of an answer, with the end.
        min_pixels: Least pixels of a picture; a smaller one is enlarged.
        max_pixels: Most pixels of a picture; a larger one is shrunk, so that its patches take at most three bytes a
            pixel in the cache.

    Raises:
        UserError: A number does not fit, or the model has no chat template that can be used.
    """

    def __init__(
        self,
        pretrained: Reading,
        settings: DataSettings,
        *,
        answer_tokens: int = 48,
        min_pixels: int = 65536,
        max_pixels: int = 200704,
    ) -> None:
        super().__init__(pretrained, settings)
        self.answer_tokens, self.min_pixels, self.max_pixels = answer_tokens, min_pixels, max_pixels
        config, self.tokenizer = pretrained.config, pretrained.tokenizer
        self.patch, self.merge = config.vision_config.patch_size, config.vision_config.spatial_merge_size
        self.picture_id = config.image_token_id
        self._check()
        self.template = ChatTemplate(self.tokenizer, self.picture_id)

    def prepare(self, examples: Examples, cache_dir: str | Path | None) -> PreparedChats:
        """Cut pictures into patches, each once, and tokenize prompts and answers.

        Raises:
            UserError: A picture cannot be read, an answer is too long, or no room is left for a question; names the
                row.
        """
        count, answers = len(examples), examples.answers
        patches, which, keys = None, np.full(count, _NO_PICTURE), np.full(count, _NO_PICTURE)
        tokens = np.zeros(count, dtype=np.int64)
        if examples.pictures is not None:
            patches, which = self._patches(examples, examples.pictures, cache_dir)
            keys, tokens = examples.pictures.keys, patches.grids.prod(axis=1)[which] // self.merge**2
        writes = np.ones(count) if answers is None or answers.writes is None else answers.writes
        whole = self.settings.padding == "max_length"
        return PreparedChats(
            self._prompts(examples, tokens),
            patches,
            which,
            keys,
            patch_numbers=3 * self.patch**2,
            answers=None if answers is None else self._answers(examples, answers),
            writes=writes.astype(np.float32),
            pad_token_id=self.tokenizer.pad_token_id,
            widths=(self.settings.max_length - self.answer_tokens, self.answer_tokens) if whole else None,
        )

    def _patches(
        self, examples: Examples, pictures: Pictures, cache_dir: str | Path | None
    ) -> tuple[PatchStore, np.ndarray]:
        """Return the patches of the distinct pictures, and which of them is that of each row, [N] int64."""
        keys, firsts, which = np.unique(pictures.keys, return_index=True, return_inverse=True)
        how = f"{_FORMAT}/{self.patch}/{self.merge}/{self.min_pixels}/{self.max_pixels}/"
        name = hashlib.sha256(how.encode() + keys.tobytes()).hexdigest()[:32]
        folder = None if cache_dir is None else Path(cache_dir) / "patches" / name
        return keep_patches(folder, self._cut(examples, pictures, firsts)), which.astype(np.int64)

    def _cut(self, examples: Examples, pictures: Pictures, rows: np.ndarray) -> Iterator[Patches]:
        """Cut the pictures of some rows."""
        try:
            from lit_humor.data.pictures.patches import MOST_LENGTHY, Cut, cut, is_too_lengthy
        except ModuleNotFoundError:
            raise MissingExtraError("model.preparation", package="pillow", extra="pictures") from None
        how: Cut = Cut(self.patch, self.merge, self.min_pixels, self.max_pixels)
        for row in rows:
            picture = pictures.store.picture(pictures.rows[row])
            if is_too_lengthy(picture):
                found, expected = "{} x {} pixels".format(*picture.shape[:2]), f"at most {MOST_LENGTHY} to 1"
                fix = "put another picture in its place"
                raise UserError(f"{_place(examples, row)}, picture", found=found, expected=expected, fix=fix)
            yield cut(picture, how)

    def _asked(self, examples: Examples, row: int) -> str:
        """Return what is asked: the instruction, if any, and the question, unless the instruction holds it."""
        text = examples.texts[row].strip()
        instruction = examples.answers.instructions[row].strip() if examples.answers else ""
        asked = instruction if text in instruction else f"{instruction}\n{text}".strip()
        return asked[: MOST_CHARACTERS * self.settings.max_length].strip()  # the rest would be cut anyway

    def _prompts(self, examples: Examples, picture_tokens: np.ndarray) -> TokenStore:
        """Tokenize the prompts; ``picture_tokens`` [N] are those that stand for the picture."""
        rows, num_cut = [], 0
        for start in range(0, len(examples), _CHUNK_ROWS):
            numbers = range(start, min(start + _CHUNK_ROWS, len(examples)))
            asked = [self._asked(examples, row) for row in numbers]
            prompts = [
                self.template.prompt(question, bool(picture_tokens[row]), _place(examples, row))
                for row, question in zip(numbers, asked, strict=True)
            ]
            encoded = self.tokenizer(prompts, add_special_tokens=False, verbose=False)
            for row, question, encoding in zip(numbers, asked, encoded.encodings, strict=True):
                ids, is_cut = self._row(encoding, question, int(picture_tokens[row]), _place(examples, row))
                rows.append(ids)
                num_cut += is_cut
        return store_of(rows, num_cut)

    def _row(self, encoding: Any, question: str, picture_tokens: int, place: object) -> tuple[np.ndarray, bool]:
        """Return the token ids of a prompt, with all tokens of the picture, and whether the question was cut."""
        ids = np.asarray(encoding.ids)
        surplus = len(ids) + max(picture_tokens - 1, 0) + self.answer_tokens - self.settings.max_length
        if surplus > 0:
            begin = len(self.template.frames[picture_tokens > 0].before)
            end = begin + len(question)
            within = [at for at, (first, last) in enumerate(encoding.offsets) if begin <= first < last <= end]
            if len(within) <= surplus:
                raise self._no_room(len(ids) - len(within), picture_tokens, place)
            ids = np.delete(ids, within[-surplus:])
        return np.repeat(ids, np.where(ids == self.picture_id, picture_tokens, 1)), surplus > 0

    def _no_room(self, around: int, picture_tokens: int, place: object) -> UserError:
        """The error for a row whose question has no room; ``around`` are the tokens of the template."""
        template = around - (picture_tokens > 0)
        needed = template + picture_tokens + self.answer_tokens + _LEAST_ROOM
        ways = [f"set data.max_length={needed}"] if needed <= self.pretrained.longest_input else []
        fewer = self.settings.max_length - template - self.answer_tokens - _LEAST_ROOM
        if picture_tokens and fewer > 0:
            pixels = fewer * (self.patch * self.merge) ** 2
            ways.append(f"set model.preparation.max_pixels={pixels} model.preparation.min_pixels=1")
        return UserError(
            f"{place}, question",
            found=f"{picture_tokens} tokens of the picture, {template} of the chat template and up to "
            f"{self.answer_tokens} of the answer, which leave no room for it",
            expected=f"fewer than data.max_length={self.settings.max_length}",
            fix=", or ".join(ways) or f"set data.max_length={self.pretrained.longest_input}",
        )

    def _answers(self, examples: Examples, answers: Answers) -> TokenStore:
        """Tokenize the answers, with their end."""
        texts = [text.strip() for text in answers.texts]
        for row, text in enumerate(texts):
            has_picture, question = examples.pictures is not None, self._asked(examples, row)
            self.template.check_answer(question, text, has_picture, _place(examples, row))
        ids: list[list[int]] = self.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        longest = max(range(len(ids)), key=lambda row: len(ids[row]))
        if (needed := len(ids[longest]) + 1) > self.answer_tokens:
            raise UserError(
                f"{_place(examples, longest)}, answer",
                found=f"{needed} tokens, with the end",
                expected=f"at most model.preparation.answer_tokens={self.answer_tokens}",
                fix=f"set model.preparation.answer_tokens={needed}, or shorten the answer",
            )
        return store_of([[*row, self.template.end] for row in ids])

    def _check(self) -> None:
        """Check the numbers, each against those that it has to fit."""
        square, longest = (self.patch * self.merge) ** 2, self.settings.max_length
        for name, value, least, most in (
            ("answer_tokens", self.answer_tokens, 1, max(longest // 2, 1)),
            ("max_pixels", self.max_pixels, square, None),
            ("min_pixels", self.min_pixels, 1, self.max_pixels),
        ):
            if value < least or (most is not None and value > most):
                key, expected = f"model.preparation.{name}", f"from {least} to {most}" if most else f"at least {least}"
                fix = f"set {key}={least if value < least else most}"
                raise UserError(key, found=str(value), expected=expected, fix=fix)


def _place(examples: Examples, row: int | np.integer) -> object:
    places: Sequence[object] = examples.places
    return places[int(row)] if places else f"row {row + 1}"
