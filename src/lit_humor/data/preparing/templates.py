"""Writes a question, with its picture and answer, in the chat template of a tokenizer.

What is the question and what the answer in the result is found by what the template puts around a trial, so that
nothing here knows the words or tokens of a model.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from lit_humor.core.errors import UserError, one_line, shorten

_QUESTION, _ANSWER = "a question of trial", "an answer of trial"
_ANOTHER = "leave model.pretrained away and set model=qwen3_vl_tiny"


class Frame(NamedTuple):
    """What a template puts around a question and its answer.

    Attributes:
        before: Before the question, with the place of the picture, if any.
        after: Behind the question, up to the beginning of the answer.
        behind: Behind the answer.
    """

    before: str
    after: str
    behind: str


class ChatTemplate:
    """The chat template of a tokenizer.

    Args:
        tokenizer: The tokenizer.
        picture_id: Id of the token that stands for a picture.

    Attributes:
        end: Id of the token that ends an answer.

    Raises:
        UserError: The tokenizer has no template, or one in which question, picture and answer are not found.
    """

    def __init__(self, tokenizer: Any, picture_id: int) -> None:
        self.tokenizer = tokenizer
        special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        self._special = re.compile("|".join(map(re.escape, special)) or r"(?!)")
        if not tokenizer.chat_template:
            raise _unusable("a tokenizer without a chat template")
        self.frames = {has_picture: self._frame(has_picture, picture_id) for has_picture in (False, True)}
        ends = {number for frame in self.frames.values() for number in self._ids(frame.behind)[:1]}
        if len(ends) != 1 or not ends <= set(tokenizer.all_special_ids):
            raise _unusable("a chat template without a token that ends an answer")
        (self.end,) = ends
        if self.end != tokenizer.eos_token_id:
            found = f"answers that end with {tokenizer.convert_ids_to_tokens(self.end)}, and another eos_token"
            raise _unusable(found)

    def prompt(self, question: str, has_picture: bool, place: object) -> str:
        """Return what stands before the answer; it is ``before``, question and ``after`` of the frame.

        Args:
            question: A text.
            has_picture: Whether a picture stands before it.
            place: Place of the row, for messages.

        Raises:
            UserError: The question has a token of the template in it, or is changed by the template.
        """
        self._refuse_special(question, place)
        frame = self.frames[has_picture]
        return self._checked(frame.before + question + frame.after, [_asked(question, has_picture)], place)

    def check_answer(self, question: str, answer: str, has_picture: bool, place: object) -> None:
        """Check that the template leaves an answer as it is, between the prompt and the end; errors as ``prompt``."""
        self._refuse_special(answer, place)
        frame = self.frames[has_picture]
        whole = frame.before + question + frame.after + answer + frame.behind
        self._checked(whole, [_asked(question, has_picture), _said(answer)], place)

    def _frame(self, has_picture: bool, picture_id: int) -> Frame:
        """Find what stands around a question and an answer."""
        asked = _asked(_QUESTION, has_picture)
        try:
            prompt, whole = self._rendered([asked]), self._rendered([asked, _said(_ANSWER)])
        except Exception as error:  # templates raise what they like
            raise _unusable(f"a chat template that fails ({one_line(error)})") from None
        before, question, after = prompt.partition(_QUESTION)
        if not question or not whole.startswith(prompt + _ANSWER):
            raise _unusable("a chat template in which question and answer are not found")
        if self._ids(prompt).count(picture_id) != has_picture:
            raise _unusable("a chat template without one place for a picture")
        return Frame(before, after, whole[len(prompt + _ANSWER) :])

    def _rendered(self, turns: list[dict[str, Any]]) -> str:
        asks = turns[-1]["role"] == "user"
        text: str = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=asks)
        return text

    def _checked(self, expected: str, turns: list[dict[str, Any]], place: object) -> str:
        if self._rendered(turns) != expected:
            raise UserError(
                f"{place}, chat template",
                found=f"{shorten(str(turns[-1]['content'][-1]['text']))}, which the template changes",
                expected="question and answer as they are in the data",
                fix="delete the row, or set model.pretrained=<a model whose chat template changes no text>",
            )
        return expected

    def _refuse_special(self, text: str, place: object) -> None:
        if (match := self._special.search(text)) is not None:
            expected, fix = "words; this is a token of the chat template", "delete it from the text, or the row"
            raise UserError(f"{place}", found=f"'{match[0]}' in {shorten(text)}", expected=expected, fix=fix)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def _asked(question: str, has_picture: bool) -> dict[str, Any]:
    pictures = [{"type": "image"}] if has_picture else []
    return {"role": "user", "content": [*pictures, {"type": "text", "text": question}]}


def _said(answer: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": answer}]}


def _unusable(found: str) -> UserError:
    expected = "a chat template that asks a question about a picture, and ends the answer with the eos_token"
    return UserError("model.pretrained", found=found, expected=expected, fix=_ANOTHER)
