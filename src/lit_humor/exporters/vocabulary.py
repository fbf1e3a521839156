"""Takes pieces out of an exported model's vocabulary that its data does not use. Legend: V pieces, K kept, D hidden."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tokenizers import Tokenizer
from torch import nn
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from lit_humor.core.errors import UserError
from lit_humor.models.encoder import TextClassifier

_KINDS = ("Unigram", "WordPiece")


def trim_vocabulary(
    model: TextClassifier, tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]
) -> PreTrainedTokenizerFast:
    """Keep the pieces of some texts, single characters and special tokens; change the model's word embeddings to them.

    These texts keep their pieces, and so their answers: the best of all segmentations (unigram), or the longest match
    (WordPiece), stays the best among fewer. Other words are cut into smaller pieces, down to characters.

    Source: Abdaoui et al. 2020, Load What You Need: Smaller Versions of Multilingual BERT. Cost: the texts are
    tokenized once. Alternatives: the whole vocabulary, for texts of other languages than these.

    Args:
        model: Its word embeddings [V, D] are replaced by [K, D].
        tokenizer: Its tokenizer, which stays as it is.
        texts: All texts whose answers must not change.

    Returns:
        The tokenizer with K pieces.

    Raises:
        UserError: The tokenizer is of another kind; the merges of byte pairs need pieces that no text has.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    if state["model"]["type"] not in _KINDS:
        found, expected = f"a tokenizer of kind {state['model']['type']}", f"one of {' or '.join(_KINDS)}"
        raise UserError("vocabulary=used", found=found, expected=expected, fix="set vocabulary=all")
    full = model.backbone.get_input_embeddings()
    assert isinstance(full, nn.Embedding)
    kept = [row for row in _kept(tokenizer, texts) if row < full.num_embeddings]
    table = nn.Embedding.from_pretrained(full.weight.detach()[kept], padding_idx=full.padding_idx)
    model.backbone.set_input_embeddings(table)
    model.config.vocab_size = len(kept)
    _renumber(state, {old: new for new, old in enumerate(kept)})
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        model_max_length=tokenizer.model_max_length,
        model_input_names=tokenizer.model_input_names,
        **tokenizer.special_tokens_map,
    )


def _kept(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> list[int]:
    """Return the ids to keep, ascending; all ids up to that of padding, which positions may be counted from."""
    kept = {*range(tokenizer.pad_token_id + 1), *tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    for text in texts:
        kept.update(tokenizer(text, truncation=False, verbose=False)["input_ids"])
    kept.update(
        index for piece, index in tokenizer.get_vocab().items() if len(piece.removeprefix("##").lstrip("▁")) < 2
    )
    return sorted(kept)


def _renumber(state: dict[str, Any], new: Mapping[int, int]) -> None:
    """Leave only the pieces in ``new`` in the JSON of a tokenizer, with their new ids."""
    model = state["model"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {piece: new[index] for piece, index in model["vocab"].items() if index in new}
    else:
        model["vocab"] = [model["vocab"][index] for index in new if index < len(model["vocab"])]
        model["unk_id"] = new[model["unk_id"]]
    for token in state["added_tokens"]:
        token["id"] = new[token["id"]]
    state["padding"] = state["truncation"] = None
    processor = state["post_processor"] or {}
    for one in processor.get("processors", [processor]):
        for token in one.get("special_tokens", {}).values():
            token["ids"] = [new[index] for index in token["ids"]]
        for name in {"sep", "cls"} & one.keys():
            one[name] = [one[name][0], new[one[name][1]]]
