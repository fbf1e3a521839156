"""Makes token ids of texts that are embedded and of texts that are written.

Legend: N rows of a split, B rows of a batch, G passages of a row, T/P/U tokens of the longest text/prompt/answer.
Imports only NumPy and torch, since loader processes import this module.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lit_humor.core.errors import UserError
from lit_humor.data.batches.store import TokenStore, padded, used_tokens
from lit_humor.data.batches.tokens import encode
from lit_humor.data.preparing.preparation import Digest, Preparation, Prepared, Reading

if TYPE_CHECKING:
    from lit_humor.data.answers import Answers
    from lit_humor.data.examples import Examples
    from lit_humor.data.settings import DataSettings

EMBEDDING, WRITING = PARTS = ("embedding", "writing")
_LEAST_ROOM = 8  # tokens of a text, below which the answers are the ones to be shorter
NO_TEXT = -1  # key of a passage that a row does not have
_TEXT, _INSTRUCTION = "{text}", "{instruction}"
_QUERIES, _PASSAGES, _PROMPTS, _ANSWERS = "queries", "passages", "prompts", "answers"


@dataclass(frozen=True)
class PreparedPairs(Prepared):
    """The texts of a split, tokenized.

    Attributes:
        stores: Token ids by use: ``queries`` [N], ``passages`` [N * G] (the answer, then negatives), ``prompts`` [N],
            ``answers`` [N]; ``second_starts`` of queries counts the tokens of the instruction.
        keys: [N, 1 + G] int64, equal for equal texts: of the query, then of each passage; -1 where there is none.
        uses: [N] bool by part: whether the row trains the embedding, and the writing.
        pad_token_id: The tokenizer's pad id.
        instructed: Whether passages have instructions, whose tokens ``second_starts`` of passages counts then.
        widths: Tokens that texts are padded to, by use; those that are not named are padded to the longest of a batch.
    """

    stores: Mapping[str, TokenStore]
    keys: np.ndarray
    uses: Mapping[str, np.ndarray]
    pad_token_id: int
    instructed: bool = False
    widths: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def lengths(self) -> np.ndarray:
        """[N] int64, the tokens of all texts of each row."""
        return sum(store.lengths.reshape(len(self.keys), -1).sum(axis=1) for store in self.stores.values())

    @property
    def num_truncated(self) -> int:
        """Number of texts that were too long and were truncated."""
        return sum(store.num_truncated for store in self.stores.values())

    @property
    def mean_target_tokens(self) -> float | None:
        """Mean number of tokens of an answer, with the end, over the rows that train the writing."""
        answers = self.stores.get(_ANSWERS)
        return None if answers is None else float(answers.lengths[self.uses[WRITING]].mean())

    def collate(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Return the tensors of a ``PairBatch``, of those parts that are there."""
        arrays = {name: self.uses[part][rows].astype(np.float32) for part, name in _WEIGHTS.items()}
        if _QUERIES in self.stores:
            arrays |= _named("query", *self._padded(_QUERIES, rows))
            arrays["query_pooled"] = _pooled(arrays["query_mask"], self.stores[_QUERIES].second_starts[rows])
            arrays["text_keys"] = self.keys[rows]
        if _PASSAGES in self.stores:
            size = self.keys.shape[1] - 1
            flat = (rows[:, None] * size + np.arange(size)).ravel()
            shape = len(rows), size, -1
            of_passages = _named("passage", *self._padded(_PASSAGES, flat))
            if self.instructed:
                starts = self.stores[_PASSAGES].second_starts[flat]
                of_passages["passage_pooled"] = _pooled(of_passages["passage_mask"], starts)
            arrays |= {name: values.reshape(shape) for name, values in of_passages.items()}
        if _PROMPTS in self.stores:
            arrays |= _named("prompt", *self._padded(_PROMPTS, rows, left=True))
        if _ANSWERS in self.stores:
            arrays |= _named("answer", *self._padded(_ANSWERS, rows))
        return {name: torch.from_numpy(values) for name, values in arrays.items()}

    def _padded(self, use: str, rows: np.ndarray, *, left: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Return token ids and mask of some rows, int64, padded to the longest of them, or to ``widths``."""
        return padded(self.stores[use], rows, self.pad_token_id, self.widths.get(use), left=left)

    def update_digest(self, digest: Digest) -> None:
        """Add token ids, starts of rows, keys and uses to a hash."""
        for store in self.stores.values():
            for array in (store.input_ids, store.offsets, store.second_starts):
                digest.update(np.ascontiguousarray(array).data)
        for array in (self.keys, *self.uses.values()):
            digest.update(array.tobytes())


_WEIGHTS = {EMBEDDING: "embedding_weights", WRITING: "writing_weights"}


class PairPreparation(Preparation):
    """Makes the inputs of a model that embeds texts, and writes an answer to each.

    Args:
        pretrained: The pretrained model.
        settings: Settings of batches; ``max_length`` is the most tokens of each query, passage and prompt.
        parts: What is made: inputs of the ``embedding``, of the ``writing``, or of both.
        num_negatives: Negatives of a row; a row that has more keeps the first ones.
        answer_tokens: Most tokens of an answer, with the end.
        instruction: Instruction of rows that have none of their own.
        embedding_template: A query or passage with its instruction: ``{instruction}`` and ``{text}``, which stands
            last; what stands before the text is left out of the mean. A passage without an instruction is its text.
        writing_template: A prompt; the answer follows it.

    Raises:
        UserError: A part or template is not valid, or the model has too few positions.
    """

    def __init__(
        self,
        pretrained: Reading,
        settings: DataSettings,
        *,
        parts: Sequence[str] = PARTS,
        num_negatives: int = 1,
        answer_tokens: int = 48,
        instruction: str = "",
        embedding_template: str = "{instruction} {text}",
        writing_template: str = "{instruction} {text}",
    ) -> None:
        super().__init__(pretrained, settings)
        self.parts, self.num_negatives, self.answer_tokens = tuple(parts), num_negatives, answer_tokens
        self.instruction = instruction
        self.embedding_template, self.writing_template = embedding_template, writing_template
        self.tokenizer = pretrained.tokenizer
        _check(self, pretrained)
        self.most_tokens = pretrained.longest_input - (answer_tokens if WRITING in self.parts else 0)

    def prepare(self, examples: Examples, cache_dir: str | Path | None) -> PreparedPairs:
        """Tokenize queries, passages, prompts and answers; rows without answers have queries and prompts alone."""
        answers, count = examples.answers, len(examples)
        own = answers.instructions if answers else [""] * count
        instructions = [one or self.instruction for one in own]
        stores, keys = {}, np.full((count, 2 + self.num_negatives), NO_TEXT, dtype=np.int64)
        keys[:, 0] = [_key(text) for text in examples.texts]
        if EMBEDDING in self.parts:
            stores[_QUERIES] = self._instructed(examples.texts, instructions, examples.places)
        if EMBEDDING in self.parts and answers:
            stores[_PASSAGES] = self._passages(answers, keys, examples.places)
        if WRITING in self.parts:
            pairs = zip(examples.texts, instructions, strict=True)
            prompts = [filled(self.writing_template, text, instruction) for text, instruction in pairs]
            stores[_PROMPTS] = self._encode(prompts, self.settings.max_length)
        if WRITING in self.parts and answers:
            stores[_ANSWERS] = answer_tokens(answers.texts, self.tokenizer, self.answer_tokens)
        marked = {EMBEDDING: answers and answers.embeds, WRITING: answers and answers.writes}
        uses = {part: np.ones(count, dtype=bool) if marked[part] is None else marked[part] for part in PARTS}
        widths = {}
        if self.settings.padding == "max_length":
            widths = dict.fromkeys(stores, self.settings.max_length) | {_ANSWERS: self.answer_tokens}
        instructed = bool(answers and answers.passage_instructions)
        return PreparedPairs(stores, keys, uses, self.tokenizer.pad_token_id, instructed, widths)  # type: ignore[arg-type]

    def used_tokens(self, splits: Iterable[Prepared]) -> np.ndarray:
        """Return [U] int64, the token ids that occur in any split, and the special ones."""
        stores = [store for one in splits if isinstance(one, PreparedPairs) for store in one.stores.values()]
        return used_tokens(stores, len(self.tokenizer), self.tokenizer.all_special_ids)

    def _encode(self, texts: list[str], max_length: int, prefixes: list[int] | None = None) -> TokenStore:
        return encode(texts, None, self.tokenizer, max_length, prefixes)

    def _passages(self, answers: Answers, keys: np.ndarray, places: Sequence[object]) -> TokenStore:
        """Tokenize passages, "" for those not there, behind their instructions if any has one; fill in their keys."""
        size = keys.shape[1] - 1
        groups = [[text, *others][:size] for text, others in zip(answers.texts, answers.negatives, strict=True)]
        for row, texts in enumerate(groups):
            keys[row, 1 : 1 + len(texts)] = [_key(text) for text in texts]
        flat = [text for texts in groups for text in texts + [""] * (size - len(texts))]
        if answers.passage_instructions is None:
            return self._encode(flat, self.settings.max_length)
        said = [text for texts in answers.passage_instructions for text in (texts + [""] * size)[:size]]
        return self._instructed(flat, said, [place for place in places for _ in range(size)])

    def _instructed(self, texts: list[str], instructions: Sequence[str], places: Sequence[object]) -> TokenStore:
        """Tokenize texts behind their instructions; one whose instruction leaves no room for its text is an error."""
        pairs = list(zip(texts, instructions, strict=True))
        whole = [filled(self.embedding_template, text, instruction) for text, instruction in pairs]
        prefixes = [len(one) - len(text) for one, (text, _) in zip(whole, pairs, strict=True)]
        store = self._encode(whole, self.settings.max_length, prefixes)
        lead, _ = marks_of_texts(self.tokenizer)
        room = store.lengths - store.second_starts - (self.tokenizer.num_special_tokens_to_add() - lead)
        is_full = (room <= 0) & np.asarray(list(map(bool, texts)))
        if is_full.any():
            row = int(np.flatnonzero(is_full)[0])
            longer = 2 * self.settings.max_length
            more = f"set data.max_length={longer}, or " if longer <= self.most_tokens else ""
            raise UserError(
                f"{places[row] if places else f'row {row + 1}'}, instruction",
                found=f"{store.second_starts[row]} tokens, which leave no room for the text",
                expected=f"fewer than data.max_length={self.settings.max_length}",
                fix=f"{more}shorten the instruction",
            )
        return store


def _pooled(mask: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return a mask [B, T] without the first tokens of each row."""
    return np.where(np.arange(mask.shape[1]) >= starts[:, None], mask, 0)


def _named(use: str, ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{use}_ids": ids, f"{use}_mask": mask}


def filled(template: str, text: str, instruction: str) -> str:
    """Return a template with instruction and text; one that has nothing but blanks before the text leaves them out."""
    before, _, after = template.partition(_TEXT)
    before = before.replace(_INSTRUCTION, instruction)
    return (before if before.strip() else "") + text + after


def answer_tokens(texts: list[str], tokenizer: Any, most: int) -> TokenStore:
    """Tokenize answers: without the mark of a beginning, with one end, unless an answer was cut before its end.

    Args:
        texts: [N] the answers.
        tokenizer: The tokenizer.
        most: Most tokens of an answer.
    """
    lead, end = marks_of_texts(tokenizer)
    store = encode(texts, None, tokenizer, most + tokenizer.num_special_tokens_to_add())  # which it keeps when it cuts
    rows = [store.row(index)[lead:] for index in range(len(texts))]
    ended = [(row if end in row[-1:] else np.append(row, end))[:most] for row in rows]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in ended])])
    return replace(store, input_ids=np.concatenate(ended).astype(np.int32), offsets=offsets)


