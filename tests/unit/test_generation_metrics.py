"""Generated texts are scored exactly, also over several processes, whatever the batches."""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torchmetrics.text import BLEUScore, CHRFScore

from lit_humor.metrics import ngrams
from lit_humor.metrics import text_scores as scores
from lit_humor.metrics.generated_texts import measure_texts, perplexity_of, row_of
from lit_humor.metrics.generation import GenerationMetrics

SLICES = {"language": ["en", "es"], "genre": ["pun"]}
PAD = 0
ROWS = [  # prompt, answer, text, nll, tokens, language
    ("tell me a joke", "a cat is on the mat, she said", "the cat is on the mat she said", 3.5, 8, 0),
    ("say it: good day", "no", "unknown", 0.25, 2, 1),
    ("is this funny?", "Not funny.", "not  funny", 1.0, 3, 0),
    ("say it: good day", "good day to you all my friends", "Good day!", 7.125, 7, -1),
    ("go on", "and they all lived", "", 2.0, 5, 1),
    ("go on", "why did the hen cross the road", "why did the hen cross the road", 0.1, 8, 1),
    ("go on", "so it was", "a cat. a cat.", 4.0, 4, 0),
    ("笑い話を", "これは猫です", "これは犬です", 0.75, 6, -1),
]


def _ids(texts: Sequence[str]) -> torch.Tensor:
    """Characters as ids, padded at the end."""
    width = max((len(text) for text in texts), default=0) + 1
    return torch.tensor([[ord(c) for c in text] + [PAD] * (width - len(text)) for text in texts])


def _decode(ids: torch.Tensor) -> list[str]:
    return ["".join(chr(i) for i in row if i != PAD) for row in ids.tolist()]


def _update(
    metrics: GenerationMetrics, rows: Sequence[tuple[Any, ...]], padding: int = 0, generated: bool = True
) -> None:
    prompts, answers, texts, nll, tokens, languages = zip(*rows, *[ROWS[0]] * padding, strict=True)
    outputs = {"nll": torch.tensor(nll), "answer_tokens": torch.tensor(tokens)}
    if generated:
        outputs["generated_ids"] = _ids(texts)
    batch = {
        "prompt_ids": _ids(prompts),
        "answer_ids": _ids(answers),
        "slices": torch.tensor([[language, 0] for language in languages]),
    }
    metrics.update(outputs, batch, torch.arange(len(prompts)) < len(rows))


def _measured(rows: Sequence[tuple[Any, ...]], size: int, padding: int = 0) -> dict[str, Any]:
    metrics = GenerationMetrics(SLICES, _decode)
    for start in range(0, len(rows), size):
        _update(metrics, rows[start : start + size], padding)
    return metrics.compute()


def _saved(rows: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    prompts, answers, texts, nll, tokens, _ = zip(*rows, strict=True)
    single = torch.tensor(nll).tolist()  # as kept: float32
    return measure_texts(prompts, answers, texts, single, tokens)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        *[("no", "unknown"), ("not funny", "funny"), ("1", "10"), ("yes or no", "no"), ("", "x"), ("", ""), ("x", "")],
        *[("...", "..."), ("1.5", "15"), ("-5", "5"), ("no", "no no"), ("10-20", "1020"), ("x²", "x2"), ("si", "sí")],
    ],
)
def test_nothing_alike_is_an_exact_match(answer: str, text: str) -> None:
    assert not scores.exact_match(answer, text)
    assert not scores.exact_match(text, answer)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        *[("No", " no. "), ("don't", "DON’T"), ("¿Sí?", "si\u0301"), ("Straße", "STRASSE"), ("a  b", "a\nb")],
        *[("(-5)", "-5."), ("1.5", "1.5!"), ("gpt-4", "GPT 4"), ("「はい」", "はい。")],
    ],
)
def test_case_punctuation_and_blanks_make_no_other_text(answer: str, text: str) -> None:
    assert scores.exact_match(answer, text)
    assert scores.key_of(answer) == scores.key_of(text)
    assert scores.normalized(scores.normalized(text)) == scores.normalized(text)


