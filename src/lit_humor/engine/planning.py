"""What train.py would do on this machine, without data or model."""

from __future__ import annotations

import torch

from lit_humor.engine import factory, screen
from lit_humor.engine.cli import compose
from lit_humor.engine.hardware import look_at_machine


def show_plan() -> None:
    """Print devices, attention backends and the plan of the default recipe."""
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
    screen.show(screen.plan_table(factory.build_plan(compose("train", []), machine)))
