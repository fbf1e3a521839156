"""Exports a trained model as an ONNX graph, in fp32 or int8, that runs without torch. Legend: N rows, K numbers."""

from __future__ import annotations

import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from lit_humor.core.errors import MissingExtraError
from lit_humor.models.picture_encoder import PictureEncoder
from lit_humor.models.state_encoder import StateEncoder, TextEncoder
from lit_humor.models.texts import TEXT_INPUTS
from lit_humor.runs import record
from lit_humor.tasks.answers import ExportForm

OPSET = 18
_MODEL, _LABELS = "model.onnx", "labels.json"
_BATCH_ROWS = 32
_MAX_PROTOBUF_BYTES = 2**31 - 2**20  # a larger model needs external data
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda logits: torch.softmax(logits, dim=-1),
    "sigmoid": torch.sigmoid,
    "none": lambda logits: logits,
}


class _Numbers(nn.Module):
    """Maps the inputs of a graph to the numbers of a task; takes positional arguments, as ONNX requires."""

    def __init__(self, model: nn.Module, names: Iterable[str], activation: str, temperature: float) -> None:
        super().__init__()
        self.model, self.names = model, tuple(names)
        self.activation, self.temperature = ACTIVATIONS[activation], temperature

    def forward(self, *inputs: Tensor) -> Tensor:
        batch = dict(zip(self.names, inputs, strict=True))
        return self.activation(self.model(batch)["logits"] / self.temperature)


def save_onnx(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    form: ExportForm,
    *,
    temperature: float,
    max_length: int,
    inputs: Mapping[str, Tensor],
    folder: Path,
) -> None:
    """Write ``model.onnx`` (any number of rows and tokens), ``tokenizer.json`` and ``labels.json``.

    Args:
        model: A network that gives ``logits``; its encoders get another attention backend.
        tokenizer: Its tokenizer.
        form: What its numbers are.
        temperature: What the logits are divided by.
        max_length: Most tokens of a text.
        inputs: Result of ``graph_inputs``.
        folder: A folder that is made.

    Raises:
        MissingExtraError: The ``export`` extra is not installed.
    """
    _need("onnxscript")
    rows, tokens = torch.export.Dim("rows"), torch.export.Dim("tokens", max=max_length)
    dynamic_sizes = tuple({0: rows, 1: tokens} if name in TEXT_INPUTS else {0: rows} for name in inputs)
    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            module.set_attn_implementation("eager")  # uses only basic operations
    folder.mkdir(parents=True, exist_ok=True)
    num_bytes = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is missing, which is not needed
    with warnings.catch_warnings():  # on names of axes
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Numbers(model, inputs, form.activation, temperature).eval(),
            tuple(inputs.values()),
            str(folder / _MODEL),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=[form.output],
            dynamic_shapes=(dynamic_sizes,),
            external_data=num_bytes > _MAX_PROTOBUF_BYTES,
            verbose=False,
        )
    save_companions(tokenizer, form.names, max_length, folder)


def graph_inputs(model: nn.Module, with_token_types: bool, picture_size: int) -> dict[str, Tensor]:
    """Return an example of each input of a graph by its name: those that the model reads, of two rows.

    Args:
        model: A network.
        with_token_types: Whether it has token types.
        picture_size: Height and width of its pictures in pixels, if it reads some.
    """
    readers = {type(module) for module in model.modules() if isinstance(module, StateEncoder)}
    ids, examples = torch.full((2, 8), 5, dtype=torch.long), dict[str, Tensor]()
    if not readers or TextEncoder in readers:
        names = TEXT_INPUTS if with_token_types else TEXT_INPUTS[:2]
        examples |= dict(zip(names, (ids, torch.ones_like(ids), torch.zeros_like(ids)), strict=False))
    if PictureEncoder in readers:
        examples["pictures"] = torch.zeros(2, picture_size, picture_size, 3, dtype=torch.uint8)
    return examples


def save_companions(tokenizer: PreTrainedTokenizerBase, names: Sequence[str], max_length: int, folder: Path) -> None:
    """Write the files beside the graph: ``tokenizer.json`` (with truncation and padding) and ``labels.json``."""
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(max_length)
    backend.enable_padding(pad_id=tokenizer.pad_token_id, pad_token=tokenizer.pad_token)
    backend.save(str(folder / "tokenizer.json"))
    backend.no_truncation()
    backend.no_padding()
    record.write_json(folder / _LABELS, list(names))