def test_words_are_counted_as_often_as_both_have_them() -> None:
    assert scores.token_f1("a cat sat", "The cat; a CAT") == pytest.approx(2 * 2 / 7)
    assert scores.token_f1("a a b", "a a a a") == pytest.approx(2 * 2 / 7)
    assert scores.token_f1("這是貓", "這是狗。") == pytest.approx(2 * 2 / 6)
    assert scores.token_f1("これは猫", "猫") == pytest.approx(2 / 5)
    assert scores.token_f1("no", "unknown") == scores.token_f1("", "") == scores.token_f1("no", "") == 0


def test_a_copy_consists_of_whole_words_in_their_order() -> None:
    assert scores.is_copied("Say it: Good day!", "good DAY")
    assert scores.is_copied("これは猫です", "猫")
    for text in ("", "...", "day good", "goo", "say good"):
        assert not scores.is_copied("Say it: Good day!", text), text
    assert not scores.is_copied("is it unknown?", "no")


def test_shares_of_different_texts_and_pairs() -> None:
    assert scores.distinct_share(["Ha!", "ha", "ho", "ho ho"]) == 3 / 4
    assert scores.distinct_2(["a b a b", "b a"]) == 2 / 4
    assert scores.distinct_2(["a", ""]) is None
    assert scores.is_empty(" \n")
    assert not scores.is_empty(".")
    with pytest.raises(ValueError, match="No texts"):
        scores.distinct_share([])


def _counted(pairs: Sequence[tuple[str, str]]) -> list[int]:
    return [sum(column) for column in zip(*(ngrams.counts_of(*pair) for pair in pairs), strict=True)]


def test_ngrams_equal_torchmetrics_where_each_text_shares_something() -> None:
    pairs = [row[1:3] for row in ROWS if row[2]]
    answers, texts = zip(*pairs, strict=True)
    chrf, bleu = CHRFScore(), BLEUScore()
    chrf.update(texts, [[answer] for answer in answers])
    bleu.update(texts, [[answer] for answer in answers])
    assert ngrams.chrf_of(_counted(pairs)) == pytest.approx(chrf.compute().item(), abs=1e-6)
    assert ngrams.bleu_of(_counted(pairs)) == pytest.approx(bleu.compute().item(), abs=1e-6) != 0


def test_empty_texts_lower_chrf_and_short_answers_can_be_right() -> None:
    """Other than in torchmetrics 1.9, which gives 1 for the first."""
    answer = "why did the hen cross the road"
    assert ngrams.chrf_of(_counted([(answer, answer), (answer, "")])) == pytest.approx(5 / (4 * 2 + 1))
    assert ngrams.chrf_of(_counted([("no", "no")])) == ngrams.chrf_of(_counted([(answer, answer)])) == 1
    assert ngrams.chrf_of(_counted([("", "")])) == ngrams.chrf_of(_counted([("ab", "")])) == 0
    assert ngrams.bleu_of(_counted([("", "")])) == ngrams.bleu_of(_counted([("no", "no")])) == 0


def test_numbers_of_a_split_by_hand() -> None:
    found = _measured(ROWS, 8)
    assert found["rows"] == 8
    assert found["perplexity"] == pytest.approx(math.exp(18.725 / 43))
    assert found["exact_match"] == 2 / 8
    f1 = [2 * 7 / 16, 0, 1, 2 * 2 / 9, 0, 1, 0, 2 * 5 / 12]
    assert found["token_f1"] == pytest.approx(sum(f1) / 8)
    assert (found["empty"], found["copied"], found["distinct"]) == (1 / 8, 1 / 8, 1)
    pairs = [row[1:3] for row in ROWS]
    assert found["chrf"] == ngrams.chrf_of(_counted(pairs)) > 0
    assert found["bleu"] == ngrams.bleu_of(_counted(pairs)) > 0
    english, spanish = found["slices"]["language"]["en"], found["slices"]["language"]["es"]
    assert english == {
        "rows": 3,
        "perplexity": pytest.approx(math.exp(8.5 / 15)),
        "exact_match": pytest.approx(1 / 3),
        "token_f1": pytest.approx((7 / 8 + 1) / 3),
    }
    assert spanish["rows"] == 3
    assert found["slices"]["genre"]["pun"]["rows"] == 8


