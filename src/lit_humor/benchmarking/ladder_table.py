"""The table of a ladder, and in words which rung is slower than the one before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from lit_humor.benchmarking import output
from lit_humor.core import markdown


def is_slower(ratios: Sequence[float]) -> bool:
    """Whether the whole range of the ratios, one a repeat, lies below 1; one repeat alone cannot tell."""
    return len(ratios) > 1 and max(ratios) < 1


def slower_rungs(content: Mapping[str, Any]) -> list[str]:
    """A line for each rung that is slower than the one it stands against, and one where there is none."""
    rungs, default = content["rungs"], content["default"]
    lines = []
    for index, rung in enumerate(rungs):
        against = "the rung before it" if index <= default else "the default"
        if rung["is_slower"]:
            pace = f"{rung['ratio_before']:.2f} of its pace, below 1 in every repeat"
            lines.append(f"- **Slower than {against}**: {rung['name']}, {pace}.")
    return lines or ["- No rung is slower in every repeat than the one it stands against."]


def ladder_markdown(cfg: DictConfig, content: Mapping[str, Any]) -> str:
    """The table of a ladder, with what it means."""
    ceilings = ", ".join(f"{value:.0f} GFLOPS in {kind}" for kind, value in content["ceiling_gflops"].items())
    lines = [
        f"# {ladder_title(cfg)}",
        "",
        output.command_line(),
        f"- {cfg.steps} optimizer steps, evenly spaced from the shortest to the longest of an epoch: forward, "
        "backward, clip, AdamW; batches made beforehand; interleaved; median of the repeats, range in brackets.",
        "- Ratios compare real tokens a second within a repeat, padding not counted; rungs below the default stand "
        "against the default. Padding: of a whole epoch. s / epoch: of such steps alone. Rungs that change nothing on "
        "this machine are left out.",
        "- FLOP use: the encoder's linear products for real tokens against a measured product of large square "
        f"matrices ({ceilings}). Cores busy: share of the CPU's threads.",
        "- Peak: memory of the GPU, or of the process on a CPU, at the step that computes most, each rung in a process "
        "of its own; empty where memory=false.",
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
    """Of the table and the plot."""
    return output.title("Ladder", cfg) + ("" if cfg.profile == "own" else f", length profile {cfg.profile}")
