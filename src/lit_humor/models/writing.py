"""Writes texts token by token: the likeliest next token, or the likeliest of several beginnings.

Legend: B rows, K beams of a row, R = B K texts, V words, U tokens.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F


class Writer(Protocol):
    """Texts that grow by a token at a time."""

    def step(self, ids: Tensor | None) -> Tensor:
        """Append a token [R] to each text (None: nothing), and return the logits [R, V] of the one that follows."""

    def select(self, rows: Tensor) -> None:
        """Go on with these of the R texts, [R] int64, each within its row."""


def write_with(writer: Writer, num_beams: int, max_tokens: int, end: int) -> Tensor:
    """Write [B, U] int64 with so many beams, as ``write_by_beams``; one is greedy, as ``write_greedily``."""
    if num_beams == 1:
        return write_greedily(writer, max_tokens, end)
    return write_by_beams(writer, num_beams, max_tokens, end)


def write_greedily(writer: Writer, max_tokens: int, end: int) -> Tensor:
    """Write the likeliest token each time, until all texts have ended.

    Args:
        writer: B texts.
        max_tokens: U, most tokens of a text.
        end: Id of the token that ends a text.

    Returns:
        [B, U] int64, ``end`` where a text has ended.
    """
    ids: Tensor | None = None
    written: list[Tensor] = []
    for _ in range(max_tokens):
        likeliest = writer.step(ids).argmax(dim=-1)
        ids = likeliest if ids is None else likeliest.masked_fill(ids == end, end)
        written.append(ids)
        if bool((ids == end).all()):
            break
    return F.pad(torch.stack(written, dim=1), (0, max_tokens - len(written)), value=end)


def write_by_beams(writer: Writer, num_beams: int, max_tokens: int, end: int) -> Tensor:
    """Keep the likeliest K beginnings of each row, and return the text whose tokens have the best mean likelihood.

    The score of a text is the sum of the log-likelihoods of its tokens divided by their number, the end included. The
    search stops when no beginning can become better than the best text that has ended.

    Source: Graves 2012, Sequence Transduction with Recurrent Neural Networks, section 2.5; Wu et al. 2016, GNMT, for
    the division by length, with exponent 1. Cost: K times that of writing greedily.
    Alternatives: ``write_greedily``.

    Args:
        writer: B K texts, those of a row side by side.
        num_beams: K.
        max_tokens: U, most tokens of a text.
        end: Id of the token that ends a text.

    Returns:
        [B, U] int64, ``end`` where a text has ended.
    """
    logits = writer.step(None)
    num_rows, device = len(logits) // num_beams, logits.device
    firsts = torch.arange(num_rows, device=device)[:, None] * num_beams
    totals = torch.full((num_rows, num_beams), -torch.inf, device=device)
    totals[:, 0] = 0  # at the start all beginnings of a row are one
    written = torch.empty(num_rows, num_beams, 0, dtype=torch.int64, device=device)
    best = torch.full((num_rows, max_tokens), end, device=device)
    best_scores = torch.full((num_rows,), -torch.inf, device=device)
    for length in range(1, max_tokens + 1):
        sums = totals[:, :, None] + logits.float().log_softmax(dim=-1).unflatten(0, (num_rows, num_beams))
        ended, which = sums[:, :, end].max(dim=1)
        best, best_scores = _better(best, best_scores, written, which, ended / length, end)
        num_words = sums.shape[-1]
        sums[:, :, end] = -torch.inf
        totals, places = sums.flatten(1).topk(num_beams)
        parents, ids = places // num_words, places % num_words
        written = torch.cat([written.gather(1, parents[:, :, None].expand_as(written)), ids[:, :, None]], dim=2)
        if length == max_tokens or bool((best_scores >= totals[:, 0] / max_tokens).all()):
            break
        writer.select((firsts + parents).flatten())
        logits = writer.step(ids.flatten())
    return _better(best, best_scores, written, totals.argmax(dim=1), totals[:, 0] / written.shape[2], end)[0]


def _better(
    best: Tensor, best_scores: Tensor, written: Tensor, which: Tensor, scores: Tensor, end: int
) -> tuple[Tensor, Tensor]:
    """Return the best texts [B, U] and their scores, after one more of each row is compared with them."""
    texts = written.gather(1, which[:, None, None].expand(-1, -1, written.shape[2])).squeeze(1)
    texts = F.pad(texts, (0, best.shape[1] - texts.shape[1]), value=end)
    is_better = scores > best_scores
    return torch.where(is_better[:, None], texts, best), torch.where(is_better, scores, best_scores)