@pytest.mark.parametrize("size", [1, 3, 5])
def test_batches_and_padding_rows_change_nothing(size: int) -> None:
    whole = _measured(ROWS * 3, 24)
    assert _measured(ROWS * 3, size, padding=2) == whole
    assert _measured([*reversed(ROWS * 3)], size) == whole
    assert whole["distinct"] == 1 / 3
    assert {**whole, "slices": {}} == _saved(ROWS * 3)


def test_without_generated_texts_there_is_perplexity_alone() -> None:
    metrics = GenerationMetrics({}, _decode)
    _update(metrics, [], padding=2)
    assert metrics.compute() == {"rows": 0, "perplexity": None, "slices": {}}
    metrics.reset()
    metrics.slice_values = {"language": ["en", "es"], "genre": ["pun"]}
    _update(metrics, ROWS, generated=False)
    found = metrics.compute()
    assert found.keys() == {"rows", "perplexity", "slices"}
    assert found["slices"]["genre"] == {"pun": {"rows": 8, "perplexity": found["perplexity"]}}
    _update(metrics, ROWS[:2])
    assert metrics.compute()["token_f1"] == pytest.approx(7 / 16), "over the rows with texts"
    metrics.reset()
    assert metrics.compute()["rows"] == 0


def test_texts_without_answers_are_described() -> None:
    metrics = GenerationMetrics({}, _decode)
    batch = {"prompt_ids": _ids(["go on", "go on"]), "slices": torch.zeros(2, 0, dtype=torch.long)}
    metrics.update({"generated_ids": _ids(["", "go"])}, batch, torch.tensor([True, True]))
    expected = {"rows": 2, "perplexity": None, "empty": 0.5, "copied": 0.5, "distinct": 1, "slices": {}}
    assert metrics.compute() == expected
    assert measure_texts(["go on"] * 2, [None] * 2, ["", "go"], [0.0] * 2, [0] * 2) == expected


def test_reset_forgets_the_texts() -> None:
    metrics = GenerationMetrics(SLICES, _decode)
    _update(metrics, ROWS[:4])
    metrics.reset()
    _update(metrics, ROWS[4:])
    assert metrics.compute() == _measured(ROWS[4:], 4)


def test_rows_without_words_count() -> None:
    assert _measured([*ROWS[2:3], ("a", "...", "", 0.0, 1, 0)], 2)["token_f1"] == 0.5


def test_order_does_not_change_a_bit_of_perplexity() -> None:
    nll = [2.0**53, *[1.0] * 64]
    rows = [row_of("", None, None, tokens) for tokens in (2**50, *[1] * 64)]
    assert perplexity_of(rows, nll) == perplexity_of(rows[::-1], nll[::-1])


def test_perplexity_is_a_finite_number() -> None:
    row = ("a", "b", "c")
    assert _measured([(*row, 1e6, 1, 0)], 1)["perplexity"] == sys.float_info.max
    assert math.isnan(_measured([(*row, math.nan, 1, 0)], 1)["perplexity"])


def _measure_a_share(rank: int, folder: Path, shares: list[slice]) -> None:
    store = torch.distributed.FileStore(str(folder / "store"), len(shares))
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=len(shares))
    found = _measured(ROWS[shares[rank]], 2, padding=1)
    (folder / f"{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("shares", [[slice(0, 5), slice(5, 8)], [slice(0, 0), slice(0, 8)], [slice(0, 1), slice(1, 1)]])
def test_two_processes_count_every_row_once(tmp_path: Path, shares: list[slice]) -> None:
    """Also where one of them is dealt no rows."""
    torch.multiprocessing.start_processes(_measure_a_share, (tmp_path, shares), nprocs=2, start_method="fork")
    expected = _measured([row for share in shares for row in ROWS[share]], 8)
    for rank in range(2):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == expected
