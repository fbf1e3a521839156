"""Rows to embed and to write as token ids: what is instruction, what is cut, what is equal, what is refused."""

import hashlib
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_humor.core.errors import UserError
from lit_humor.data.examples import Examples
from lit_humor.data.preparing.pairs import NO_TEXT, PreparedPairs, filled
from lit_humor.models.pretrained import Pretrained
from tests.unit.pairing import make_models, make_network, make_pairs, make_preparation, prepare

END, PAD = 2, 1


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_models(tmp_path_factory.mktemp("models"))["Qwen3"]


def _rows() -> Examples:
    return make_pairs(
        ["the cat", "a dog and a train", "tea"],
        ["is a book", "the end", "is a book"],
        [["no", "nor this"], [], [" the cat "]],
        ["", "Find the end.", "Find"],
    )


def _every(prepared: PreparedPairs) -> dict[str, torch.Tensor]:
    return prepared.collate(np.arange(len(prepared.keys)))


def _pooled_text(model: str, template: str, text: str, instruction: str) -> tuple[str, list[bool]]:
    """What is part of the mean, decoded, and which tokens are."""
    tokenizer = Pretrained(model).tokenizer
    rows = make_pairs([text], ["the end"], instructions=[instruction])
    batch = _every(prepare(model, rows, embedding_template=template, parts=["embedding"]))
    pooled = batch["query_pooled"][0].bool()
    return str(tokenizer.decode(batch["query_ids"][0][pooled])), pooled.tolist()


@pytest.mark.parametrize(
    "template", ["{instruction} {text}", "{instruction}\n{text}", "Do: {instruction} Text: {text}"]
)
def test_tokens_that_end_behind_the_instruction_are_in_the_mean(model: str, template: str) -> None:
    tokenizer = Pretrained(model).tokenizer
    whole = filled(template, "the cat and the dog", "Find the end.")
    length = len(whole) - len("the cat and the dog")
    encoded = tokenizer(whole, return_offsets_mapping=True)
    expected = [end > length or index == len(encoded["input_ids"]) - 1 for index, (_, end) in
                enumerate(encoded["offset_mapping"])]  # fmt: skip
    found, pooled = _pooled_text(model, template, "the cat and the dog", "Find the end.")
    assert pooled == expected
    assert found == "the cat and the dog</s>"


def test_a_boundary_that_merges_is_found_in_the_whole(model: str) -> None:
    """The instruction alone has other tokens: "th" and the text "e cat" are one word."""
    tokenizer = Pretrained(model).tokenizer
    template, instruction, text = "{instruction}{text}", "we find th", "e cat"
    alone, whole = (tokenizer(one)["input_ids"][:-1] for one in (instruction, instruction + text))
    assert whole[: len(alone)] != alone, "otherwise this tests nothing"
    found, pooled = _pooled_text(model, template, text, instruction)
    assert found.startswith("the cat"), "the token that has a part of the text is of the text"
    assert pooled.index(True) == len(tokenizer("we find")["input_ids"]) - 1


def test_an_instruction_has_no_weight_of_its_own(model: str) -> None:
    network = make_network(model)
    rows = make_pairs(["the cat"] * 3, ["x"] * 3, instructions=["", "Find a dog", "Find a tea"])
    batch = _every(prepare(model, rows, parts=["embedding"]))
    ids, mask, pooled = (batch[f"query_{name}"] for name in ("ids", "mask", "pooled"))
    assert pooled.sum(dim=1).tolist()[1:] == [pooled[0].sum() - 1] * 2  # without one the beginning counts, too
    with torch.no_grad():
        hidden, vectors = network._hidden(ids, mask, causal=False), network.embed(ids, mask, pooled)
        means = torch.stack([one[where.bool()].mean(dim=0) for one, where in zip(hidden, pooled, strict=True)])
        first, second = (
            network.embed(ids[row : row + 1], pooled[row : row + 1], pooled[row : row + 1]) for row in (1, 2)
        )
    assert torch.allclose(vectors, torch.nn.functional.normalize(means, dim=-1), atol=1e-6)
    assert (vectors[1] - vectors[2]).abs().max() > 1e-3, "through attention"
    assert torch.allclose(first, second, atol=1e-6), "without attention to it there is no difference"


