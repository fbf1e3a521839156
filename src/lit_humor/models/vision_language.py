"""A language model that answers questions about pictures.

Legend: B rows, T tokens of the longest prompt, A of the longest answer, P patches of the largest picture, D numbers of
a patch, V words, R texts that are written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar, Literal, NotRequired

import torch
from torch import Tensor, nn
from transformers import AutoModelForImageTextToText, PretrainedConfig

from lit_humor.core.batch import Batch
from lit_humor.models.adapters import LORA, add_adapter, in_fp32, merge_adapter, read_adapter
from lit_humor.models.depths import depths_of
from lit_humor.models.network import Network
from lit_humor.models.picture_features import PictureReader
from lit_humor.models.picture_positions import picture_positions
from lit_humor.models.pretrained import Pretrained, checkpoint_activations, load_backbone
from lit_humor.models.pretrained_vision import PretrainedVisionLanguage, combined_sum, load_vision_config
from lit_humor.models.quantizing import NF4, NONE, check_quantization, in_4_bits, keep_packing
from lit_humor.models.writing import write_with

_MIB = 2**20
_BASE = "base"  # a buffer: the hash of the files of the frozen weights


class ChatBatch(Batch):
    """A micro-batch of questions about pictures: prompts are padded on the left, answers on the right."""

    input_ids: Tensor  # [B, T] int64, up to the opening of the answer; the picture's token once each merged group
    attention_mask: Tensor  # [B, T] int64, 1 on tokens
    patches: Tensor  # [B, P, D] uint8, one frame, in the order of Qwen2VLImageProcessor; zeros behind a row's own
    patch_grid: Tensor  # [B, 2] int64, height and width in patches; 0, 0: no picture
    picture_keys: Tensor  # [B] int64, which of the distinct pictures of all splits; -1: unknown
    answer_ids: NotRequired[Tensor]  # [B, A] int64, with the mark of its end
    answer_mask: NotRequired[Tensor]  # [B, A] int64, 1 on tokens
    writing_weights: NotRequired[Tensor]  # [B] float32, 1 if the row trains the writing, else 0


class VisionLanguage(Network):
    """Qwen3-VL: a vision tower whose vectors stand among the words of a causal language model.

    With an adapter, low-rank matrices beside the attention of the language model learn, in fp32, and all weights of the
    model stay as they are, in the type of their files. Checkpoints then hold the adapter alone, with the hash of those
    files. Without one, all weights learn.

    Source: Qwen3-VL technical report (arXiv 2511.21631); Hu et al. 2021, LoRA (arXiv 2106.09685); Dettmers et al. 2023,
    QLoRA (arXiv 2305.14314), whose ``prepare_model_for_kbit_training`` is not used: it makes fp32 of embeddings and
    head, and turns gradient checkpointing on.
    Cost: the language model over picture, prompt and answer; the head over the answer alone; the tower once a picture
    where it is frozen.
    Alternatives: ``Fused`` reads a picture with a small encoder, and trains from random weights.

    Args:
        pretrained: Name on the hub or local folder.
        adapter: Node with the attributes of ``AdapterSettings``; None: all weights learn.
        quantization: ``none``, or ``nf4``: frozen matrices of the language model have 4 bits, and their scales 8.
        picture_cache_mib: MiB of main memory for what a frozen vision tower makes of pictures; 0 keeps nothing.
        mean: Of red, green and blue in the pictures that the tower was trained on, each from 0 to 1.
        std: Their standard deviations.
        gradient_checkpointing: Keep only the input of each layer and compute the rest again in the backward pass.
        attention: Attention backend of transformers (``sdpa``, ``eager``, ``matmul``).
        with_weights: Load the weights; False leaves them to a checkpoint that follows, and to ``load_kept_out``.

    Raises:
        UserError: The model cannot be found or loaded, is of another kind, or does not support a setting.
        MissingExtraError: The extra ``qlora`` is not installed, and an adapter or 4 bits are asked for.
    """

    gives = ("answer_logits",)
    loaded_from: ClassVar[type[Pretrained]] = PretrainedVisionLanguage
    base: Tensor

    def __init__(
        self,
        pretrained: str,
        *,
        adapter: Mapping[str, Any] | None = None,
        quantization: Literal["none", "nf4"] = "none",
        picture_cache_mib: int = 1024,
        mean: Sequence[float] = (0.5, 0.5, 0.5),
        std: Sequence[float] = (0.5, 0.5, 0.5),
        gradient_checkpointing: bool = False,
        attention: str = "sdpa",
        with_weights: bool = True,
    ) -> None:
        super().__init__()
        self.adapter, self.quantization, self.attention = read_adapter(adapter), quantization, attention
        check_quantization(quantization, has_adapter=self.adapter is not None)
        self.checkpoints = gradient_checkpointing
        self._reading: dict[str, Any] = {"most_bytes": picture_cache_mib * _MIB, "mean": mean, "std": std}
        self._config = load_vision_config(pretrained)
        self.lm: Any = None
        if self.adapter is None or with_weights:
            self._load(pretrained, with_weights)

    def _load(self, pretrained: str, with_weights: bool) -> None:
        """Load the model, and make its adapter."""
        lm = self._build(pretrained, with_weights)
        lm.train()  # from_pretrained leaves evaluation mode, and the Trainer would keep it: no dropout
        if self.adapter is not None:
            lm.requires_grad_(False)
            add_adapter(lm, self.adapter)
            self.register_buffer(_BASE, combined_sum(pretrained))
        if self.checkpoints:
            checkpoint_activations(lm)
        self._use(lm)

    def _build(self, pretrained: str, with_weights: bool = True, quantization: str | None = None) -> Any:
        """Build the model of transformers, without its adapter; ``quantization`` None is that of the network."""
        config = deepcopy(self._config)  # loading writes into it
        loading: dict[str, Any] = {} if self.adapter is None else {"dtype": "auto"}
        if (quantization or self.quantization) == NF4:
            loading |= in_4_bits(config)
        lm = load_backbone(pretrained, config, self.attention, with_weights, AutoModelForImageTextToText, **loading)
        keep_packing(lm)
        return lm

    def _use(self, lm: Any) -> None:
        """Read with a model of transformers from now on."""
        self.lm = lm
        self.read_pictures = PictureReader(lm, is_frozen=self.adapter is not None, **self._reading)

    def merged(self, pretrained: str) -> Any:
        """Return a model of transformers in which the adapter is added to weights that were never rounded.

        Args:
            pretrained: Name or folder of the weights.
        """
        assert self.adapter is not None
        lm = self._build(pretrained, quantization=NONE)
        add_adapter(lm, self.adapter)
        learned = {name: value for name, value in self.lm.named_parameters() if LORA in name}
        lm.load_state_dict(learned, strict=False)
        merge_adapter(lm)
        return lm

    def read_exported(self, folder: str, base: str | None) -> None:
        """Read with what was exported to a folder from now on: a whole model, or an adapter beside that of ``base``."""
        lm = self._build(base) if base else self._build(folder, quantization=NONE)
        if base:
            lm.load_adapter(folder)
            in_fp32(lm)
        self._use(lm)

    def load_kept_out(self, find: Callable[[], Pretrained]) -> None:
        """Load the frozen weights, which checkpoints leave out."""
        if self.lm is None:
            self._load(find().name, with_weights=True)

    def keeps(self, name: str) -> bool:
        """Keep the adapter alone, and the hash of the files of all other weights."""
        return self.adapter is None or name == _BASE or LORA in name

    @property
    def config(self) -> PretrainedConfig:
        """Configuration of the model, from transformers."""
        return self._config

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Read prompts with their pictures and answers.

        Args:
            batch: Tensors of a ``ChatBatch``.

        Returns:
            ``answer_logits`` [B, A, V] of each token of the answer, given those before it; nothing without answers.
        """
        if "answer_ids" not in batch:
            return {}
        answers = batch["answer_ids"]
        ids = torch.cat([batch["input_ids"], answers], dim=1)
        mask = torch.cat([batch["attention_mask"], batch["answer_mask"]], dim=1)
        read, _ = self.read_prompts(batch, ids, mask, use_cache=False, logits_to_keep=answers.shape[1] + 1)
        return {"answer_logits": read.logits[:, :-1]}

    def read_prompts(
        self, batch: Mapping[str, Tensor], ids: Tensor, mask: Tensor, **options: Any
    ) -> tuple[Any, Tensor]:
        """Run the model over prompts with their pictures.

        Args:
            batch: Tensors of a ``ChatBatch``.
            ids: [B, T + A] int64, the prompts and what follows them.
            mask: [B, T + A] int64, 1 on tokens.
            options: For the model of transformers.

        Returns:
            Its output, and the positions [3, B, T + A] of the tokens.
        """
        prompts = batch["input_ids"]
        is_picture = prompts == self._config.image_token_id
        is_picture = nn.functional.pad(is_picture, (0, ids.shape[1] - prompts.shape[1]))
        grid = batch["patch_grid"] // self._config.vision_config.spatial_merge_size
        positions = picture_positions(mask, is_picture, grid)
        pictures = self.read_pictures(batch)
        read = self.lm(
            ids,
            attention_mask=mask,
            position_ids=positions,
            mm_encoder_outputs=None if pictures is None else {"image": pictures},
            **options,
        )
        return read, positions

    @torch.no_grad()
    def write(self, batch: Mapping[str, Tensor], max_tokens: int, end: int, num_beams: int = 1) -> Tensor:
        """Write an answer to each prompt; see ``models/writing.py``.

        Args:
            batch: Tensors of a ``ChatBatch``; its answers are not read.
            max_tokens: Most tokens of an answer.
            end: Id of the token that ends an answer.
            num_beams: Beginnings that are kept; 1 is greedy.

        Returns:
            [B, max_tokens] int64, ``end`` where an answer has ended.
        """
        return write_with(_Writing(self, batch, num_beams), num_beams, max_tokens, end)

    def parameter_depths(self) -> dict[str, int]:
        """Return the depth of each parameter by name.

        0 embeddings and vision tower, 1 ... L layers of the language model (bottom to top), L + 1 head.
        """
        tied = {id(p) for p in self.lm.model.parameters()}
        head = nn.ParameterList(p for p in self.lm.lm_head.parameters() if id(p) not in tied)
        depths = depths_of(self.lm.model, self.layers(), head)
        return {name: depths[id(p)] for name, p in self.named_parameters()}

    def layers(self) -> nn.ModuleList:  # type: ignore[override]  # it is a sequence in all but name
        """Return the layers of the language model, bottom to top."""
        return self.lm.model.language_model.layers

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        theirs = state_dict.get(f"{prefix}{_BASE}")
        if theirs is not None and self.adapter is not None and not torch.equal(theirs.cpu(), self.base.cpu()):
            errors: list[str] = args[-1]
            errors.append(
                "the adapter was trained on another model than model.pretrained now, by the hash of its files"
            )
        super()._load_from_state_dict(state_dict, prefix, *args)


