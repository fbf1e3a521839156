"""What a decoder writes is what it would read, with a cache as without; beams find what a plain search finds."""

import itertools
import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from lit_humor.core.errors import UserError
from lit_humor.models.fused import Fused
from lit_humor.models.multi_head import Blocks
from lit_humor.models.text_decoder import TextDecoder, Writing
from lit_humor.models.writing import write_by_beams, write_greedily
from tests.unit.fusing import BACKENDS, END, TEXTS, listening, make_batch, make_model, make_network, rows_of

MOST, NEVER = 8, 3  # tokens of an answer; an end that is not written
WORDS = 5  # of the decoder whose texts can all be listed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("model"))


def make_decoder(words: int = WORDS, num_layers: int = 2, attention: str = "sdpa") -> TextDecoder:
    torch.manual_seed(1)
    blocks = Blocks(num_heads=2, feed_forward=32, attention=attention)
    decoder = TextDecoder(words, 16, blocks, num_layers=num_layers, positions=10).eval()
    nn.init.normal_(decoder.words.weight, std=0.5)  # far from uniform
    nn.init.normal_(decoder.positions.weight, std=2)  # another word at each place
    return decoder


def make_memory(rows: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]], dtype=torch.bool)
    return 2 * torch.randn(3, 4, 16, generator=generator)[:rows], mask[:rows]


@torch.no_grad()
def log_likelihoods(
    decoder: TextDecoder, memory: Tensor, mask: Tensor | None, texts: Sequence[Sequence[int]]
) -> Tensor:
    """[N, U, V] of the tokens of texts about one memory [1, M, D], read at once."""
    ids = torch.tensor([list(text) for text in texts])
    mask = None if mask is None else mask.expand(len(ids), -1)
    return decoder(memory.expand(len(ids), -1, -1), mask, ids).log_softmax(dim=-1)


@pytest.mark.parametrize("attention", BACKENDS)
def test_a_layer_computes_what_torchs_does(attention: str) -> None:
    decoder = make_decoder(num_layers=1, attention=attention)
    theirs = nn.TransformerDecoderLayer(16, 2, 32, 0.0, activation="gelu", batch_first=True, norm_first=True).eval()
    ours = decoder.layers[0]
    pairs = {ours.written: theirs.self_attn, ours.memory: theirs.multihead_attn}
    with torch.no_grad():
        for own, other in pairs.items():
            other.in_proj_weight.copy_(torch.cat([own.query.weight, own.key.weight, own.value.weight]))
            nn.init.normal_(other.in_proj_bias)
            for part, bias in zip((own.query, own.key, own.value), other.in_proj_bias.chunk(3), strict=True):
                part.bias.copy_(bias)
            other.out_proj.load_state_dict(own.output.state_dict())
        for own, other in (
            (ours.written_norm, theirs.norm1),
            (ours.memory_norm, theirs.norm2),
            (ours.feed_forward_norm, theirs.norm3),
        ):
            nn.init.normal_(own.weight)
            other.load_state_dict(own.state_dict())
        theirs.linear1.load_state_dict(ours.feed_forward[0].state_dict())
        theirs.linear2.load_state_dict(ours.feed_forward[2].state_dict())
        states, (memory, mask) = torch.randn(3, 5, 16), make_memory()
        later = torch.ones(5, 5, dtype=torch.bool).triu(1)
        expected = theirs(states, memory, tgt_mask=later, memory_key_padding_mask=~mask)
        assert (ours(states, memory, mask[:, None, None], ~later) - expected).abs().max() < 1e-5


def test_logits_are_of_the_token_given_those_before_it() -> None:
    decoder, (memory, mask) = make_decoder(9), make_memory()
    ids = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8], [1, 1, 1, 1]])
    with torch.no_grad():
        plain = decoder(memory, mask, ids)
        for place in range(4):
            changed = ids.clone()
            changed[:, place] = 0
            moved = (decoder(memory, mask, changed) - plain).abs().amax(dim=(0, 2)) > 1e-4
            assert moved.tolist() == [later > place for later in range(4)]
    assert plain.shape == (3, 4, 9)


def test_words_are_the_output_layer_too() -> None:
    decoder, (memory, mask) = make_decoder(9), make_memory()
    assert [name for name, p in decoder.named_parameters() if 9 in p.shape] == ["words.weight"]
    before = decoder(memory, mask, torch.tensor([[1, 2], [1, 2], [1, 2]]))
    with torch.no_grad():
        decoder.words.weight[7] += torch.linspace(-1, 1, 16)
        after = decoder(memory, mask, torch.tensor([[1, 2], [1, 2], [1, 2]]))
    assert ((after - before).abs().amax(dim=(0, 1)) > 1e-4).tolist() == [word == 7 for word in range(9)]


