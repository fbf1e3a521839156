"""Other trainers that train.py is compared with, each used as its documentation recommends."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from sklearn.metrics import accuracy_score, f1_score
from torch.utils.data import DataLoader

from lit_humor.benchmarking.raw_step import build
from lit_humor.config.command import compose
from lit_humor.core.batch import TRAIN, VAL
from lit_humor.core.precision import BF16, FP16, FP32
from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.engine import factory, lr_scale
from lit_humor.engine.abilities import synchronise
from lit_humor.engine.machine import Machine, look_at_machine, peak_memory_bytes
from lit_humor.engine.planning import build_plan

# Arguments of the Hugging Face Trainer, in addition to those of the recipe.
_HF = {
    "hf_default": {},
    "hf_best": {"train_sampling_strategy": "group_by_length"},  # also the precision of the plan, see train_peer
    "hf_fixed_padding": {},
}
RAW = "raw_loop"
PEERS = (*_HF, "pytorch", RAW)


def train_peer(name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Train with another trainer, in its own process; evaluate the validation rows.

    ``python -m lit_humor.benchmarking.peer_trainers NAME OVERRIDE...`` prints the result as its last line.

    Args:
        name: One of ``PEERS``.
        overrides: Overrides of ``train.py`` for model, data, epochs and seed.
    """
    # One GPU for all trainers: the Hugging Face Trainer would take all GPUs.
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
    from transformers import AutoModelForSequenceClassification, DataCollatorWithPadding, set_seed

    start = time.perf_counter()
    machine = look_at_machine()
    if name == RAW:
        return _raw_loop(overrides, machine)
    cfg = compose("train", overrides)
    pretrained = factory.resolve_pretrained(cfg)
    cfg = lr_scale.computed(cfg, pretrained)
    datamodule = factory.build_datamodule(cfg, pretrained, plan=None)
    datamodule.setup()
    set_seed(cfg.seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        pretrained.name, num_labels=len(datamodule.class_names), dtype=torch.float32
    )
    precision = build_plan(cfg, machine, pretrained).precision if name == "hf_best" else FP32
    arguments = {
        "per_device_train_batch_size": cfg.data.batch_size * cfg.trainer.accumulation,
        "num_train_epochs": cfg.trainer.max_epochs,
        "learning_rate": cfg.optim.learning_rate * cfg.model.lr_scale,
        "weight_decay": cfg.optim.weight_decay,
        "warmup_steps": cfg.optim.schedule.warmup_fraction,  # below 1: a share of the steps
        "lr_scheduler_type": "cosine",
        "seed": cfg.seed,
        "bf16": precision == BF16,
        "fp16": precision == FP16,
        "use_cpu": not (machine.gpu_names or machine.has_mps),
    }
    padding = {"padding": "max_length", "max_length": cfg.data.max_length} if name == "hf_fixed_padding" else {}
    preparation: Any = datamodule.preparation
    tokenizer = preparation.tokenizer
    collator = DataCollatorWithPadding(tokenizer, **padding)
    rows = _rows(datamodule, TRAIN)
    if name == "pytorch":
        seconds, steps = _plain_loop(model, rows, collator, arguments)
    else:
        workers = 4 if name == "hf_best" and machine.gpu_names else 0
        arguments |= {**_HF[name], "dataloader_num_workers": workers}
        seconds, steps = _hf_trainer(model, rows, collator, arguments)
    accelerator = "gpu" if machine.gpu_names else "cpu"
    return {
        **{"name": name, "seconds": seconds, "steps": steps},
        **_score(model, _rows(datamodule, VAL), DataCollatorWithPadding(tokenizer)),
        "precision": precision,
        "peak_memory_mib": peak_memory_bytes(accelerator) / 2**20,
        "wall_seconds": time.perf_counter() - start,
    }


