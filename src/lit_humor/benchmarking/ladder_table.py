"""Writes the table of a ladder, and which rungs are slower than the rung before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from lit_humor.benchmarking import output
from lit_humor.core import markdown


def is_slower(ratios: Sequence[float]) -> bool:
    """Whether all ratios, one for each repeat, are below 1; False for a single repeat."""
    return len(ratios) > 1 and max(ratios) < 1


def slower_rungs(content: Mapping[str, Any]) -> list[str]:
    """Return a line for each rung that is slower than the one it is compared with, or a line that there is none."""
    rungs, default = content["rungs"], content["default"]
    lines = []
    for index, rung in enumerate(rungs):
        against = "the rung before it" if index <= default else "the default"
        if rung["is_slower"]:
            pace = f"{rung['ratio_before']:.2f} of its pace, below 1 in every repeat"
            lines.append(f"- **Slower than {against}**: {rung['name']}, {pace}.")
    return lines or ["- No rung is slower in every repeat than the one it is compared with."]


def ladder_markdown(cfg: DictConfig, content: Mapping[str, Any]) -> str:
    """Return the table of a ladder with an explanation, as Markdown."""
    ceilings = ", ".join(f"{value:.0f} GFLOPS in {kind}" for kind, value in content["ceiling_gflops"].items())
    lines = [
        f"# {ladder_title(cfg)}",
        "",
        output.command_line(),
        f"- {cfg.steps} optimizer steps, evenly spaced from the shortest to the longest of an epoch: forward, "
        "backward, clip, AdamW; batches made before; interleaved; median of the repeats, range in brackets.",
        "- Ratios compare real tokens per second within a repeat, without padding; rungs below the default are "
        "compared with it. Padding: of a whole epoch. s / epoch: of such steps only. Rungs that change nothing on "
        "this machine are left out.",
        "- FLOP use: the encoder's linear products for real tokens against a measured product of large square "
        f"matrices ({ceilings}). Cores busy: share of the CPU's threads.",
        "- Peak: memory of the GPU, or of the process on a CPU, at the step that computes most, each rung in its own "
        "process; empty with memory=false.",
        output.machine_line(content["machine"]),
        output.commit_line([content]),
        "",
    ]
    header = ["rung", "precision", "real tokens/s", "rows/s", "s / epoch", "x baseline", "x rung before", "padding"]
    rows = []
    for rung in content["rungs"]:
        cells = [rung["name"], rung["precision"], markdown.median_range(rung["tokens_per_second"], 0)]
        cells += [f"{rung['rows_per_second']:.1f}", f"{rung['epoch_seconds']:.0f}"]
        cells += [f"{rung['ratio']:.2f}", f"{rung['ratio_before']:.2f}"]
        cells += [f"{rung['padding_waste']:.1%}", f"{rung['cores_busy']:.0%}", f"{rung['flop_utilisation']:.0%}"]
        rows.append([*cells, "" if rung["peak_memory_mib"] is None else f"{rung['peak_memory_mib']:.0f}"])
    table = markdown.table([*header, "cores busy", "FLOP use", "peak MiB"], rows)
    return "\n".join([*lines, *table, "", *slower_rungs(content)]) + "\n"


def ladder_title(cfg: DictConfig) -> str:
    """Return the title of the table and the plot."""
    return output.title("Ladder", cfg) + ("" if cfg.profile == "own" else f", length profile {cfg.profile}")
