"""What a model writes is what it would read: token by token, in batches, with beams, to the end."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from lit_humor.models.gritlm import GritLM
from tests.unit.pairing import BACKENDS, KINDS, make_models, make_network, padded

PROMPTS = ([0, 70, 71, 72, 73, 74, 75], [0, 80], [0, 90, 91], [0, 300, 20, 21])
MOST, NEVER = 8, 3  # tokens of an answer; an end that is not written


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_models(tmp_path_factory.mktemp("models"))


def _write(network: GritLM, prompts: Sequence[Sequence[int]], end: int = NEVER, num_beams: int = 1) -> Tensor:
    ids, mask = padded(prompts, left=True)
    return network.write({"prompt_ids": ids, "prompt_mask": mask}, MOST, end, num_beams)


@torch.no_grad()
def _log_likelihoods(network: GritLM, prompts: Sequence[Sequence[int]], written: Tensor) -> Tensor:
    """[B, U, V] of the next token, at each token of what was written, read at once."""
    ids, mask = padded(prompts, left=True)
    whole = torch.cat([ids, written], dim=1), torch.cat([mask, torch.ones_like(written)], dim=1)
    return network.read_on(*whole, written.shape[1]).log_softmax(dim=-1)


@torch.no_grad()
def _step_by_step(network: GritLM, prompt: Sequence[int]) -> list[int]:
    """The likeliest tokens, each by reading everything again."""
    ids = list(prompt)
    for _ in range(MOST):
        whole = torch.tensor([[*ids, 0]])
        ids.append(int(network.read_on(whole, torch.ones_like(whole), 1)[0, 0].argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("attention", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_likeliest_token_is_written_each_time(models: dict[str, str], kind: str, attention: str) -> None:
    """With a cache as without, and as in one pass over the whole; in a batch as alone."""
    network = make_network(models[kind], attention)
    written = _write(network, PROMPTS)
    assert written.shape == (len(PROMPTS), MOST)
    assert torch.equal(_log_likelihoods(network, PROMPTS, written).argmax(dim=-1), written)
    assert len(written.unique(dim=0)) == len(PROMPTS), "texts that differ"
    for prompt, row in zip(PROMPTS, written, strict=True):
        assert _step_by_step(network, prompt) == row.tolist()
        assert torch.equal(_write(network, [prompt])[0], row)


@pytest.mark.parametrize("kind", KINDS)
def test_behind_the_end_stands_the_end(models: dict[str, str], kind: str) -> None:
    network = make_network(models[kind])
    free = _write(network, PROMPTS)
    end = int(free[0, 2])
    written = _write(network, PROMPTS, end)
    assert written.shape == free.shape
    for row, other in zip(written.tolist(), free.tolist(), strict=True):
        length = other.index(end) if end in other else MOST
        assert row == other[:length] + [end] * (MOST - length)
    assert end in written[0]


@pytest.mark.parametrize("kind", KINDS)
def test_beams_end_as_well(models: dict[str, str], kind: str) -> None:
    network = make_network(models[kind])
    more = torch.zeros(network.config.vocab_size)
    network.lm.get_output_embeddings().register_forward_hook(lambda module, given, logits: logits + more)
    lengths = []
    for more[NEVER] in torch.arange(1.0, 6.0, 0.5):  # the end becomes likelier
        for row in _write(network, PROMPTS, num_beams=3).tolist():
            lengths.append(row.index(NEVER) if NEVER in row else MOST)
            assert row[lengths[-1] :] == [NEVER] * (MOST - lengths[-1])
    assert len(set(lengths)) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_ends_early_is_filled_up(models: dict[str, str], kind: str) -> None:
    """Where all rows of a batch have ended, transformers stops; the shape is that of any batch."""
    network = make_network(models[kind])
    first = int(_write(network, PROMPTS[:1])[0, 0])
    assert _write(network, PROMPTS[:1], first).tolist() == [[first] * MOST]


@torch.no_grad()
def _beams(network: GritLM, prompt: Sequence[int], most: int) -> tuple[float, list[int]]:
    """The likeliest of ``most`` beginnings that are kept, each read again as a whole."""
    kept: list[tuple[float, list[int]]] = [(0.0, [])]
    for _ in range(MOST):
        longer = []
        for total, ids in kept:
            whole = torch.tensor([[*prompt, *ids, 0]])
            likelihoods = network.read_on(whole, torch.ones_like(whole), 1)[0, 0].log_softmax(dim=-1)
            longer += [(total + float(value), [*ids, token]) for token, value in enumerate(likelihoods)]
        kept = sorted(longer, reverse=True)[:most]
    return kept[0]


@pytest.mark.parametrize("kind", KINDS)
def test_beams_keep_the_likeliest_beginnings(models: dict[str, str], kind: str) -> None:
    network = make_network(models[kind])
    totals = []
    for num_beams in (1, 3):
        written = _write(network, PROMPTS, num_beams=num_beams)
        likelihoods = _log_likelihoods(network, PROMPTS, written)
        totals.append(likelihoods.gather(2, written[..., None]).sum(dim=(1, 2)))
        for prompt, row, total in zip(PROMPTS, written.tolist(), totals[-1].tolist(), strict=True):
            assert _beams(network, prompt, num_beams) == (pytest.approx(total, abs=1e-4), row)
    assert totals[1].sum() > totals[0].sum() + 1e-3, "a search that finds something"


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_beams_as_words_find_the_likeliest_of_all_pairs(models: dict[str, str], kind: str) -> None:
    network = make_network(models[kind])
    size = network.config.vocab_size
    prompt = PROMPTS[2]
    pairs = torch.stack([torch.arange(size), torch.zeros(size, dtype=torch.int64)], dim=1)
    likelihoods = _log_likelihoods(network, [prompt] * size, pairs)
    totals = likelihoods[0, 0][:, None] + likelihoods[:, 1]
    totals[:, NEVER] = -torch.inf
    totals[NEVER] = -torch.inf
    ids, mask = padded([prompt])
    written = network.write({"prompt_ids": ids, "prompt_mask": mask}, 2, NEVER, size)[0].tolist()
    assert written == list(divmod(int(totals.argmax()), size))


def test_writing_leaves_no_graph_and_no_mode_behind(models: dict[str, str]) -> None:
    network = make_network(models["BERT"])
    assert not _write(network, PROMPTS).requires_grad
    assert not network.training
    assert network.config.is_decoder
