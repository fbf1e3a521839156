"""Exports whose vocabulary is cut to the pieces of the run's data."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram, WordPiece
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaModel,
    pipeline,
)

from lit_humor.exporters.onnx import OnnxModel
from lit_humor.exporters.vocabulary import trim_vocabulary
from lit_humor.inference.scoring import load_scorer
from lit_humor.models.encoder import TextClassifier
from tests.e2e.typed import typed_here

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SENTENCE = "why did the hen cross a road because nobody asked it to run around in circles all day long"
WORDS = SENTENCE.split()
ALL_WORDS = [*dict.fromkeys(WORDS), "hens", "rolled", "cabbages"]
TEXTS = [" ".join(WORDS[start : start + 6]) for start in range(len(WORDS) - 6)]
SIZE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def _unigram() -> Tokenizer:
    pieces = [(piece, 0.0) for piece in SPECIAL] + [(f"▁{word}", -3.0) for word in ALL_WORDS]
    tokenizer = Tokenizer(Unigram([*pieces, *((letter, -10.0) for letter in "▁" + LETTERS)], unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def _wordpiece() -> Tokenizer:
    pieces = [*SPECIAL, *ALL_WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


@pytest.fixture(params=["unigram", "wordpiece"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A model with random weights: an XLM-R with unigram pieces, or a BERT with WordPiece."""
    made = _unigram() if request.param == "unigram" else _wordpiece()
    named = {"bos_token": "<s>", "cls_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "sep_token": "</s>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", model_max_length=30, **named)
    tokenizer.save_pretrained(tmp_path / "model")
    sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": 40, "pad_token_id": 1, **SIZE}
    torch.manual_seed(0)
    if request.param == "unigram":
        model: torch.nn.Module = XLMRobertaModel(XLMRobertaConfig(**sizes), add_pooling_layer=False)
    else:
        model = BertModel(BertConfig(**sizes), add_pooling_layer=False)
    model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_texts_of_kept_pieces_get_the_same_numbers_and_others_no_unknown_words(folder: Path) -> None:
    tokenizer, model = AutoTokenizer.from_pretrained(folder), TextClassifier(str(folder), 2).eval()
    others = ["a dog hid under the sea", "cabbages"]

    def numbers(by: PreTrainedTokenizerFast, texts: list[str]) -> torch.Tensor:
        with torch.inference_mode():
            return model(dict(by(texts, padding=True, return_tensors="pt")))["logits"]

    before, table = numbers(tokenizer, TEXTS), model.backbone.get_input_embeddings().weight.clone()
    pieces = [tokenizer.tokenize(text) for text in TEXTS]
    trimmed = trim_vocabulary(model, tokenizer, TEXTS)
    assert 40 < len(trimmed) < len(tokenizer) == len(table)
    assert [trimmed.tokenize(text) for text in TEXTS] == pieces
    assert trimmed.pad_token_id == tokenizer.pad_token_id == 1
    for piece, index in trimmed.get_vocab().items():
        kept = model.backbone.get_input_embeddings().weight[index]
        assert torch.equal(kept, table[tokenizer.convert_tokens_to_ids(piece)]), piece
    torch.testing.assert_close(numbers(trimmed, TEXTS), before, rtol=0, atol=0)
    assert trimmed.unk_token_id not in trimmed(" ".join(others))["input_ids"]
    assert trimmed.tokenize("cabbages") != tokenizer.tokenize("cabbages"), "no text had it"
    assert torch.isfinite(numbers(trimmed, others)).all()


def test_an_export_of_the_used_vocabulary_is_smaller_and_says_the_same(folder: Path, tmp_path: Path) -> None:
    rows = [f"{text},{index % 2}" for index, text in enumerate(TEXTS * 4)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *rows]))
    quick = ("baseline=false", "report=false", "trainer.precision=32-true", "data.split_similarity=null")
    data = ("data=csv", f"data.train_path={tmp_path / 'rows.csv'}", f"data.val_path={tmp_path / 'rows.csv'}")
    where = (f"paths.logs_dir={tmp_path}", "run_id=run", "data.test_fraction=0", "data.max_length=30")
    model = ("model=encoder", f"model.pretrained={folder}")
    done = typed_here("train", "debug=tiny", *model, *data, *where, *quick)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    texts = pq.read_table(run / "predictions" / "val.parquet")["text"].to_pylist()
    expected = load_scorer(str(run)).score(texts)
    to = "onnx" if type(load_scorer(str(run)).tokenizer.backend_tokenizer.model) is Unigram else "huggingface"
    done = typed_here("export", f"run={run}", f"to={to}", "vocabulary=used")
    assert done.returncode == 0, done.stderr
    exported = run / "export" / to
    parity = json.loads((exported / "parity.json").read_text())
    assert parity["pieces"] < parity["pieces_before"]
    assert parity["largest_difference"] < 1e-5
    if to == "onnx":
        assert OnnxModel(exported).score(texts) == pytest.approx(expected, abs=1e-5)
    else:
        scores = pipeline("text-classification", str(exported), device="cpu")("hens rolled cabbages", top_k=None)
        assert sum(one["score"] for one in scores) == pytest.approx(1)
