"""One language model that embeds texts and writes texts.

Legend: B rows, G passages of a row, T/P/U tokens of the longest text/prompt/answer, D hidden size, V vocabulary.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from typing import Any, NotRequired

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PretrainedConfig

from lit_humor.core.batch import Batch
from lit_humor.core.errors import UserError
from lit_humor.models.depths import depths_of
from lit_humor.models.network import Network
from lit_humor.models.pretrained import checkpoint_activations, find_layers, first_position, load_backbone, load_config
from lit_humor.models.rates import set_rates


class PairBatch(Batch):
    """A micro-batch of texts to embed and to write; ``PreparedPairs`` makes its tensors.

    Masks are int64, 1 on tokens and 0 on padding; texts are padded on the right, prompts on the left, so that the
    answer follows its prompt.
    """

    query_ids: NotRequired[Tensor]  # [B, T] int64
    query_mask: NotRequired[Tensor]  # [B, T]
    query_pooled: NotRequired[Tensor]  # [B, T] int64, 1 on tokens that are not instruction
    passage_ids: NotRequired[Tensor]  # [B, G, T] int64, the row's own passage first, then negatives
    passage_mask: NotRequired[Tensor]  # [B, G, T]
    passage_pooled: NotRequired[Tensor]  # [B, G, T] int64, as query_pooled, where passages have instructions
    text_keys: NotRequired[Tensor]  # [B, 1 + G] int64, equal for equal texts: query, passages; -1: no such passage
    prompt_ids: NotRequired[Tensor]  # [B, P] int64
    prompt_mask: NotRequired[Tensor]  # [B, P]
    answer_ids: NotRequired[Tensor]  # [B, U] int64, with the end of the text
    answer_mask: NotRequired[Tensor]  # [B, U]
    embedding_weights: Tensor  # [B] float32, 1 if the row trains the embedding, else 0
    writing_weights: Tensor  # [B] float32, 1 if the row trains the writing, else 0


class GritLM(Network):
    """Embeds with attention in both directions and the mean of the tokens, writes with causal attention.

    The directions are two masks of one model, decoder or encoder; ``check_directions`` proves them on the model itself.
    What is computed is what the batch has tensors for.

    Source: Muennighoff et al. 2024, Generative Representational Instruction Tuning (arXiv 2402.09906).
    Cost: one forward pass of the queries and passages, one of the prompts with answers.
    Alternatives: ``TextClassifier`` for classes; an encoder alone embeds as well, and cannot write.

    Args:
        pretrained: Name on the hub or local folder; an encoder gets a new head for writing on its word embeddings.
        dropout: Dropout of hidden states; None keeps the model's own.
        attention_dropout: Dropout of attention probabilities; None keeps the model's own.
        gradient_checkpointing: Keep only the input of each layer and compute the rest again in the backward pass.
        attention: Attention backend of transformers, ``sdpa`` or ``eager``.
        with_weights: Load the pretrained weights; False leaves parameters without values, for a checkpoint.

    Raises:
        UserError: The model cannot be found or loaded, or does not follow a mask.
    """

    gives = ("query_embeddings", "passage_embeddings", "answer_logits")

    def __init__(
        self,
        pretrained: str,
        *,
        dropout: float | None = None,
        attention_dropout: float | None = None,
        gradient_checkpointing: bool = False,
        attention: str = "sdpa",
        with_weights: bool = True,
    ) -> None:
        super().__init__()
        config = load_config(pretrained)
        set_rates(config, dropout, attention_dropout)
        config.is_decoder = True  # encoders write step by step, with a cache, only as decoders
        self.lm: Any = load_backbone(pretrained, config, attention, with_weights, AutoModelForCausalLM)
        self.lm.train()  # from_pretrained leaves evaluation mode, and the Trainer would keep it: no dropout
        self.first_position = first_position(config)
        if self.first_position:
            _shift_positions(self.lm, self.first_position)
        first_names = {id(p): name for name, p in self.named_parameters()}
        names = {name: first_names[id(p)] for name, p in self.named_parameters(remove_duplicate=False)}
        self._second_names = {name: first for name, first in names.items() if name != first}
        if with_weights:
            check_directions(self)
        if gradient_checkpointing:
            checkpoint_activations(self.lm)
        self.register_load_state_dict_post_hook(_tie_again)

    def keeps(self, name: str) -> bool:
        """Leave out the second name of a tensor, such as the word embeddings as a part of the head."""
        return name not in self._second_names

    @property
    def config(self) -> PretrainedConfig:
        """Configuration of the language model, from transformers."""
        return self.lm.config

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Embed and write what the batch has.

        Args:
            batch: Tensors of a ``PairBatch``.

        Returns:
            ``query_embeddings`` [B, D] and ``passage_embeddings`` [B, G, D], float32 of length 1; 0 where a passage is
            not there. ``answer_logits`` [B, U, V]: of each token of the answer, given those before it.
        """
        outputs = {}
        if "query_ids" in batch:
            outputs["query_embeddings"] = self.embed(batch["query_ids"], batch["query_mask"], batch["query_pooled"])
        if "passage_ids" in batch:
            there = batch["text_keys"][:, 1:] >= 0
            places = there.flatten().nonzero().squeeze(1)  # once: each use of a mask would wait for a GPU
            ids, mask = (batch[name].flatten(0, 1)[places] for name in ("passage_ids", "passage_mask"))
            pooled = batch["passage_pooled"].flatten(0, 1)[places] if "passage_pooled" in batch else mask
            vectors = self.embed(ids, mask, pooled)
            passages = vectors.new_zeros(there.numel(), vectors.shape[-1]).index_copy(0, places, vectors)
            outputs["passage_embeddings"] = passages.unflatten(0, there.shape)
        if "answer_ids" in batch:
            prompt, answer = batch["prompt_ids"], batch["answer_ids"]
            ids = torch.cat([prompt, answer], dim=1)
            mask = torch.cat([batch["prompt_mask"], batch["answer_mask"]], dim=1)
            outputs["answer_logits"] = self.read_on(ids, mask, answer.shape[1])
        return outputs

    def embed(self, ids: Tensor, mask: Tensor, pooled: Tensor) -> Tensor:
        """Return the mean of the vectors of tokens, attention in both directions, of length 1.

        Args:
            ids: [B, T] int64.
            mask: [B, T] int64, 1 on tokens.
            pooled: [B, T] int64, 1 on the tokens of the mean, at least one a row.

        Returns:
            [B, D] float32.
        """
        hidden = self._hidden(ids, mask, causal=False)
        weights = pooled[..., None].float()
        mean = (hidden.float() * weights).sum(dim=1) / weights.sum(dim=1)
        return nn.functional.normalize(mean, dim=-1)

    def read_on(self, ids: Tensor, mask: Tensor, count: int) -> Tensor:
        """Return the logits [B, count, V] of the last ``count`` tokens, each given those before it.

        Args:
            ids: [B, T] int64, with padding on either side.
            mask: [B, T] int64, 1 on tokens.
            count: Number of tokens.
        """
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0) + self.first_position
        logits = self.lm(
            ids,
            attention_mask=_mask(mask, self.lm.dtype, causal=True),
            position_ids=positions,
            use_cache=False,
            logits_to_keep=count + 1,
        ).logits
        return logits[:, :-1]

    @torch.no_grad()
    def write(self, batch: Mapping[str, Tensor], max_tokens: int, end: int, num_beams: int = 1) -> Tensor:
        """Write an answer to each prompt: the likeliest next token, or the likeliest of several beginnings.

        Args:
            batch: ``prompt_ids`` and ``prompt_mask``.
            max_tokens: Most tokens of an answer.
            end: Id of the token that ends an answer.
            num_beams: Beginnings that are kept; 1 is greedy.

        Returns:
            [B, max_tokens] int64, ``end`` where an answer has ended.
        """
        prompt = batch["prompt_ids"]
        ids = self.lm.generate(
            input_ids=prompt,
            attention_mask=batch["prompt_mask"],
            max_new_tokens=max_tokens,
            num_beams=num_beams,
            do_sample=False,
            eos_token_id=end,
            pad_token_id=end,
            use_cache=True,
        )[:, prompt.shape[1] :]
        return nn.functional.pad(ids, (0, max_tokens - ids.shape[1]), value=end)

    def parameter_depths(self) -> dict[str, int]:
        """Return the depth of each parameter by name: 0 embeddings, 1 ... L layers (bottom to top), L + 1 head."""
        backbone = self.lm.base_model
        of_backbone = {id(p) for p in backbone.parameters()}
        head = nn.ParameterList(p for p in self.lm.parameters() if id(p) not in of_backbone)
        depths = depths_of(backbone, self.layers(), head)
        return {name: depths[id(p)] for name, p in self.named_parameters()}

    def layers(self) -> nn.ModuleList:  # type: ignore[override]  # it is a sequence in all but name
        """Return the layers, bottom to top."""
        return find_layers(self, self.config)

    def _hidden(self, ids: Tensor, mask: Tensor, *, causal: bool) -> Tensor:
        four = _mask(mask, self.lm.dtype, causal=causal)
        return self.lm.base_model(ids, attention_mask=four, use_cache=False).last_hidden_state