def _raw_loop(overrides: Sequence[str], machine: Machine) -> dict[str, Any]:
    """Train with the steps of train.py in a plain loop, to measure the cost of Lightning, callbacks and logging."""
    start = time.perf_counter()
    setup = build(overrides, machine)
    plan, datamodule, learner, max_epochs = setup.plan, setup.datamodule, setup.learner, setup.cfg.trainer.max_epochs
    optimizer, loader = setup.build_optimizer(), datamodule.train_dataloader()
    num_steps = math.ceil(len(loader) / plan.accumulation)
    schedule = learner.optimizer.schedule.build(optimizer, num_steps * max_epochs)  # type: ignore[union-attr]
    loader.pin_memory = setup.device.type == "cuda"
    batches = iter(loader)  # its workers start before the time is taken, as in Lightning
    begun, steps = time.perf_counter(), 0
    for epoch in range(max_epochs):
        if epoch:
            loader.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
            batches = iter(loader)
        while global_batch := [setup.take(batch) for batch in islice(batches, plan.accumulation)]:
            setup.step(optimizer, global_batch)
            schedule.step()
            steps += 1
    synchronise(setup.device)
    seconds = time.perf_counter() - begun
    learner.eval()
    predictions, labels = [], []
    with torch.inference_mode(), setup.autocast():
        for batch in datamodule.val_dataloader():
            predictions.append(learner.model(setup.take(batch))["logits"].argmax(-1).cpu().numpy())
            labels.append(batch["labels"].numpy())
    return {
        **{"name": RAW, "seconds": seconds, "steps": steps, "precision": plan.precision},
        **_scores(np.concatenate(labels), np.concatenate(predictions)),
        "peak_memory_mib": peak_memory_bytes(plan.accelerator) / 2**20,
        "wall_seconds": time.perf_counter() - start,
    }


def _rows(datamodule: HumorDataModule, split: str) -> list[dict[str, Any]]:
    prepared: Any = datamodule.prepared[split]
    store, labels = prepared.store, datamodule.splits[split].labels
    return [{"input_ids": store.row(i).tolist(), "labels": int(labels[i])} for i in range(len(labels))]


def _hf_trainer(model: Any, rows: Any, collator: Any, arguments: dict[str, Any]) -> tuple[float, int]:
    from transformers import PrinterCallback, Trainer, TrainingArguments

    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(folder, save_strategy="no", disable_tqdm=True, report_to="none", **arguments)
        trainer = Trainer(model, settings, data_collator=collator, train_dataset=rows)
        trainer.remove_callback(PrinterCallback)
        result = trainer.train()
    return result.metrics["train_runtime"], result.global_step


def _plain_loop(model: Any, rows: Any, collator: Any, arguments: dict[str, Any]) -> tuple[float, int]:
    from transformers import get_cosine_schedule_with_warmup

    device = torch.device("cpu" if arguments["use_cpu"] else torch.accelerator.current_accelerator() or "cpu")
    epochs = arguments["num_train_epochs"]
    loader = DataLoader(rows, arguments["per_device_train_batch_size"], shuffle=True, collate_fn=collator)
    optimizer = torch.optim.AdamW(
        model.to(device).train().parameters(),
        lr=arguments["learning_rate"],
        weight_decay=arguments["weight_decay"],
        fused=True,
    )
    steps = epochs * len(loader)
    schedule = get_cosine_schedule_with_warmup(optimizer, round(arguments["warmup_steps"] * steps), steps)
    start = time.perf_counter()
    for _ in range(epochs):
        for batch in loader:
            model(**batch.to(device)).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    synchronise(device)
    return time.perf_counter() - start, steps


def _score(model: Any, rows: Any, collator: Any) -> dict[str, float]:
    model.eval()
    predictions = []
    with torch.inference_mode():
        for batch in DataLoader(rows, 64, collate_fn=collator):
            predictions.append(model(**batch.to(model.device)).logits.argmax(-1).cpu().numpy())
    return _scores(np.asarray([row["labels"] for row in rows]), np.concatenate(predictions))


def _scores(labels: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    return {"f1": float(f1_score(labels, predictions)), "accuracy": float(accuracy_score(labels, predictions))}


if __name__ == "__main__":
    print(json.dumps(train_peer(sys.argv[1], sys.argv[2:])))