def test_templates_are_filled() -> None:
    assert filled("{instruction} {text}", "t", "") == "t"
    assert filled("{instruction} {text}", "t", "i") == "i t"
    assert filled("{instruction}\n{text}\nEnd:", "t", "") == "t\nEnd:"
    assert filled("Say: {instruction} {text}", "t", "") == "Say:  t"
    assert filled("{instruction} {text}", "a {text}", "b {instruction}") == "b {instruction} a {text}"


def test_an_instruction_of_its_own_goes_before_that_of_all(model: str) -> None:
    tokenizer = Pretrained(model).tokenizer
    batch = _every(prepare(model, _rows(), instruction="Say", writing_template="{instruction} {text} and"))
    for kind, behind in (("prompt", " and"), ("query", "")):
        decoded = tokenizer.batch_decode(batch[f"{kind}_ids"], skip_special_tokens=True)
        assert decoded == [f"Say the cat{behind}", f"Find the end. a dog and a train{behind}", f"Find tea{behind}"]


@pytest.mark.parametrize("words", [3, 4, 5, 20])
def test_an_instruction_without_room_for_the_text_is_refused(model: str, words: int) -> None:
    """The row is named; the remedy works."""
    rows = make_pairs(["cat", "cat"], ["x", "x"], instructions=["", " ".join(["tea"] * words)])
    length = len(Pretrained(model).tokenizer(" ".join(["tea"] * words))["input_ids"]) - 2
    for max_length in (length + 1, length + 2):  # with <s>, with <s> and </s>
        with pytest.raises(UserError, match=r"made in the test, line 2, instruction: found \d+ tokens") as error:
            prepare(model, rows, max_length)
        assert f"data.max_length={2 * max_length}" in error.value.fix
    assert _every(prepare(model, rows, length + 3))["query_pooled"].sum(dim=1).tolist()[1] >= 2
    prepare(model, rows, 2 * (length + 2))


def test_answers_end_once_unless_they_were_cut(model: str) -> None:
    tokenizer = Pretrained(model).tokenizer
    texts = ["the cat", " ".join(["book"] * 30), "tea"]
    batch = _every(prepare(model, make_pairs(["a", "b", "c"], texts), answer_tokens=6))
    for row, text in enumerate(texts):
        whole = tokenizer(text, add_special_tokens=False)["input_ids"]
        expected = [*whole, END] if len(whole) < 6 else whole[:6]
        length = int(batch["answer_mask"][row].sum())
        assert batch["answer_ids"][row, :length].tolist() == expected
        assert (batch["answer_ids"][row, length:] == PAD).all()
        assert batch["answer_mask"][row].tolist() == [1] * length + [0] * (6 - length)


def test_an_answer_that_just_fits_has_its_end(model: str) -> None:
    size = len(Pretrained(model).tokenizer("the cat", add_special_tokens=False)["input_ids"])
    for most, ends in ((size, 0), (size + 1, 1), (size + 2, 1)):
        store = prepare(model, make_pairs(["a"], ["the cat"]), answer_tokens=most).stores["answers"]
        assert (store.row(0).tolist().count(END), len(store.row(0))) == (ends, size + ends)


def test_prompts_stand_at_the_right_and_texts_at_the_left(model: str) -> None:
    batch = _every(prepare(model, _rows()))
    for name, column in (("prompt", -1), ("query", 0), ("answer", 0)):
        ids, mask = batch[f"{name}_ids"], batch[f"{name}_mask"]
        assert mask[:, column].all()
        assert not mask[:, -1 - column].all()
        assert (ids[mask == 0] == PAD).all()
        assert (mask.diff(dim=1) >= 0).all() if column else (mask.diff(dim=1) <= 0).all()
    assert batch["passage_ids"].shape[:2] == (3, 2)


