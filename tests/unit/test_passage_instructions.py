"""Instructions of passages are read by the model and left out of the mean, as those of queries are."""

from dataclasses import replace

import pytest
import torch

from lit_humor.core.errors import UserError
from lit_humor.data.examples import Examples
from lit_humor.objectives.contrastive import Contrastive
from tests.unit.answering import answers_of
from tests.unit.pairing import collate, make_models, make_network, make_pairs, prepare

TEXTS = ["the cat and a book", "a dog"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_models(tmp_path_factory.mktemp("models"))["Qwen3"]


def _rows(said: list[list[str]] | None) -> Examples:
    """Each text as query and as passage, with the same instruction if one is said."""
    rows = make_pairs(TEXTS, TEXTS, [["tea"], []], ["Find the end.", ""])
    return replace(rows, answers=replace(answers_of(rows), passage_instructions=said))


def test_a_passage_has_the_vector_of_a_query_with_its_instruction(model: str) -> None:
    network, said = make_network(model), [["Find the end.", "Say"], [""]]
    batch = collate(prepare(model, _rows(said), parts=["embedding"], num_negatives=2))
    with torch.no_grad():
        outputs = Contrastive()(network, batch).outputs
        plain = Contrastive()(network, collate(prepare(model, _rows(None), parts=["embedding"]))).outputs
        negative = collate(prepare(model, make_pairs(["tea"], ["x"], None, ["Say"]), parts=["embedding"]))
        of_negative = network.embed(negative["query_ids"], negative["query_mask"], negative["query_pooled"])
    passages = outputs["passage_embeddings"]
    assert torch.allclose(passages[:, 0], outputs["query_embeddings"], atol=1e-6)
    assert torch.allclose(passages[0, 1], of_negative[0], atol=1e-6)
    assert not passages[0, 2].any(), "a passage that is not there"
    difference = (passages[:, 0] - plain["passage_embeddings"][:, 0]).abs().amax(dim=1)
    assert difference[0] > 1e-3, "the instruction is read"
    assert difference[1] < 1e-6, "a passage without one is its text"


def test_rows_without_such_instructions_have_the_batches_they_had(model: str) -> None:
    batch = collate(prepare(model, _rows(None)))
    assert "passage_pooled" not in batch
    assert answers_of(_rows(None)).passage_instructions is None


def test_the_data_is_other_data_with_another_instruction(model: str) -> None:
    digests = []
    for said in (None, [["Find"], [""]], [["Seek"], [""]]):
        parts: list[bytes] = []
        digest = type("Digest", (), {"update": lambda self, data, parts=parts: parts.append(bytes(data))})()
        answers_of(_rows(said)).update_digest(digest)
        digests.append(b"".join(parts))
    assert len(set(digests)) == 3


def test_an_instruction_without_room_for_its_passage_is_refused(model: str) -> None:
    with pytest.raises(UserError, match=r"made in the test, line 2, instruction: found \d+ tokens"):
        prepare(model, _rows([["", ""], ["tea " * 30]]))