@pytest.mark.parametrize("attention", BACKENDS)
@pytest.mark.parametrize("beams", [1, 3])
def test_a_cache_changes_nothing(attention: str, beams: int) -> None:
    """Token by token with a cache, with texts that change places, as the whole at once without."""
    decoder, (memory, mask) = make_decoder(9, attention=attention), make_memory()
    generator = torch.Generator().manual_seed(8)
    writing, texts = Writing(decoder, memory, mask, beams), torch.empty(3 * beams, 0, dtype=torch.int64)
    firsts = torch.arange(3).repeat_interleave(beams) * beams
    ids = None
    with torch.no_grad():
        for _ in range(6):
            found = writing.step(ids)
            whole = torch.cat([texts, torch.zeros(len(texts), 1, dtype=torch.int64)], dim=1)
            every = decoder(memory.repeat_interleave(beams, 0), mask.repeat_interleave(beams, 0), whole)
            assert (found - every[:, -1]).abs().max() < 1e-5
            rows = firsts + torch.randint(0, beams, (len(texts),), generator=generator)
            writing.select(rows)
            ids = torch.randint(0, 9, (len(texts),), generator=generator)
            texts = torch.cat([texts[rows], ids[:, None]], dim=1)


def test_the_memory_is_read_into_keys_once_a_row(folder: str) -> None:
    network, batch, shapes = make_network(folder), make_batch(), []
    assert network.decoder is not None
    for layer in network.decoder.layers:
        layer.memory.key.register_forward_hook(lambda module, given, keys: shapes.append(tuple(keys.shape)))
    network.write(batch, MOST, NEVER, num_beams=4)
    assert shapes == [(3, 6, 16)] * 2


@pytest.mark.parametrize("attention", BACKENDS)
def test_the_likeliest_token_is_written_each_time(folder: str, attention: str) -> None:
    """As in one pass over the whole; in a batch as alone."""
    network, batch = listening(make_network(folder, attention=attention)), make_batch()
    written = network.write(batch, MOST, NEVER)
    assert written.shape == (3, MOST)
    with torch.no_grad():
        logits = network(batch | {"answer_ids": written})["answer_logits"]
    assert torch.equal(logits.argmax(dim=-1), written)
    assert len(written.unique(dim=0)) == 3, "texts that differ"
    for row, text in enumerate(TEXTS):
        alone = rows_of(batch, slice(row, row + 1))
        alone |= {name: alone[name][:, : len(text)] for name in ("input_ids", "attention_mask")}
        assert torch.equal(network.write(alone, MOST, NEVER)[0], written[row])
        assert torch.equal(network.write(alone, MOST, NEVER, 3)[0], network.write(batch, MOST, NEVER, 3)[row])


def test_behind_the_end_stands_the_end(folder: str) -> None:
    network, batch = listening(make_network(folder)), make_batch()
    free = network.write(batch, MOST, NEVER)
    end = int(free[0, 2])
    written = network.write(batch, MOST, end)
    assert written.shape == free.shape
    for row, other in zip(written.tolist(), free.tolist(), strict=True):
        length = other.index(end) if end in other else MOST
        assert row == other[:length] + [end] * (MOST - length)
    assert end in written[0]


def best_text(decoder: TextDecoder, memory: Tensor, mask: Tensor | None, most: int, end: int) -> list[int]:
    """The best of all texts there are, by the mean log-likelihood of their tokens."""
    texts = [
        text
        for length in range(1, most + 1)
        for text in itertools.product(range(WORDS), repeat=length)
        if end not in text[:-1] and (text[-1] == end or length == most)
    ]
    padded = [list(text) + [end] * (most - len(text)) for text in texts]
    scores = log_likelihoods(decoder, memory, mask, padded)
    means = [
        float(sum(row[place, word] for place, word in enumerate(text))) / len(text)
        for row, text in zip(scores, texts, strict=True)
    ]
    return padded[max(range(len(texts)), key=means.__getitem__)]


