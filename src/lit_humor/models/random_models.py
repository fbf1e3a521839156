"""Models with random weights, and tokenizers trained on the embedded corpus, as folders that are made once."""

from __future__ import annotations

import csv
import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

_CORPUS_DIR = Path(__file__).parents[1] / "data" / "corpus"
SPECIAL_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]  # those of XLM-R, with the same ids
PAD, TURN, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"  # Qwen's names
PICTURE_START, PICTURE, PICTURE_END = "<|vision_start|>", "<|image_pad|>", "<|vision_end|>"
VIDEO = "<|video_pad|>"  # its configuration names one
CHAT_TOKENS = [PAD, TURN, TURN_END, PICTURE_START, PICTURE, PICTURE_END, VIDEO]
# Turns as Qwen3-VL writes them: of a role, with a picture where one is named, up to the opening of the answer.
CHAT_TEMPLATE = f"""
{{%- for message in messages -%}}
{{{{- '{TURN}' + message.role + '\n' -}}}}
{{%- if message.content is string -%}}
{{{{- message.content -}}}}
{{%- else -%}}
{{%- for part in message.content -%}}
{{{{- '{PICTURE_START}{PICTURE}{PICTURE_END}' if part.type == 'image' else part.text -}}}}
{{%- endfor -%}}
{{%- endif -%}}
{{{{- '{TURN_END}\n' -}}}}
{{%- endfor -%}}
{{%- if add_generation_prompt -%}}
{{{{- '{TURN}assistant\n' -}}}}
{{%- endif -%}}
""".strip()


def random_model(
    place: Path,
    train_tokenizer: Callable[[], PreTrainedTokenizerFast],
    build: Callable[[int], PreTrainedModel | PretrainedConfig],
) -> str:
    """Make a tokenizer of the embedded corpus and a model; the same weights every time.

    Args:
        place: Parent and beginning of the name of the folder; an existing folder is used again.
        train_tokenizer: Makes the tokenizer.
        build: Makes the model, or a configuration alone, given the number of tokens.

    Returns:
        The folder.
    """
    folder = place.with_name(f"{place.name}-{_corpus_hash()}")

    def make(unfinished: Path) -> None:
        tokenizer = train_tokenizer()
        tokenizer.save_pretrained(unfinished)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            build(len(tokenizer)).save_pretrained(unfinished)

    if not folder.is_dir():
        make_once(folder, make)
    return str(folder)


def make_once(folder: Path, make: Callable[[Path], None]) -> None:
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


def text_tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a byte-pair tokenizer, which is deterministic; training a unigram tokenizer as XLM-R's is not."""
    tokenizer = Tokenizer(BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=SPECIAL_TOKENS, show_progress=False)
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


def chat_tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a byte-level tokenizer as Qwen's are, with its special tokens by name and a chat template.

    Args:
        vocab_size: Most tokens, at least 263: all bytes and the special tokens.
    """
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=CHAT_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus_texts(num_characters=vocab_size // 3), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=PAD,
        additional_special_tokens=[token for token in CHAT_TOKENS if token not in (PAD, TURN_END)],
        chat_template=CHAT_TEMPLATE,
        model_max_length=4096,
        padding_side="left",
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