def check_directions(network: GritLM) -> None:
    """Check on the model itself that a later token moves earlier vectors when it embeds, and never when it writes.

    Raises:
        UserError: It does not follow the mask: its attention has a direction of its own.
    """
    was_training = network.training
    device = next(network.parameters()).device
    ids = torch.tensor([[5, 6, 7], [5, 6, 8]], device=device)
    mask = torch.ones_like(ids)
    network.eval()
    try:
        with torch.no_grad():
            moved = []
            for causal in (False, True):
                hidden = network._hidden(ids, mask, causal=causal)[:, 0].float()
                moved.append(bool((hidden[0] - hidden[1]).abs().max() > 1e-4 * hidden.abs().max()))
    finally:
        network.train(was_training)
    if moved != [True, False]:
        names = {True: "both directions", False: "one direction"}
        raise UserError(
            f"model.pretrained={network.config.name_or_path}",
            found=f"attention in {names[moved[0]]} to embed and in {names[moved[1]]} to write",
            expected="both directions to embed, one to write, as the mask says",
            fix="set model=gritlm_minilm",
        )


def _mask(mask: Tensor, dtype: torch.dtype, *, causal: bool) -> Tensor:
    """Return what is added to the scores [B, 1, T, T]: 0 where a token may look, a very small number elsewhere.

    Padding may look at itself: where half precision makes the number -inf, a row without any 0 would become NaN.
    """
    width = mask.shape[1]
    visible = mask.bool()[:, None, None, :].expand(-1, 1, width, -1)
    if causal:
        visible = visible & torch.ones(width, width, dtype=torch.bool, device=mask.device).tril()
    visible = visible | torch.eye(width, dtype=torch.bool, device=mask.device)
    return torch.zeros(visible.shape, dtype=dtype, device=mask.device).masked_fill(~visible, torch.finfo(dtype).min)


def _tie_again(network: GritLM, incompatible: Any) -> None:
    """Hook: what has several names is what was loaded by the first; ``tie_weights`` would take the other for it."""
    for second, first in network._second_names.items():
        module, _, name = second.rpartition(".")
        setattr(network.get_submodule(module), name, network.get_parameter(first))


def _shift_positions(lm: Any, first: int) -> None:
    """Have ``generate`` count positions from the one of the first token, which RoBERTa has behind its padding index."""
    prepare = type(lm).prepare_inputs_for_generation

    @functools.wraps(prepare)  # generate() asks for the names of its arguments
    def prepare_inputs(self: Any, *args: Any, **named: Any) -> dict[str, Any]:
        inputs: dict[str, Any] = prepare(self, *args, **named)
        if inputs.get("position_ids") is not None:
            inputs["position_ids"] = inputs["position_ids"] + first
        return inputs

    lm.prepare_inputs_for_generation = types.MethodType(prepare_inputs, lm)
