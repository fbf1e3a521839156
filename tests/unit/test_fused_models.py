"""Configurations of models that fuse two encoders: their sizes, what a run keeps of them, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from lit_humor.config.command import CONFIG_DIR, compose
from lit_humor.core.errors import UserError, UserErrors
from lit_humor.engine import factory
from lit_humor.engine.machine import Machine
from lit_humor.engine.planning import build_plan
from lit_humor.models.fused import Fused
from lit_humor.models.fused_settings import EncoderSettings, encoder_config, read_encoders
from lit_humor.models.pretrained import Pretrained, load_config
from tests.unit.fusing import BOTH, PICTURE, SIZES, TEXT, VIT, make_batch, make_model, make_network

FILES = ("fused", "fused_small", "fused_tiny", "dimtda_209m")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("model"))


def counted(name: str, cache: Path, classes: int | None = None) -> tuple[int, Fused]:
    """A model of configs/model, without values, and its number of parameters."""
    cfg = compose("train", [f"model={name}", f"paths.cache_dir={cache}"])
    settings: Any = OmegaConf.to_container(cfg.model.network, resolve=True)
    settings.pop("_target_")
    folder = factory.resolve_pretrained(cfg).name
    with torch.device("meta"):
        network = Fused(folder, classes, **settings, with_weights=False)
    return sum(p.numel() for p in network.parameters()), network


def test_the_seeds_sizes_have_the_seeds_parameters(tmp_path: Path) -> None:
    """DIMTDA with 256 queries of 512 has 209.7 M by the code of its authors; what is left out here is counted apart."""
    count, network = counted("dimtda_209m", tmp_path)
    assert round(count / 1e6, 1) == 207.6
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    assert {name: round(number / 1e6, 1) for name, number in parts.items()} == {
        "encoders": 159.9,  # 85.8 of DiT base, 74.1 of Nougat small
        "readers": 7.4,
        "gate": 0.0,
        "project": 0.3,
        "decoder": 40.0,
    }
    assert parts["gate"] == 2 * 512 + 1
    left_out = {
        "two projections that nothing uses": 2 * (512 * 512 + 512),
        "DiT's states widened to those of Nougat": 768 * 1024 + 1024,
        "keys and values of the wider states": 2 * (1024 - 768) * 512,
        "a dense layer, norm and bias before the words": 512 * 512 + 512 + 2 * 512 + 52_000,
    }
    assert count + sum(left_out.values()) == pytest.approx(209.7e6, rel=0.002)


def test_sizes_in_lists_are_read_as_a_training_has_them(tmp_path: Path) -> None:
    """As Hydra hands them on: lists within lists of a configuration."""
    cfg = compose("train", ["model=dimtda_209m", f"paths.cache_dir={tmp_path}"])
    _, second = read_encoders(cfg.model.network.encoders)
    assert second.config is not None
    assert (type(second.config), type(second.config["image_size"])) == (dict, list)
    folder = factory.resolve_pretrained(compose("train", ["model=fused_tiny", f"paths.cache_dir={tmp_path}"])).name
    sizes = encoder_config(second, 1, load_config(folder), folder, with_weights=False)
    assert list(sizes.image_size) == [896, 672]


def test_small_ones_are_small(tmp_path: Path) -> None:
    assert counted("fused_tiny", tmp_path, 2)[0] < 500_000
    assert round(counted("fused", tmp_path, 2)[0] / 1e6) == 39
    assert round(counted("fused_small", tmp_path, 2)[0] / 1e6, 1) == 1.0


def test_a_chunk_has_room_for_the_pictures_of_its_rows() -> None:
    """That of a recipe is as many of its longest rows as without pictures."""
    sizes = [
        build_plan(compose("train", line), Machine()).max_tokens for line in (["experiment=dimtda"], ["data=tiny"])
    ]
    assert sizes == [2 * 2 * (48 + 64), 2 * 8 * 128]


def test_files_state_all_that_can_be_set() -> None:
    base = OmegaConf.load(Path(CONFIG_DIR) / "model" / "fused_base.yaml").network
    supplied = {"self", "pretrained", "num_classes", "attention", "with_weights"}
    arguments = set(Fused.__init__.__kwdefaults__ or {}) | {"encoders"}
    assert set(base) - {"_target_"} == arguments - supplied


def test_a_saved_model_needs_nothing_but_its_folder(folder: str, tmp_path: Path) -> None:
    """Not the place of its weights, and not what its nodes say of it."""
    (tmp_path / "vit").mkdir()
    place = str(tmp_path / "vit")
    first = make_network(folder)
    first.encoders[1].backbone.save_pretrained(place)
    encoders = ({"reads": "text", "pretrained": folder}, {"reads": "picture", "pretrained": place})
    network = make_network(folder, encoders)
    weights = [one.encoders[1].backbone.layers[2].mlp.fc1.weight for one in (first, network)]
    assert torch.equal(*weights), "the weights of its folder"
    Pretrained(folder).save(tmp_path / "run", network.config, ("no", "yes", "both"))
    for path in (tmp_path / "vit").iterdir():
        path.unlink()
    gone = ({"reads": "text", "pretrained": "/gone"}, {"reads": "picture", "pretrained": place})
    again = Fused(str(tmp_path / "run"), 3, encoders=gone, **SIZES, with_weights=False)
    assert any(p.is_meta for p in again.parameters())
    assert Pretrained(str(tmp_path / "run")).tokenizer("a b").input_ids == Pretrained(folder).tokenizer("a b").input_ids
    state = {name: value.clone() for name, value in network.state_dict().items()}
    again.load_state_dict(state, strict=True, assign=True)
    with torch.no_grad():
        expected, found = network(make_batch()), again.eval()(make_batch())
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    with pytest.raises(RuntimeError, match="Missing key"):
        again.load_state_dict({name: value for name, value in state.items() if "queries" not in name})


@pytest.mark.parametrize("gate", ["first", "second"])
def test_a_saved_model_of_one_encoder_loads_again(folder: str, tmp_path: Path, gate: Any) -> None:
    network = make_network(folder, gate=gate)
    Pretrained(folder).save(tmp_path, network.config, ())
    again = Fused(str(tmp_path), 3, encoders=BOTH, gate=gate, **SIZES, with_weights=False)
    again.load_state_dict({name: value.clone() for name, value in network.state_dict().items()}, assign=True)
    with torch.no_grad():
        assert torch.equal(again.eval()(make_batch())["logits"], network(make_batch())["logits"])


def test_initial_weights_depend_on_the_seed_alone(folder: str) -> None:
    first, second = make_network(folder).state_dict(), make_network(folder).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_settings_are_nodes_or_objects(folder: str) -> None:
    nodes = [EncoderSettings(reads="text"), EncoderSettings(reads="picture", config=VIT)]
    for encoders in (nodes, OmegaConf.create([dict(one) for one in BOTH])):
        network = make_network(folder, encoders)  # type: ignore[arg-type]
        with torch.no_grad():
            assert torch.equal(network(make_batch())["logits"], make_network(folder)(make_batch())["logits"])


def _picture(**more: Any) -> tuple[Any, ...]:
    return TEXT, PICTURE | more


WRONG: dict[str, tuple[tuple[Any, ...], str]] = {
    "one": ((TEXT,), "found 1, expected two encoders"),
    "three": ((TEXT, TEXT, TEXT), "found 3, expected two encoders"),
    "a word": ((TEXT, "picture"), r"found \[1\] 'picture', expected its settings"),
    "key": (_picture(size=3), r"found \[1\]\.size an unknown key, expected one of reads, pretrained"),
    "sound": (_picture(reads="sound"), r"found \[1\]\.reads 'sound', expected text or picture"),
    "nothing": (({}, TEXT), r"found \[0\]\.reads None"),
    "nowhere": ((TEXT, {"reads": "picture"}), "an encoder of pictures that comes from nowhere"),
    "both": (_picture(pretrained="x"), "both pretrained and config"),
    "place": ((TEXT | {"pretrained": 3}, TEXT), r"\[0\]\.pretrained 3"),
    "frozen": (_picture(frozen="yes"), r"\[1\]\.frozen 'yes', expected true or false"),
    "mean": (_picture(mean=[1, 2, 3]), r"\[1\]\.mean \[1, 2, 3\], expected three numbers"),
    "std": (_picture(std=[0, 0.5, 0.5]), r"\[1\]\.std \[0, 0.5, 0.5\], expected three numbers"),
    "kind": (_picture(config={"model_type": "wit"}), r"\[1\]\.config\.model_type 'wit', expected an architecture"),
    "no kind": (_picture(config={"hidden_size": 3}), r"\[1\]\.config\.model_type None"),
    "size": (_picture(config=VIT | {"hiden_size": 3}), r"\[1\]\.config\.hiden_size an unknown key"),
    "no transformer": (_picture(config={"model_type": "convnext"}), r"found \[1\] convnext, whose .* no hidden_size"),
    "other words": (
        (TEXT, TEXT | {"config": {"model_type": "bert", "vocab_size": 30}}),
        r"found \[1\] an encoder of 30 tokens, expected one of the \d+ tokens",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_encoder_is_refused(folder: str, name: str) -> None:
    encoders, message = WRONG[name]
    with pytest.raises(UserError, match=message) as error:
        make_network(folder, encoders)
    assert error.value.fix == "leave model.network.encoders out, which takes those of the model's file"


def test_wrong_sizes_are_refused(folder: str) -> None:
    with pytest.raises(UserError, match=r"model\.network\.queries: found -1, expected at least 0.*set .*queries=256"):
        make_network(folder, queries=-1)
    with pytest.raises(UserErrors):
        make_network(folder, queries=-1, decoder_layers=-1)
    with pytest.raises(UserError, match=r"num_heads: found 3, expected a divisor of model\.network\.hidden_size=16"):
        make_network(folder, num_heads=3)
    with pytest.raises(UserError, match=r"trainer\.attention=packed: found an encoder of the kind vit"):
        make_network(folder, attention="packed")
