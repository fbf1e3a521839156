"""An exported folder, read by transformers alone, reads and writes as the model that was trained."""

from pathlib import Path

import pytest
import torch

from lit_humor.exporters.language_model import ExportedWriter, save_writer
from lit_humor.models.gritlm import GritLM
from lit_humor.models.pretrained import load_tokenizer
from tests.unit.pairing import BACKENDS, KINDS, make_models, make_network, padded

MOST, NEVER = 8, 3
TEXTS = ["the cat and the dog", "tea", "a train, a book and all of the rain"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_models(tmp_path_factory.mktemp("models"))


def _exported(network: GritLM, model: str, folder: Path, **options: int) -> ExportedWriter:
    tokenizer = load_tokenizer(model)
    save_writer(network, tokenizer, folder, max_length=24, max_tokens=MOST, end=NEVER, **options)
    return ExportedWriter(folder)


@pytest.mark.parametrize("attention", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_the_network(models: dict[str, str], kind: str, attention: str, tmp_path: Path) -> None:
    """Of encoders, too: transformers reads causally where the configuration says ``is_decoder``."""
    network = make_network(models[kind], attention)
    exported = _exported(network, models[kind], tmp_path / "out")
    rows = [torch.tensor(load_tokenizer(models[kind])(text)["input_ids"]) for text in TEXTS]
    found = exported.logits(rows)
    for row, logits in zip(rows, found, strict=True):
        with torch.no_grad():
            expected = network.read_on(row[None], torch.ones_like(row)[None], len(row) - 1)[0]
        assert (logits[: len(row) - 1] - expected).abs().max() < 1e-5
    changed = [torch.cat([row[:-1], row[-1:] + 1]) for row in rows]
    for row, one, other in zip(rows, found, exported.logits(changed), strict=True):
        assert torch.allclose(one[: len(row) - 1], other[: len(row) - 1], atol=1e-6), "no token sees a later one"
        assert not torch.allclose(one[len(row) - 1], other[len(row) - 1], atol=1e-3)


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_texts_are_written(models: dict[str, str], kind: str, num_beams: int, tmp_path: Path) -> None:
    """In a batch, whose prompts are padded."""
    network, tokenizer = make_network(models[kind]), load_tokenizer(models[kind])
    exported = _exported(network, models[kind], tmp_path / "out", num_beams=num_beams)
    ids, mask = padded([tokenizer(text)["input_ids"] for text in TEXTS], left=True)
    own = network.write({"prompt_ids": ids, "prompt_mask": mask}, MOST, NEVER, num_beams)
    expected = [text.strip() for text in tokenizer.batch_decode(own, skip_special_tokens=True)]
    assert exported.write(TEXTS) == expected
    assert len(set(expected)) == len(TEXTS), "otherwise any prompt would do"
    assert exported.first_position == (2 if kind == "XLM-R" else 0)


def test_a_long_prompt_is_cut_as_in_training(models: dict[str, str], tmp_path: Path) -> None:
    exported = _exported(make_network(models["Qwen3"]), models["Qwen3"], tmp_path / "out")
    assert exported.tokenizer("tea " * 100, truncation=True)["input_ids"][-1] == 2
    assert len(exported.tokenizer("tea " * 100, truncation=True)["input_ids"]) == 24