def quantize(source: Path, folder: Path) -> None:
    """Write an int8 copy of a folder made by ``save_onnx``: weights per channel, activations dynamically.

    Raises:
        MissingExtraError: The ``export`` extra is not installed.
    """
    _need("onnxruntime")
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    folder.mkdir(parents=True, exist_ok=True)
    graph = onnx.load(source / _MODEL)
    del graph.graph.value_info[:]  # the quantizer reports shapes of torch's export as contradictory
    with tempfile.TemporaryDirectory() as temporary:
        model_path = Path(temporary) / _MODEL
        onnx.save(graph, model_path, save_as_external_data=graph.ByteSize() > _MAX_PROTOBUF_BYTES)
        quantize_dynamic(model_path, folder / _MODEL, weight_type=QuantType.QInt8, per_channel=True)
    for name in ("tokenizer.json", _LABELS):
        (folder / name).write_bytes((source / name).read_bytes())


class PicturesOfRows(Protocol):
    """The pictures of N rows."""

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Return the pictures of rows [B], [B, S, S, 3] uint8."""


class OnnxModel:
    """Scores rows with a folder of ``save_onnx``; uses onnxruntime and tokenizers, not torch.

    Args:
        folder: Folder with graph, tokenizer and labels.

    Raises:
        MissingExtraError: The ``export`` extra is not installed.
    """

    def __init__(self, folder: Path) -> None:
        _need("onnxruntime")
        import onnxruntime
        from tokenizers import Tokenizer

        self.session = onnxruntime.InferenceSession(str(folder / _MODEL), providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.names: list[str] = record.read_json(folder / _LABELS)

    def score(
        self,
        texts: Sequence[str],
        text_pairs: Sequence[str] | None = None,
        pictures: PicturesOfRows | None = None,
    ) -> np.ndarray:
        """Return the numbers [N, K] of texts, each with its second text and picture if it has these, in their order."""
        inputs: list[Any] = list(texts) if text_pairs is None else list(zip(texts, text_pairs, strict=True))
        order = sorted(range(len(inputs)), key=lambda row: -len(texts[row]))
        names = [graph_input.name for graph_input in self.session.get_inputs()]
        numbers = np.zeros((len(inputs), len(self.names)))
        for start in range(0, len(order), _BATCH_ROWS):
            rows = order[start : start + _BATCH_ROWS]
            encodings = self.tokenizer.encode_batch([inputs[row] for row in rows])
            values = {
                "input_ids": [encoding.ids for encoding in encodings],
                "attention_mask": [encoding.attention_mask for encoding in encodings],
                "token_type_ids": [encoding.type_ids for encoding in encodings],
            }
            feeds = {name: np.asarray(values[name], dtype=np.int64) for name in names if name in values}
            if "pictures" in names and pictures is not None:
                feeds["pictures"] = pictures.of_rows(np.asarray(rows))
            numbers[rows] = self.session.run(None, feeds)[0]
        return numbers


def seconds_to_score(
    models: Sequence[OnnxModel],
    texts: Sequence[str],
    text_pairs: Sequence[str] | None,
    pictures: PicturesOfRows | None = None,
    repeats: int = 3,
) -> list[float]:
    """Return the median seconds that each model takes for all rows; their repeats alternate."""
    seconds: list[list[float]] = [[] for _ in models]
    for _ in range(repeats):
        for index, model in enumerate(models):
            start = time.perf_counter()
            model.score(texts, text_pairs, pictures)
            seconds[index].append(time.perf_counter() - start)
    return [statistics.median(values) for values in seconds]


def folder_bytes(folder: Path) -> int:
    """Return the size of the graph with its weights in bytes."""
    return sum(path.stat().st_size for path in folder.glob(f"{_MODEL}*"))


def _need(package: str) -> None:
    """Raise a ``MissingExtraError`` if a package is not installed."""
    try:
        __import__(package)
    except ImportError:
        raise MissingExtraError("to=onnx", package=package, extra="export") from None
