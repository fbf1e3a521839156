"""Every family of encoders: depths, dropout, pooling, long inputs, attention, heads of transformers."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, EuroBertConfig, GPT2Config, GPT2Model, PreTrainedTokenizerFast

from lit_humor.config.command import compose
from lit_humor.core.errors import UserError
from lit_humor.engine.factory import open_pretrained
from lit_humor.exporters.huggingface import as_transformers
from lit_humor.models.encoder import TextClassifier
from lit_humor.models.pooling import is_causal, last_token
from lit_humor.models.pretrained import Pretrained, load_config, load_tokenizer
from lit_humor.tasks.classification import Classification
from tests.conftest import ROOT
from tests.unit.building import NAMES
from tests.unit.families import FAMILIES

LONG = 600


@pytest.fixture(scope="module")
def folders(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    tokenizer, parent = load_tokenizer(tiny_model), tmp_path_factory.mktemp("families")
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    return {name: family.make(parent / name, tokenizer) for name, family in FAMILIES.items()}


def _batch(length: int = 7) -> dict[str, Tensor]:
    """Two rows, the second one half as long."""
    ids, mask = torch.arange(5, 5 + 2 * length).remainder(90).add(5).view(2, length), torch.ones(2, length)
    mask[1, length // 2 :] = 0
    return {"input_ids": ids.where(mask.bool(), 1), "attention_mask": mask.long()}


@pytest.mark.parametrize("name", FAMILIES)
def test_depths_follow_the_layers(folders: dict[str, str], name: str) -> None:
    model = TextClassifier(folders[name], 2, **FAMILIES[name].network)
    top = FAMILIES[name].depth + 1
    depths, seen = model.parameter_depths(), set()
    for parameter, depth in depths.items():
        inside = re.search(r"\.layers?\.(\d+)\.|\.albert_layer_groups\.(\d+)\.", parameter)
        if inside:
            assert depth == int(inside[1] or inside[2]) + 1, parameter
        elif parameter.startswith("head.") or re.search(r"final_norm|^backbone\.norm\.", parameter):
            assert depth == top, parameter
        elif parameter.startswith("backbone.encoder.LayerNorm"):  # of positions in DeBERTa, of the output in XLM-R-XL
            assert depth == (0 if name == "DeBERTa-v2" else top)
        else:
            assert depth == 0, parameter
            assert re.search("embed|relative_attention_bias", parameter), parameter
        seen.add(depth)
    assert seen == set(range(top + 1))
    assert len(model.layers()) == top - 1


def _differ(model: TextClassifier, batch: dict[str, Tensor]) -> bool:
    return not torch.equal(model(batch)["embeddings"], model(batch)["embeddings"])


@pytest.mark.parametrize("name", FAMILIES)
def test_dropout_is_on_in_training_alone_and_null_keeps_the_rates_of_the_encoder(
    folders: dict[str, str], name: str
) -> None:
    own = AutoConfig.from_pretrained(folders[name]).to_dict()
    rates = [key for key in own if "dropout" in key and isinstance(own[key], (int, float))]
    assert rates
    kept = TextClassifier(folders[name], 2, **FAMILIES[name].network | {"dropout": None, "attention_dropout": None})
    assert {key: getattr(kept.config, key) for key in rates} == {key: own[key] for key in rates}
    assert kept.head.dropout.p == 0.1
    of_hidden = () if "dropout" in FAMILIES[name].network else ({"dropout": 0.5, "attention_dropout": 0.0},)
    of_attention = {"dropout": 0.0 if of_hidden else None, "attention_dropout": 0.5}
    for changed in (*of_hidden, of_attention):
        for attention in ("matmul", "sdpa"):
            settings = FAMILIES[name].network | changed | {"attention": attention}
            model = TextClassifier(folders[name], 2, fast_dropout=True, **settings)
            assert _differ(model, _batch()), settings
            assert not _differ(model.eval(), _batch())


@pytest.mark.parametrize("name", ["EuroBERT", "Qwen3"])
def test_a_rate_that_an_encoder_does_not_have_is_refused(folders: dict[str, str], name: str) -> None:
    network = FAMILIES[name].network
    with pytest.raises(UserError, match=r"no such rate in \w+, .* Fix: set model.network.dropout=null"):
        TextClassifier(folders[name], 2, **network | {"dropout": 0.2})
    assert TextClassifier(folders[name], 2, **network | {"dropout": 0.0}).head.dropout.p == 0


@pytest.mark.parametrize("name", FAMILIES)
def test_pooling(folders: dict[str, str], name: str) -> None:
    causal = name == "Qwen3"
    model = TextClassifier(folders[name], 2, **FAMILIES[name].network | {"pooling": "last"}).eval()
    assert is_causal(model.backbone) == causal
    batch = _batch()
    with torch.no_grad():
        hidden = model.backbone(**batch).last_hidden_state
        assert torch.equal(model(batch)["embeddings"], torch.stack([hidden[0, 6], hidden[1, 2]]))
        changed = batch | {"input_ids": batch["input_ids"].clone()}
        changed["input_ids"][0, 6] = 9
        assert torch.equal(model.backbone(**changed).last_hidden_state[0, 0], hidden[0, 0]) == causal
    for pooling in ("first", "mean"):
        make = {**FAMILIES[name].network, "pooling": pooling, "short_last_layer": True}
        if causal and pooling == "first":
            with pytest.raises(UserError, match=r"model\.network\.pooling: found first, .*pooling=last"):
                TextClassifier(folders[name], 2, **make)
        else:
            model = TextClassifier(folders[name], 2, **make)
            assert model.is_short == (FAMILIES[name].packs and pooling == "first")
            assert model(batch)["logits"].shape == (2, 2)


def test_the_last_token_is_found_on_either_side_of_the_padding() -> None:
    hidden = torch.arange(24.0).view(3, 4, 2)
    right, left, none = [1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]
    pooled = last_token(hidden, torch.tensor([right, left, none]))
    assert torch.equal(pooled, torch.stack([hidden[0, 1], hidden[1, 3], hidden[2, 3]]))


def test_decoders_that_say_so_nowhere_are_causal_too(tmp_path: Path) -> None:
    small = GPT2Model(GPT2Config(vocab_size=30, n_embd=8, n_layer=1, n_head=1, bos_token_id=0, eos_token_id=0))
    assert is_causal(small)
    for module in small.modules():
        vars(module).pop("is_causal", None)
    assert is_causal(small)


@pytest.mark.parametrize("name", FAMILIES)
def test_longest_input(folders: dict[str, str], name: str) -> None:
    """What the limit says can be computed, and long rows where the encoder has the positions."""
    family, pretrained = FAMILIES[name], Pretrained(folders[name])
    assert pretrained.longest_input == family.longest
    model = TextClassifier(folders[name], 2, attention="matmul", **family.network).eval()
    length = min(LONG, family.longest)
    with torch.no_grad():
        logits = model(_batch(length))["logits"]
        other = _batch(length)
        other["input_ids"][0, -2] = 20
        assert not torch.equal(logits[0], model(other)["logits"][0]), "the end of a long row counts"
    cfg = compose("train", [f"data.max_length={LONG}"])
    if family.longest < LONG:
        with pytest.raises(UserError, match=r"set data\.max_length=512"):
            open_pretrained(cfg, folders[name])
    else:
        open_pretrained(cfg, folders[name])


@pytest.mark.parametrize("name", FAMILIES)
def test_attention_backends_and_padding(folders: dict[str, str], name: str) -> None:
    """``matmul`` and ``packed`` give what ``eager`` gives, with padding and without; padding counts for nothing."""
    family = FAMILIES[name]
    torch.manual_seed(3)
    plain = TextClassifier(folders[name], 2, attention="eager", **family.network).eval()
    batch = _batch()
    alone = {key: value[1:, :3] for key, value in batch.items()}
    full = {key: value[:1] for key, value in batch.items()}
    with torch.no_grad():
        expected = plain(batch)["logits"]
        for attention in ("sdpa", "matmul", *(["packed"] if family.packs else [])):
            model = TextClassifier(folders[name], 2, attention=attention, **family.network).eval()
            model.load_state_dict(plain.state_dict())
            torch.testing.assert_close(model(batch)["logits"], expected)
            torch.testing.assert_close(model(alone)["logits"], expected[1:])
            torch.testing.assert_close(model(full)["logits"], expected[:1])
    if not family.packs:
        with pytest.raises(UserError, match=r"trainer\.attention=packed: found an encoder of the kind "):
            TextClassifier(folders[name], 2, attention="packed", **family.network)


@pytest.mark.parametrize("name", FAMILIES)
def test_gradients_reach_every_parameter(folders: dict[str, str], name: str) -> None:
    """DDP stops on one without; also where activations are computed again."""
    network = FAMILIES[name].network
    model = TextClassifier(folders[name], 2, gradient_checkpointing=FAMILIES[name].checkpoints, **network)
    assert model.layers()
    model(_batch())["logits"].sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    if not FAMILIES[name].checkpoints:
        with pytest.raises(UserError, match=r"set model\.network\.gradient_checkpointing=false"):
            TextClassifier(folders[name], 2, gradient_checkpointing=True, **network)


@pytest.mark.parametrize("name", FAMILIES)
def test_heads_of_transformers(folders: dict[str, str], name: str) -> None:
    family = FAMILIES[name]
    model = TextClassifier(folders[name], 2, **family.network).eval()
    if "huggingface" in family.exports:
        exported, batch = as_transformers(model, Classification(NAMES).form, temperature=2.0), _batch()
        with torch.no_grad():
            torch.testing.assert_close(exported(**batch).logits, model(batch)["logits"] / 2)
    else:
        with pytest.raises(UserError, match="for which transformers has no classifier with our head"):
            as_transformers(model, Classification(NAMES).form, 1.0)


def test_a_tokenizer_without_padding_pads_with_its_end(tiny_model: str, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    AutoConfig.from_pretrained(tiny_model).save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path)).pad_token_id == 2


def test_the_code_that_eurobert_brings_is_not_needed(folders: dict[str, str], tmp_path: Path) -> None:
    """Its folder on the hub names Python files; without that line transformers reads it with its own class."""
    config = EuroBertConfig.from_pretrained(folders["EuroBERT"])
    config.auto_map = {"AutoModel": "modeling_eurobert.EuroBertModel"}
    config.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"delete auto_map from its config\.json"):
        load_config(str(tmp_path))
    assert type(load_config(folders["EuroBERT"])) is EuroBertConfig


def test_the_page_lists_what_is_tested() -> None:
    text = (ROOT / "docs" / "models.md").read_text()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")
    ]
    table = {row[0]: row for row in rows if row[0] in FAMILIES}
    assert len(rows) == len(table) + 2, "a head and a line below it"
    assert list(table) == list(FAMILIES)
    for name, family in FAMILIES.items():
        settings = ", ".join(f"`{one}`" for one in family.settings) or "none"
        exports = ", ".join(family.exports)
        assert table[name][2:] == [settings, str(family.longest), "yes" if family.packs else "no", exports], name
    named = set(re.findall(r"`model=(\w+)`", text))
    files = {path.stem for path in (ROOT / "configs" / "model").glob("*.yaml")}
    assert named <= files
    encoders = {path for path in files if "defaults: [encoder]" in (ROOT / f"configs/model/{path}.yaml").read_text()}
    assert {path for path in encoders if "pretrained: " in (ROOT / f"configs/model/{path}.yaml").read_text()} <= named


def test_every_layer_is_a_module_of_its_own(folders: dict[str, str]) -> None:
    for name in FAMILIES:
        layers = TextClassifier(folders[name], 2, **FAMILIES[name].network).layers()
        assert isinstance(layers, nn.ModuleList)
        assert len({id(layer) for layer in layers}) == FAMILIES[name].depth
