"""Makes the hardware plan of a configuration, and shows it for doctor.py."""

from __future__ import annotations

from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from lit_humor.config.command import compose
from lit_humor.core.errors import UserError
from lit_humor.engine import factory, tables
from lit_humor.engine.abilities import performance_facts
from lit_humor.engine.hardware import Plan, make_plan
from lit_humor.engine.machine import Machine, look_at_machine
from lit_humor.engine.nodes import agree_on
from lit_humor.engine.probing import LayerShape, Probe, probe, threads_of
from lit_humor.models.pretrained import Pretrained
from lit_humor.runs import screen

_VARIABLE = "LIT_HUMOR_PROBE"  # passes the measurement of the first process to the others


def build_plan(cfg: DictConfig, machine: Machine, pretrained: Pretrained | None = None) -> Plan:
    """Make the hardware plan of a training.

    Args:
        cfg: Configuration of ``train.py``.
        machine: The hardware.
        pretrained: Result of ``resolve_pretrained``; None calls it if it is needed.
    """
    wanted: Any = OmegaConf.to_container(cfg.trainer, resolve=True)

    def measure(devices: int) -> str:
        if not machine.cpu_bf16:
            return ""
        rows = max(1, cfg.data.batch_size * cfg.trainer.accumulation // devices)
        config = (pretrained or factory.resolve_pretrained(cfg)).config
        shape = LayerShape.of(config, rows, cfg.data.max_length)
        return probe(shape, threads_of(devices, machine.num_cores), cfg.paths.cache_dir).to_json()

    def agreed(devices: int) -> Probe | None:
        measured = agree_on(_VARIABLE, wanted.get("num_nodes", 1), lambda: measure(devices))
        return Probe.from_json(measured) if measured else None

    longest = cfg.data.max_length + (OmegaConf.select(cfg, "model.preparation.patches") or 0)
    return make_plan(wanted, cfg.data.batch_size, cfg.data.num_workers, machine, longest, agreed)


def show_plan() -> None:
    """Show devices, what decides about speed, and the plan of the default recipe."""
    machine = look_at_machine()
    capabilities = torch.cpu.get_capabilities()
    flags = [name for name in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16", "amx_fp16") if capabilities.get(name)]
    devices = [*machine.gpu_names, *(["Apple GPU"] if machine.has_mps else [])]
    rows = [
        ("torch", torch.__version__),
        ("CPU", f"{capabilities.get('cpu_name', 'unknown')}; {', '.join(flags) or 'no vector units known'}"),
        ("GPUs", ", ".join(devices) or "none"),
    ]
    if machine.gpu_names:
        kinds = {
            "flash attention": torch.backends.cuda.is_flash_attention_available(),
            "cuDNN": torch.backends.cudnn.is_available(),
        }
        rows.append(("torch is built with", ", ".join(name for name, there in kinds.items() if there) or "neither"))
    screen.show(screen.table("Devices", ("what", "found"), rows))
    screen.show(screen.table("Speed", ("what", "found"), performance_facts(machine)))
    try:
        screen.show(tables.plan_table(build_plan(compose("train", []), machine)))
    except UserError as error:  # the package of its model may not be installed
        screen.show(f"No plan of the default recipe: {error}")
