"""What the guides to speed change and count; their figures are nobody's business here."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from lit_humor.benchmarking.apart import FailedApart
from lit_humor.benchmarking.effects import Graphs
from lit_humor.benchmarking.guide import COMPILED, GPU, choices_with_guide, family_of, guide_names, load_guide
from lit_humor.benchmarking.guide_table import guide_markdown, ratios
from lit_humor.benchmarking.guides.dimtda import GUIDE as OF_DIMTDA
from lit_humor.benchmarking.guides.gritlm import GUIDE
from lit_humor.benchmarking.suites import families
from lit_humor.config.command import compose
from lit_humor.engine.configuration import validate
from lit_humor.engine.machine import Machine

GUIDES = {family: load_guide(family) for family in guide_names()}
EXPERIMENTS = {family: choices_with_guide("experiment", [family])[0] for family in GUIDES}
MEASURED = [(family, change) for family, guide in GUIDES.items() for change in guide.changes if not change.unmeasured]


def _settings(change: Any) -> dict[str, Any]:
    return dict(setting.split("=", 1) for setting in change.settings)


def test_guides_are_files_and_serve_what_is_named_after_them() -> None:
    assert guide_names() == ["dimtda", "gritlm", "qwen3vl"]
    experiments = ["gritlm", "gritlm_before", "gritlm_embed_only", "gritlm_write_only"]
    experiments += ["qwen3vl_random", "qwen3vl_random_before"]
    assert choices_with_guide("experiment") == ["dimtda", "dimtda_before", *experiments]
    assert choices_with_guide("model", ["dimtda"]) == ["dimtda_209m", "fused", "fused_small", "fused_tiny"]
    assert choices_with_guide("model", ["gritlm"]) == ["gritlm_minilm", "gritlm_qwen3", "gritlm_tiny"]
    sizes = ("12m", "2b", "2b_random", "8b", "8b_random", "small", "tiny")
    assert choices_with_guide("model", ["qwen3vl"]) == [f"qwen3_vl_{size}" for size in sizes]
    named = {name for guide in GUIDES.values() for name in (guide.model, guide.tiny, guide.on_gpu)} - {""}
    assert named <= {*choices_with_guide("model")}
    assert family_of("fused_tiny") == "dimtda"
    assert [family_of(name) for name in ("gritlm", "gritlm_before", "gritlmore", "v3")] == [
        "gritlm",
        "gritlm",
        None,
        None,
    ]


@pytest.mark.parametrize("family", guide_names())
def test_rows_name_rows_before_them_and_say_what_they_are(family: str) -> None:
    guide = load_guide(family)
    names = [change.name for change in guide.changes]
    assert len(set(names)) == len(names)
    assert guide.changes[0].on == names[0] or guide.changes[0].on is None
    for position, change in enumerate(guide.changes[1:], start=1):
        assert change.on in (None, *names[:position]), change.name
        assert change.unmeasured or change.settings or change.effect or change.how == "texts", change.name


def test_all_that_is_asked_of_the_guide_is_a_row() -> None:
    settings = {setting for change in GUIDE.changes for setting in change.settings}
    assert settings >= {
        *("data.padding=longest", "data.length_grouped=true", "optim.fused=true", "trainer.precision=bf16-mixed"),
        *("trainer.max_tokens=256", "trainer.max_tokens=64", "model.network.gradient_checkpointing=true"),
        *("trainer.num_workers=1", "trainer.compile=true", "trainer.compile=full", "logger.tensorboard=null"),
    }
    effects = [change.effect for change in GUIDE.changes if change.effect]
    assert sorted(effects) == sorted(
        [
            *("preserve_rng_state=False", "texts_cut=false", "pin_memory=true"),
            *("sdpa=MATH", "sdpa=EFFICIENT_ATTENTION", "sdpa=FLASH_ATTENTION"),
            *2 * ("dynamic=none", "dynamic=false"),
        ]
    )
    refused = [change for change in GUIDE.changes if change.refused]
    assert [change.effect for change in refused] == ["preserve_rng_state=False"]
    assert refused[0].gradient


@pytest.mark.parametrize(("family", "change"), MEASURED, ids=[f"{name}: {change.name}" for name, change in MEASURED])
def test_a_row_is_valid_and_changes_what_it_says_and_no_more(family: str, change: Any) -> None:
    guide = GUIDES[family]
    validate(compose("train", [f"experiment={EXPERIMENTS[family]}", *guide.settings_of(change)]))
    if change.on is None:
        return
    found, before = _composed(family, change), _composed(family, guide.named(change.on))
    changed = {key for key in found | before if found.get(key) != before.get(key)}
    wanted = tuple(_settings(change))
    assert all(key.startswith(wanted) for key in changed), changed
    assert len({name for name in wanted for key in changed if key.startswith(name)}) == len(wanted)


def _flat(node: Any, prefix: str = "") -> dict[str, Any]:
    node = dict(enumerate(node)) if isinstance(node, list) else node
    if not isinstance(node, dict) or not node:
        return {prefix: node}
    return {k: v for name, value in node.items() for k, v in _flat(value, f"{prefix}.{name}".lstrip(".")).items()}


def _composed(family: str, change: Any) -> dict[str, Any]:
    settings = GUIDES[family].settings_of(change)
    return _flat(OmegaConf.to_container(compose("train", [f"experiment={EXPERIMENTS[family]}", *settings])))


LENGTH = {"max_epochs", "gradient_clip_val", "validate_every_steps"}  # no matter of the pace of a step
CHOSEN = {"compile", "max_tokens", "micro_batch_size", "num_workers", "precision"}  # by the plan
STEPS = {"attention", "validate_every_steps", "checkpoint_every"}


@pytest.mark.parametrize(
    ("family", "more"),
    [("gritlm", set()), ("dimtda", {"micro_batch_size"} | LENGTH), ("qwen3vl", CHOSEN | STEPS)],
)
def test_the_first_row_is_the_recipe_before_its_guide(family: str, more: set[str]) -> None:
    before = compose("train", [f"experiment={EXPERIMENTS[family]}_before"])
    base = compose("train", [f"experiment={EXPERIMENTS[family]}", *GUIDES[family].base])
    base.data.num_workers = before.data.num_workers  # of which the plan makes trainer.num_workers
    for key in ("data", "optim", "model"):
        assert base[key] == before[key]
    unlike = {key for key, value in base.trainer.items() if value != before.trainer[key]}
    assert unlike == {"compile", "max_tokens"} | more, "which the plan chooses there"


@pytest.mark.parametrize(("family", "rows"), [("dimtda", 32), ("qwen3vl", 16)])
def test_a_way_ends_at_its_experiment_with_as_many_rows_a_step(family: str, rows: int) -> None:
    after = _flat(OmegaConf.to_container(compose("train", [f"experiment={EXPERIMENTS[family]}"])))
    (last,) = [change for change in GUIDES[family].changes if "for the whole way" in change.claimed]
    found = _composed(family, last)
    unlike = {key for key in found | after if found.get(key) != after.get(key)}
    assert unlike == {f"trainer.{name}" for name in CHOSEN}, "which the plan chooses there"
    for change in GUIDES[family].changes:
        settings = _composed(family, change)
        assert settings["data.batch_size"] * settings["trainer.accumulation"] == rows, change.name


def test_all_that_dimtda_and_qwen3vl_changed_is_a_row() -> None:
    typed = {setting for change in OF_DIMTDA.changes for setting in change.settings}
    assert typed >= {
        *("data.padding=longest", "trainer.precision=bf16-mixed", "data.batch_size=2", "trainer.accumulation=16"),
        *("trainer.num_workers=2", "optim.fused=true", "model.network.gradient_checkpointing=true"),
        *("model.network.encoders.1.frozen=true", "trainer.compile=true", "trainer.compile=full"),
    }
    typed = {setting for change in GUIDES["qwen3vl"].changes for setting in change.settings}
    assert typed >= {
        *("data.batch_size=4", "trainer.accumulation=4", "model.network.gradient_checkpointing=false"),
        *("trainer.num_workers=2", "trainer.num_workers=16", "data.length_grouped=true"),
        *("model.network.quantization=none", "model.network.picture_cache_mib=1024", "trainer.precision=auto"),
        *("trainer.micro_batch_size=auto", "trainer.attention=auto", "trainer.compile=true", "trainer.compile=full"),
    }
    assert [change.effect for change in GUIDES["qwen3vl"].changes if change.effect] == ["logits=all"]


def test_the_model_is_the_one_for_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(experiment: str, *gpus: str, debug: str | None = None) -> tuple[list[str], str]:
        cfg = compose("bench", ["suite=families"])
        cfg.experiment, cfg.debug = experiment, debug
        _, _, common, model = families._asked(cfg, Machine(gpu_names=gpus))
        return [word for word in common if word.startswith("model=")], model

    for name in ("qwen3vl_random", "qwen3vl_random_before"):
        assert asked(name) == (["model=qwen3_vl_12m"], "qwen3_vl_12m")
        assert asked(name, "H200") == (["model=qwen3_vl_2b_random"], "qwen3_vl_2b_random")
        assert asked(name, "H200", debug="tiny") == ([], "qwen3_vl_tiny")
    assert asked("dimtda", "H200") == (["model=fused"], "fused")
    monkeypatch.setattr(families, "typed_overrides", lambda: ["model=qwen3_vl_8b_random", "model.lr_scale=2"])
    cfg = compose("bench", ["suite=families"])
    experiment, _, common, model = families._asked(cfg, Machine(gpu_names=("H200",)))
    assert (experiment, model) == ("qwen3vl_random", "qwen3_vl_8b_random")
    assert common[-2:] == ["model=qwen3_vl_8b_random", "model.lr_scale=2"]


@pytest.mark.parametrize("model", ["fused", "fused_tiny"])
def test_the_encoder_that_is_frozen_reads_pictures(model: str) -> None:
    frozen = [change for change in OF_DIMTDA.changes if change.name == "picture encoder frozen"]
    cfg = compose("train", ["experiment=dimtda", f"model={model}", *OF_DIMTDA.settings_of(frozen[0])])
    assert [(one.reads, one.frozen) for one in cfg.model.network.encoders] == [("text", False), ("picture", True)]


def test_a_machine_that_cannot_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = compose("bench", ["suite=families"])

    def reasons(machine: Machine) -> dict[str, str]:
        return {change.name: families._row(1, change, cfg, machine).reason for change in GUIDE.changes}

    monkeypatch.setattr("lit_humor.benchmarking.raw_step.shutil.which", lambda name: None)
    here = reasons(Machine())
    assert all("needs a GPU" in here[change.name] for change in GUIDE.changes if change.needs == GPU)
    timed = [change.name for change in GUIDE.changes if change.how == COMPILED and not change.effect]
    assert len(timed) == 2
    assert all("no C++ compiler" in here[name] for name in timed)
    on_gpu = reasons(Machine(gpu_names=("H200",)))
    assert not any(on_gpu[name] for name in timed)
    assert not any(on_gpu[change.name] for change in GUIDE.changes if change.needs == GPU)
    cfg.compiled = False
    assert all("compiled=false" in reasons(Machine(gpu_names=("H200",)))[name] for name in timed)
    assert all(on_gpu[change.name] == change.unmeasured for change in GUIDE.changes if change.unmeasured)


def _row(number: int, **more: Any) -> families.Measured:
    named = {"number": number, "name": f"row {number}", "settings": (), "effect": "", "on": None, "kind": "steps"}
    return families.Measured(**({**named, "claimed": "", "refused": "", "reason": ""} | more))


def test_what_does_not_run_is_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **named: Any) -> None:
        raise FailedApart("BackendCompilerFailed: g++ | not found")

    monkeypatch.setattr(families, "apart", fails)
    cfg = compose("bench", ["suite=families"])
    row, change = _row(7), GUIDE.named("fused AdamW")
    families._measure(row, change, [], cfg, 1, 9)
    assert row.reason == "no result here: BackendCompilerFailed: g++ / not found"
    assert families._measure(row, change, [], cfg, 1, 9) < 1
    with pytest.raises(FailedApart):
        families._measure(_row(1), change, [], cfg, 1, 9)


@pytest.mark.parametrize(("minutes", "repeats"), [(9, 3), (0, 1)])
def test_minutes_are_kept(minutes: float, repeats: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def answers(function: Any, *rest: Any, **named: Any) -> Any:
        asked.append(named["seconds"])
        found = {"seconds": 1.0, "rows": 8, "precision": "32-true", "peak_memory_mib": 9.0, "cut": 0}
        return found if function is families.measure else Graphs(2)

    monkeypatch.setattr(families, "apart", answers)
    cfg = compose("bench", ["suite=families", f"output={tmp_path}", f"minutes={minutes}"])
    cfg.experiment = "gritlm"
    rows = families.run(cfg)["rows"]
    assert rows[0]["seconds"] == [1.0] * repeats
    assert asked[0] is None, "the first row ends, however long it takes"
    timed = [row for row in rows[1:] if row["seconds"]]
    over = [row for row in rows if row["reason"] == "not measured: minutes=0 were over"]
    assert (len(timed) > 10) == (not over) == (minutes > 0)
    assert all(len(row["seconds"]) == repeats for row in timed)
    assert sum(row["graphs"] is not None for row in rows) == (6 if minutes else 0)
    assert len(list(tmp_path.glob("families_gritlm_joke_halves_gritlm_minilm_*.md"))) == 1


def test_graphs_are_counted_though_nothing_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        families, "apart", lambda function, *rest, **named: asked.append(function.__name__) or Graphs(5, True)
    )
    row, change = _row(9, reason="not timed"), next(one for one in GUIDE.changes if one.effect == "dynamic=false")
    for _ in range(2):
        families._measure(row, change, [], compose("bench", ["suite=families"]), 1, 9)
    assert (row.graphs, row.gave_up, asked, row.seconds) == (5, True, ["count_graphs"], [])


def test_the_table_compares_within_a_repeat_and_names_what_is_slower() -> None:
    rows = [
        _row(1, seconds=[2.0, 4.0, 2.0], rows=8, precision="32-true"),
        _row(2, on="row 1", settings=("optim.fused=true",), seconds=[1.0, 2.0, 1.0], rows=8, claimed="2", graphs=3),
        _row(3, on="row 2", effect="x=1", seconds=[2.0, 4.0, 3.0], rows=8, gradient_difference=0.237, refused="no"),
        _row(4, on="row 1", kind="texts", seconds=[1.0], rows=5, cut=2),
        _row(5, on="row 1", reason="no result here: no"),
        _row(6, on="row 1"),
    ]
    plain = [vars(row) for row in rows]
    assert ratios(plain[1], plain[0]) == [2.0, 2.0, 2.0]
    asked = {"base": ["a=b"], "steps": 2, "repeats": 3, "note": "Drawn data measure speed."}
    machine = {"processor": "a", "threads": 2, "gpus": []}
    content = {"asked": asked, "machine": machine, "commit": "abc", "dirty": False, "rows": plain}
    text = guide_markdown("Guide", ["experiment=gritlm"], content)
    assert "experiment=gritlm" in text
    assert "\n- Drawn data measure speed.\n" in text
    assert "| 2 row 2 | `optim.fused=true` | 1 | 8.0 (4.0 - 8.0) | 2.00 | 2.00 | 2 | 3 |  |  |" in text
    assert "| 3 row 3 | *x=1* | 2 | 2.7 (2.0 - 4.0) | 0.50 | 1.00 |" in text
    assert "moves the gradient by 24 %; not offered: no" in text
    assert "| 4 row 4 |  | 1 | 5.0 (5.0 - 5.0) |  |  |  |  |  | 2 of 5 texts are cut |" in text
    assert "no result here: no" in text
    assert "not measured yet" in text
    assert "- **Slower than row 2**: 3 row 3, 0.50 of its pace, below 1 in every repeat." in text
