"""A frozen vision tower reads each picture once, and what is kept is what it would read again."""

import importlib.util
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_humor.models.vision_language import VisionLanguage
from tests.unit.seeing import GRIDS, LORA_4, adapted, make_batch, make_model, make_network, rows_of

pytestmark = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="needs the extra qlora")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("model"))


def _counted(network: VisionLanguage) -> list[int]:
    """The number of patches of each call of the tower, as they come."""
    calls: list[int] = []
    network.lm.model.visual.register_forward_pre_hook(lambda module, given: calls.append(len(given[0])))
    return calls


def _logits(network: VisionLanguage, batch: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return network(batch)["answer_logits"]


def test_each_picture_is_read_once(folder: str) -> None:
    network, batch = adapted(folder), make_batch()
    calls = _counted(network)
    first, again = _logits(network, batch), _logits(network, batch)
    assert calls == [16, 12, 12], "alone, and never again"
    assert torch.equal(first, again)
    questions = make_batch([GRIDS[0]] * 4, keys=[0] * 4)
    _logits(network, questions)
    assert calls == [16, 12, 12], "of other questions too"


@pytest.mark.parametrize("half", [False, True])
def test_what_is_kept_is_what_is_read(folder: str, half: bool) -> None:
    kept, anew, batch = adapted(folder), adapted(folder, picture_cache_mib=0), make_batch()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        _logits(kept, batch)
        assert torch.equal(_logits(kept, batch), _logits(anew, batch))
        stored, read = kept.read_pictures(batch), anew.read_pictures(batch)
    assert stored is not None
    assert read is not None
    pairs = [(stored.pooler_output, read.pooler_output), (stored.deepstack_features[0], read.deepstack_features[0])]
    for left, right in pairs:
        assert [one.shape for one in left] == [(4, 32), (3, 32), (3, 32)]
        assert all(torch.equal(one, other) and one.dtype == other.dtype for one, other in zip(left, right, strict=True))
        assert left[0].dtype == (torch.bfloat16 if half else torch.float32)


def test_the_rows_beside_a_picture_change_no_bit(folder: str) -> None:
    """So a run that goes on, with nothing kept yet, computes the same as one that was not interrupted."""
    batch, whole = make_batch(), adapted(folder)
    _logits(whole, batch)
    for row in (0, 1, 3):
        one = adapted(folder)
        _logits(one, rows_of(batch, slice(row, row + 1)))
        pairs = zip(one.read_pictures.kept[row], whole.read_pictures.kept[row], strict=True)
        assert all(torch.equal(left, right) for left, right in pairs)


def test_no_more_is_kept_than_there_is_room_for(folder: str) -> None:
    network, batch = adapted(folder), make_batch()
    size = 2 * 4 * 32 * 4  # the first picture: both features, 4 tokens of 32 numbers in fp32
    network.read_pictures.most_bytes = size + 1
    calls = _counted(network)
    for _ in range(2):
        _logits(network, batch)
    assert calls == [16, 12, 12, 12, 12]
    assert list(network.read_pictures.kept) == [0]
    assert network.read_pictures.kept_bytes == size


def test_an_unknown_picture_is_read_each_time(folder: str) -> None:
    network, batch = adapted(folder), make_batch(keys=[-1] * 4)
    calls = _counted(network)
    for _ in range(2):
        _logits(network, batch)
    assert calls == [16, 12, 12] * 2
    assert not network.read_pictures.kept


def test_what_a_validation_keeps_can_be_learned_from(folder: str) -> None:
    network, plain, batch = adapted(folder), adapted(folder), make_batch()
    with torch.inference_mode():
        network({name: value.clone() for name, value in batch.items()})
    for one in (network, plain):
        one(batch)["answer_logits"].sum().backward()
    pairs = [(p.grad, q.grad) for p, q in zip(network.parameters(), plain.parameters(), strict=True) if p.requires_grad]
    assert len(pairs) == 16
    assert all(torch.equal(*pair) for pair in pairs)


def test_nothing_is_kept_where_the_tower_learns(folder: str) -> None:
    network, batch = make_network(folder), make_batch()
    calls = _counted(network)
    for _ in range(2):
        network(batch)["answer_logits"].sum().backward()
    assert calls == [40, 40], "all pictures at once"
    assert not network.read_pictures.kept
    assert all(parameter.grad is not None for parameter in network.lm.model.visual.parameters())


def test_nothing_of_it_is_saved(folder: str) -> None:
    network = adapted(folder)
    names = list(network.state_dict())
    _logits(network, make_batch())
    assert list(network.state_dict()) == names


def test_rows_without_pictures_need_no_tower(folder: str) -> None:
    network = make_network(folder, adapter=LORA_4)
    calls = _counted(network)
    batch: Any = make_batch([(0, 0)] * 2, [[300], [301]], [[340, 2], [341, 2]])
    _logits(network, batch | {"patches": torch.zeros(2, 0, 192, dtype=torch.uint8)})
    assert calls == []


def test_a_model_compiled_as_a_whole_reads_the_same(folder: str) -> None:
    network, batch = adapted(folder), make_batch()
    plain = _logits(network, batch)
    network.read_pictures.kept.clear()
    network.compile(backend="eager", dynamic=True)
    calls = _counted(network)
    for _ in range(2):
        torch.testing.assert_close(_logits(network, batch), plain)
    assert calls == [16, 12, 12]