class _Writing:
    """Texts that grow, with the keys and values of what was read; a ``Writer``."""

    def __init__(self, network: VisionLanguage, batch: Mapping[str, Tensor], num_beams: int) -> None:
        ids, mask = batch["input_ids"], batch["attention_mask"]
        read, positions = network.read_prompts(batch, ids, mask, use_cache=True, logits_to_keep=1)
        self.lm, self.cache, self.first = network.lm, read.past_key_values, read.logits[:, -1]
        self.mask, self.positions = mask, positions[:, :, -1:]  # [3, R, 1], of the last token
        if num_beams > 1:
            self.cache.batch_repeat_interleave(num_beams)
            self.first, self.mask = (one.repeat_interleave(num_beams, dim=0) for one in (self.first, self.mask))
            self.positions = self.positions.repeat_interleave(num_beams, dim=1)

    def step(self, ids: Tensor | None) -> Tensor:
        """Append a token [R] to each text (None: nothing), and return the logits [R, V] of the one that follows."""
        if ids is None:
            return self.first
        self.positions = self.positions + 1
        self.mask = nn.functional.pad(self.mask, (0, 1), value=1)
        read = self.lm(
            ids[:, None],
            attention_mask=self.mask,
            position_ids=self.positions,
            past_key_values=self.cache,
            use_cache=True,
        )
        self.cache = read.past_key_values
        return read.logits[:, -1]

    def select(self, rows: Tensor) -> None:
        """Go on with these of the R texts, [R] int64, each within its row."""
        self.cache.reorder_cache(rows)
        self.mask, self.positions = self.mask[rows], self.positions[:, rows]