def test_texts_are_padded_to_the_longest_allowed_where_that_is_set(model: str) -> None:
    preparation = make_preparation(model)
    preparation.settings = replace(preparation.settings, padding="max_length")
    batch, short = _every(preparation.prepare(_rows(), None)), _every(prepare(model, _rows()))
    assert {batch[f"{name}_ids"].shape[-1] for name in ("query", "passage", "prompt")} == {24}
    assert batch["answer_ids"].shape[-1] == 8
    assert all(batch[f"{name}_mask"].sum() == short[f"{name}_mask"].sum() for name in ("query", "passage", "answer"))


def test_equal_texts_have_equal_keys(model: str) -> None:
    keys = _every(prepare(model, _rows(), num_negatives=2))["text_keys"]
    assert keys.shape == (3, 4)
    assert keys[0, 1] == keys[2, 1], "equal answers"
    assert keys[2, 2] == keys[0, 0], "up to blanks around it"
    assert (keys == NO_TEXT).tolist() == [[False] * 4, [False, False, True, True], [False, False, False, True]]
    there = keys[keys != NO_TEXT]
    assert (there >= 0).all()
    assert len(there.unique()) == len(there) - 2
    assert prepare(model, _rows(), num_negatives=0).keys.shape == (3, 2)


def test_lengths_are_the_sum_of_the_tokens(model: str) -> None:
    prepared = prepare(model, _rows(), num_negatives=2)
    batch = _every(prepared)
    masks = [batch[f"{name}_mask"].flatten(1).sum(dim=1) for name in ("query", "passage", "prompt", "answer")]
    assert prepared.lengths.tolist() == sum(masks).tolist()  # type: ignore[union-attr]
    assert prepared.num_truncated == 0
    assert prepare(model, _rows(), 5, num_negatives=2, answer_tokens=3, parts=["writing"]).num_truncated > 1


def test_only_rows_that_write_count_in_the_mean_length(model: str) -> None:
    rows = make_pairs(["a"] * 3, ["tea", "the cat and the dog", "sun"], writes=[True, False, True], embeds=[False] * 3)
    prepared = prepare(model, rows, answer_tokens=20)
    lengths = prepared.stores["answers"].lengths
    assert prepared.mean_target_tokens == (lengths[0] + lengths[2]) / 2 != lengths.mean()
    batch = _every(prepared)
    assert batch["writing_weights"].tolist() == [1, 0, 1]
    assert batch["embedding_weights"].tolist() == [0, 0, 0]
    assert prepare(model, rows, parts=["embedding"]).mean_target_tokens is None


def test_rows_without_answers_have_queries_and_prompts(model: str) -> None:
    batch = _every(prepare(model, Examples.unlabelled(["the cat", "tea"])))
    kinds = {name.partition("_")[0] for name in batch}
    assert kinds == {"query", "prompt", "text", "embedding", "writing"}
    assert (batch["text_keys"][:, 1:] == NO_TEXT).all()


@pytest.mark.parametrize(("part", "others"), [("embedding", ("prompt", "answer")), ("writing", ("query", "passage"))])
def test_one_part_alone_has_no_tensors_of_the_other(model: str, part: str, others: tuple[str, ...]) -> None:
    whole, one = _every(prepare(model, _rows())), _every(prepare(model, _rows(), parts=[part]))
    assert not [name for name in one if name.startswith(others)]
    assert all(torch.equal(value, whole[name]) for name, value in one.items())


def _digest(prepared: PreparedPairs) -> str:
    digest = hashlib.sha256()
    prepared.update_digest(digest)
    return digest.hexdigest()


def test_it_is_sent_to_loader_processes_whole(model: str) -> None:
    prepared = prepare(model, _rows())
    sent = pickle.loads(pickle.dumps(prepared))
    assert _digest(sent) == _digest(prepared)
    first, second = _every(prepared), _every(sent)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    picked = prepared.collate(np.asarray([2, 0]))
    assert picked["text_keys"].tolist() == first["text_keys"][[2, 0]].tolist()
    assert picked["passage_ids"][0, 0, :3].tolist() == first["passage_ids"][2, 0, :3].tolist()