def marks_of_texts(tokenizer: Any) -> tuple[int, int]:
    """Return the number of special tokens before a text, and the id of the token that ends one.

    Raises:
        UserError: The tokenizer has no token for the end of a text.
    """
    ids, special = tokenizer("a")["input_ids"], set(tokenizer.all_special_ids)
    lead = next(index for index, one in enumerate(ids) if one not in special)
    end = ids[-1] if ids[-1] in special else tokenizer.eos_token_id
    if end is None:
        found, fix = "a tokenizer without an end of texts", "set model=gritlm_minilm"
        raise UserError("model.pretrained", found=found, expected="an eos_token or sep_token", fix=fix)
    return lead, end


def _check(preparation: PairPreparation, pretrained: Reading) -> None:
    if not preparation.parts or set(preparation.parts) - set(PARTS):
        found, fix = str(list(preparation.parts)), f"set model.preparation.parts=[{','.join(PARTS)}]"
        raise UserError("model.preparation.parts", found=found, expected=f"some of {', '.join(PARTS)}", fix=fix)
    for key in ("embedding_template", "writing_template"):
        template = getattr(preparation, key)
        if template.count(_TEXT) != 1 or (key == "embedding_template" and not template.endswith(_TEXT)):
            expected = f"one {_TEXT}" + (", at the end" if key == "embedding_template" else "")
            fix = f"set 'model.preparation.{key}=\"{_INSTRUCTION} {_TEXT}\"'"
            raise UserError(f"model.preparation.{key}", found=template, expected=expected, fix=fix)
    for key, least in (("answer_tokens", 1), ("num_negatives", 0)):
        if (value := getattr(preparation, key)) < least:
            where, expected = f"model.preparation.{key}", f"at least {least}"
            raise UserError(where, found=str(value), expected=expected, fix=f"set {where}={least}")
    longest = preparation.settings.max_length + preparation.answer_tokens
    if WRITING in preparation.parts and longest > pretrained.longest_input:
        most = pretrained.longest_input - preparation.answer_tokens
        fix = f"set model.preparation.answer_tokens={pretrained.longest_input // 2}"
        raise UserError(
            "data.max_length, model.preparation.answer_tokens",
            found=f"{preparation.settings.max_length} and {preparation.answer_tokens}",
            expected=f"together at most {pretrained.longest_input}, the positions of the model",
            fix=f"set data.max_length={most}" if most >= _LEAST_ROOM else fix,
        )


def _key(text: str) -> int:
    """Return a number of 63 bits that is equal for equal texts."""
    digest = hashlib.blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