@pytest.mark.parametrize("end", range(WORDS))
def test_enough_beams_find_the_best_of_all_texts(end: int) -> None:
    decoder, (memory, mask) = make_decoder(), make_memory()
    most = 4
    with torch.no_grad():
        written = write_by_beams(Writing(decoder, memory, mask, WORDS**most), WORDS**most, most, end)
    for row in range(3):
        assert written[row].tolist() == best_text(decoder, memory[row : row + 1], mask[row : row + 1], most, end)


def plain_beams(decoder: TextDecoder, memory: Tensor, mask: Tensor, beams: int, most: int, end: int) -> list[int]:
    """The same search in lists, each text read from its beginning again."""
    alive: list[tuple[float, list[int]]] = [(0.0, [])]
    ended: list[tuple[float, list[int]]] = []
    for length in range(1, most + 1):
        grown = []
        for total, text in alive:
            row = log_likelihoods(decoder, memory, mask, [[*text, 0]])[0, -1].tolist()
            ended.append(((total + row[end]) / length, [*text, end]))
            grown += [(total + row[word], [*text, word]) for word in range(len(row)) if word != end]
        alive = sorted(grown, key=lambda one: -one[0])[:beams]
    ended += [(total / most, text) for total, text in alive]
    best = max(ended, key=lambda one: one[0])[1]
    return best + [end] * (most - len(best))


@pytest.mark.parametrize("beams", [2, 3, 4])
def test_beams_write_what_a_plain_search_finds(beams: int) -> None:
    decoder, (memory, mask) = make_decoder(9), make_memory()
    lengths = set()
    for end in range(9):
        with torch.no_grad():
            written = write_by_beams(Writing(decoder, memory, mask, beams), beams, 6, end).tolist()
        for row in range(3):
            assert written[row] == plain_beams(decoder, memory[row : row + 1], mask[row : row + 1], beams, 6, end)
            lengths.add(written[row].index(end) if end in written[row] else 6)
    assert len(lengths) > 2, "texts of several lengths"


class Told:
    """A writer whose log-likelihoods are told by what was written."""

    def __init__(self, beams: int, table: dict[tuple[int, ...], list[float]]) -> None:
        self.texts: list[tuple[int, ...]] = [()] * beams
        self.table, self.steps = table, 0

    def step(self, ids: Tensor | None) -> Tensor:
        if ids is not None:
            self.texts = [(*text, int(word)) for text, word in zip(self.texts, ids, strict=True)]
        self.steps += 1
        usual = [0.25] * 4
        return torch.tensor([[math.log(p) for p in self.table.get(text, usual)] for text in self.texts])

    def select(self, rows: Tensor) -> None:
        self.texts = [self.texts[int(row)] for row in rows]


def test_a_worked_example() -> None:
    """The likeliest first word leads nowhere; the search stops when the end cannot be beaten."""
    table = {
        (): [0.05, 0.5, 0.4, 0.05],  # 0 is the end
        (1,): [0.38, 0.32, 0.2, 0.1],
        (2,): [0.97, 0.01, 0.01, 0.01],
    }
    assert write_greedily(Told(1, table), 4, 0).tolist() == [[1, 0, 0, 0]]
    writer = Told(2, table)
    assert write_by_beams(writer, 2, 4, 0).tolist() == [[2, 0, 0, 0]]
    assert writer.steps == 3
    sure = Told(2, {(): [0.05, 0.9, 0.04, 0.01], (1,): [0.97, 0.01, 0.01, 0.01]})
    assert write_by_beams(sure, 2, 4, 0).tolist() == [[1, 0, 0, 0]]
    assert sure.steps == 2, "the others are behind for good"


def test_writing_ends_when_all_have_ended() -> None:
    writer = Told(1, {(): [0.1, 0.7, 0.1, 0.1], (1,): [0.7, 0.1, 0.1, 0.1]})
    assert write_greedily(writer, 9, 0).tolist() == [[1] + [0] * 8]
    assert writer.steps == 2


def test_too_long_an_answer_is_refused(folder: str) -> None:
    network, batch = make_network(folder, decoder_positions=4), make_batch()
    with pytest.raises(UserError, match=r"4, but an answer of 5 tokens, .* set model\.network\.decoder_positions=5"):
        network(batch)
    with pytest.raises(UserError, match=r"set model\.network\.decoder_positions=6"):
        network.write(batch, 6, END)
    assert network.write(batch, 4, END).shape == (3, 4)


def test_writing_leaves_no_graph_and_no_mode_behind(folder: str) -> None:
    network: Fused = make_network(folder)
    assert not network.write(make_batch(), MOST, NEVER).requires_grad
    assert not network.training