CHANGES: dict[str, dict[str, Any]] = {
    "text": {"texts": ["the cat", "a dog and a train", "sun"]},
    "answer": {"answers": ["is a book", "the sun", "is a book"]},
    "negative": {"negatives": [["no", "nor this"], ["sun"], [" the cat "]]},
    "instruction": {"instructions": ["", "Find the end.", "Look"]},
    "embeds": {"embeds": [True, True, False]},
    "writes": {"writes": [True, False, True]},
    "equal tokens of unequal texts": {"answers": ["is a book", "the end", "\uff49s a book"]},
}


@pytest.mark.parametrize("name", CHANGES)
def test_everything_that_is_read_is_part_of_the_fingerprint(model: str, name: str) -> None:
    rows = _rows()
    assert rows.answers is not None
    columns: dict[str, Any] = {"texts": rows.texts, "answers": rows.answers.texts, "negatives": rows.answers.negatives,
               "instructions": rows.answers.instructions}  # fmt: skip
    same, other = (prepare(model, make_pairs(**(columns | change))) for change in ({}, CHANGES[name]))
    assert _digest(same) == _digest(prepare(model, rows))
    assert _digest(other) != _digest(same)


def test_tokens_in_use_are_those_of_all_texts(model: str) -> None:
    preparation = make_preparation(model)
    prepared = preparation.prepare(_rows(), None)
    batch = _every(prepared)
    ids = {int(one) for name, value in batch.items() if name.endswith("_ids") for one in value.flatten()}
    assert set(preparation.used_tokens([prepared]).tolist()) == ids | set(preparation.tokenizer.all_special_ids)


@pytest.mark.parametrize(
    ("options", "place", "remedy"),
    [
        ({"parts": []}, "model.preparation.parts", {"parts": ["embedding", "writing"]}),
        ({"parts": ["embed"]}, "model.preparation.parts", {"parts": ["embedding", "writing"]}),
        ({"embedding_template": "{text} {instruction}"}, "model.preparation.embedding_template", {}),
        ({"embedding_template": "{text}{text}"}, "model.preparation.embedding_template", {}),
        ({"writing_template": "{instruction}"}, "model.preparation.writing_template", {}),
        ({"answer_tokens": 500}, "data.max_length, model.preparation.answer_tokens", {}),
    ],
)
def test_settings_that_are_not_valid_are_refused(model: str, options: Any, place: str, remedy: Any) -> None:
    with pytest.raises(UserError) as error:
        make_preparation(model, **options)
    assert error.value.where == place
    if "answer_tokens" in options:
        most = int(error.value.fix.removeprefix("set data.max_length="))
        assert most == Pretrained(model).longest_input - 500
        make_preparation(model, most, **options)
        return
    key, value = place.rpartition(".")[2], "{instruction} {text}"
    expected = f"[{','.join(remedy[key])}]" if remedy else f'"{value}"'
    assert f"model.preparation.{key}={expected}" in error.value.fix
    make_preparation(model, **(options | (remedy or {key: value})))


def test_a_template_for_writing_may_end_otherwise(model: str) -> None:
    make_preparation(model, writing_template="{text}: {instruction}?")


def test_a_tokenizer_without_an_end_is_refused(model: str, tmp_path: Path) -> None:
    preparation = make_preparation(model)
    tokenizer = Pretrained(model).tokenizer
    tokenizer.eos_token = None
    tokenizer.sep_token = None
    tokenizer.backend_tokenizer.post_processor = None
    preparation.tokenizer = tokenizer
    with pytest.raises(UserError, match="a tokenizer without an end of texts"):
        preparation.prepare(_rows(), None)


def test_rows_without_places_are_named_by_number(model: str) -> None:
    rows = replace(make_pairs(["cat", "cat"], ["x", "x"], instructions=["", "tea " * 30]), places=[])
    with pytest.raises(UserError, match="row 2, instruction"):
        prepare(model, rows, 8)
