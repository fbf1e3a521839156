"""Where runs go: a class and a file of configs/launch, found by its _target_."""

import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from lit_humor.config.command import CONFIG_DIR, compose
from lit_humor.core.errors import UserError
from lit_humor.core.place import ROOT_DIR
from lit_humor.launch.queue import Job, Queue
from lit_humor.sweeps.queues import open_queue, queue_class
from lit_humor.sweeps.sweeping import sweep
from tests.e2e.typed import typed_here

PLUGIN = "lit_humor.launch.notebook"


class NotebookQueue(Queue):
    """A place to run that no module of the project knows."""

    can_search = False

    def __init__(
        self, folder: Path, notice: Callable[[Job], None], *, root: Path, num_slots: int, kernel: str, hours: float = 1
    ) -> None:
        super().__init__(folder, notice, num_slots)
        if hours <= 0:
            raise UserError("launch.hours", found=str(hours), expected="more than 0", fix="set launch.hours=1")
        self.root, self.kernel = root, kernel

    def run(self, jobs: Sequence[Job], each_round: Callable[[], None] = lambda: None) -> None:
        self._jobs = jobs
        for job in jobs:
            self._set(job, "done")


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> str:
    """The _target_ of a queue in a module of its own, as a new file in ``src/lit_humor/launch`` would be."""
    module = types.ModuleType(PLUGIN)
    monkeypatch.setattr(NotebookQueue, "__module__", PLUGIN)
    module.NotebookQueue = NotebookQueue  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, PLUGIN, module)
    return f"{PLUGIN}.NotebookQueue"


def _configured(tmp_path: Path, text: str, *settings: str) -> DictConfig:
    """As sweep.py launch=notebook composes it, with the file outside configs/."""
    (tmp_path / "launch").mkdir(exist_ok=True)
    (tmp_path / "launch" / "notebook.yaml").write_text(text)
    return compose("sweep", [f"hydra.searchpath=[file://{tmp_path}]", "launch=notebook", *settings])


def test_a_new_place_is_a_class_and_a_file(plugin: str, tmp_path: Path) -> None:
    cfg = _configured(tmp_path, f"_target_: {plugin}\nkernel: ${{each}}\n")
    cfg.slots = 3
    queue = open_queue(cfg, tmp_path / "set", lambda job: None)
    assert isinstance(queue, NotebookQueue)
    assert (queue.num_slots, queue.kernel, queue.root) == (3, "seed", ROOT_DIR)
    jobs = [Job(tmp_path / "run", ["true"])]
    queue.run(jobs)
    assert jobs[0].state == "done"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("kernel: python3\nhours: 0", r"launch\.hours: found 0, expected more than 0"),
        ("kernel: python3\nhour: 2", r"launch\.hour: found an unknown key \(value 2\).*did you mean 'hours'"),
        ("hours: 2", r"launch\.kernel: found nothing"),
        ("kernel: 3", r"launch\.kernel: found 3, expected a text"),
    ],
)
def test_its_settings_are_held_against_its_constructor(plugin: str, tmp_path: Path, settings: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        open_queue(_configured(tmp_path, f"_target_: {plugin}\n{settings}\n"), tmp_path, lambda job: None)


def test_a_queue_that_cannot_search_refuses_a_search_and_a_budget(plugin: str, tmp_path: Path) -> None:
    text = f"_target_: {plugin}\nkernel: python3\n"
    with pytest.raises(UserError, match="found a search"):
        sweep(_configured(tmp_path, text, "plan=search"), [])
    cfg = _configured(tmp_path, text, "n=1", "budget=6h", f"paths.logs_dir={tmp_path}")
    with pytest.raises(UserError, match="budget: found runs on other machines"):
        sweep(cfg, ["model=tiny", "data=tiny"])


@pytest.mark.parametrize(
    ("launch", "told"),
    [
        ({"kind": "slurm"}, "launch: found no _target_"),
        ({"_target_": "os.system"}, r"launch\._target_: found os\.system"),
        ({"_target_": "lit_humor.launch.queue.Job"}, r"launch\._target_: found lit_humor.launch.queue.Job, .*Queue"),
    ],
)
def test_what_is_no_queue(launch: dict[str, str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        queue_class(OmegaConf.create({"launch": launch}))


def test_every_place_names_a_queue() -> None:
    files = sorted(path.stem for path in (CONFIG_DIR / "launch").glob("*.yaml"))
    assert files == ["cloud", "local", "slurm", "ssh"]
    queues = {name: queue_class(compose("sweep", [f"launch={name}"])) for name in files}
    assert {name: one.can_search for name, one in queues.items()} == {
        "cloud": False,
        "local": True,
        "slurm": True,
        "ssh": False,
    }


@pytest.mark.parametrize(("typed", "fix"), [("slurm", "slurm"), ("locall", "local"), ("", "cloud")])
def test_the_key_of_before_names_the_choice_of_today(typed: str, fix: str) -> None:
    for key in ("launch.kind", "+launch.kind"):
        done = typed_here("sweep", f"{key}={typed}", "dry_run=true")
        assert done.returncode == 1
        assert f"Fix: leave launch.kind out and set launch={fix}." in done.stderr
