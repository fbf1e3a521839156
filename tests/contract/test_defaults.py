"""Which default each test of whole commands switches off, why, and which test leaves it on."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("e2e/", "torture/", "cluster/")  # of tests that type whole commands
SWITCH = re.compile(r"(?:baseline|report)=[Ff]alse|(?:callbacks|logger)(?:\.\w+)?=null")
SEVERAL = re.compile(r"trainer\.(?:devices|num_nodes)=[2-9]")  # processes
BASELINE, REPORT, TENSORBOARD = "baseline=false", "report=false", "logger.tensorboard=null"
STOPPING, PICTURES = "callbacks.early_stopping=null", "callbacks.confusion=null"

_TRAINED = "the run is only there to be used: a second for TF-IDF, three for the page and its pictures"
_MANY = "several trainings in one test, which looks at other things: seconds for each"
_LONG = "the training has to go on until something is done to it"
# Test, fixture or list of arguments: (what it switches off, why).
SWITCHED_OFF = {
    "cluster/test_cloud.py::test_a_run_whose_machine_is_taken_away_goes_on_and_ends_the_same": (
        {BASELINE, REPORT},
        _MANY,
    ),
    "cluster/test_slurm.py::test_a_chain_is_what_submitit_takes_without_a_cluster_too": (
        {BASELINE, REPORT, STOPPING, PICTURES},
        _LONG,
    ),
    "cluster/test_slurm.py::test_a_run_that_meets_its_limit_goes_on_and_ends_the_same": ({BASELINE, REPORT}, _MANY),
    "cluster/test_ssh.py::ARGUMENTS": ({BASELINE, REPORT}, _MANY),
    "e2e/test_adapter_runs.py::QUICK": ({BASELINE, REPORT, TENSORBOARD}, _MANY),
    "e2e/test_bad_input.py::runs": ({BASELINE, REPORT}, _TRAINED),
    "e2e/test_drawn_splits.py::_train": ({BASELINE, REPORT}, _MANY),
    "e2e/test_export.py::run": ({BASELINE, REPORT}, _TRAINED),
    "e2e/test_families.py::BARE": ({BASELINE, REPORT, TENSORBOARD, PICTURES}, _MANY),
    "e2e/test_files.py::FAST": ({BASELINE, REPORT}, _MANY),
    "e2e/test_fused.py::test_a_run_needs_nothing_but_its_folder": ({BASELINE, REPORT}, _TRAINED),
    "e2e/test_fused_export.py::logs": ({BASELINE, REPORT}, _TRAINED),
    "e2e/test_gritlm_use.py::run": ({BASELINE, REPORT}, _TRAINED),
    "e2e/test_init_from.py::QUICK": ({BASELINE, REPORT, TENSORBOARD}, _MANY),
    "e2e/test_monitor.py::test_a_run_is_watched_and_stopped": ({BASELINE, STOPPING}, _LONG),
    "e2e/test_notebooks.py::test_evaluate": ({BASELINE, REPORT}, _TRAINED),
    "e2e/test_old_runs.py::TYPED_THEN": (
        {REPORT, TENSORBOARD, STOPPING},
        "as the old run was typed",
    ),
    "e2e/test_opened_once.py::run": ({BASELINE, REPORT}, "the page and the baseline open no checkpoint"),
    "e2e/test_pair_forms.py::QUICK": ({BASELINE, REPORT, TENSORBOARD}, _MANY),
    "e2e/test_precision.py::test_a_resumed_run_keeps_its_precision_whatever_is_fastest_now": (
        {BASELINE, REPORT},
        _MANY,
    ),
    "e2e/test_predict.py::run": ({BASELINE}, _TRAINED),
    "e2e/test_predict.py::test_a_packed_run_is_used_like_any_other": ({BASELINE, REPORT}, _TRAINED),
    "e2e/test_questions.py::plan": ({BASELINE, REPORT}, _MANY),
    "e2e/test_remedies.py::runs": ({BASELINE, REPORT}, _TRAINED),
    "e2e/test_report.py::test_a_training_without_report_and_mistakes": (
        {BASELINE, REPORT},
        "that the switches work is the test",
    ),
    "e2e/test_soups.py::QUICK": ({BASELINE, REPORT, TENSORBOARD}, _MANY),
    "e2e/test_students.py::QUICK": ({BASELINE, REPORT, TENSORBOARD}, _MANY),
    "e2e/test_saved_embeddings.py::QUICK": ({BASELINE, REPORT, TENSORBOARD, PICTURES}, _MANY),
    "e2e/test_serve.py::run": ({BASELINE, REPORT}, _TRAINED),
    "e2e/test_sweep.py::test_a_plan_that_fits_runs_and_tells_what_it_took": ({BASELINE, REPORT}, _MANY),
    "e2e/test_sweep.py::test_a_second_call_runs_nothing_and_tells_the_same": ({BASELINE, REPORT}, _MANY),
    "e2e/test_sweep.py::test_a_sweep_that_is_killed_goes_on_and_ends_the_same": ({BASELINE, REPORT}, _MANY),
    "e2e/test_sweep.py::test_five_experiments_and_a_failure_among_them": ({BASELINE, REPORT}, _MANY),
    "e2e/test_sweep.py::test_folds_score_every_row_once_and_their_mean_is_told": ({BASELINE, REPORT}, _MANY),
    "e2e/test_trackers.py::test_mlflow_on_this_disk": ({BASELINE, REPORT}, _TRAINED),
    "e2e/test_trackers.py::test_wandb_offline": ({BASELINE, REPORT}, _TRAINED),
    "e2e/test_train_and_eval.py::QUICK": ({BASELINE, PICTURES}, _MANY),
    "e2e/test_train_and_eval.py::_train": ({REPORT, TENSORBOARD}, _MANY),
    "e2e/test_train_and_eval.py::run": ({STOPPING}, "its best checkpoint is that of the highest loss: the first"),
    "e2e/test_train_and_eval.py::test_ctrl_c_saves_and_the_run_goes_on": (
        {BASELINE, REPORT, STOPPING, PICTURES},
        _LONG,
    ),
    "e2e/test_train_and_eval.py::test_every_experiment_runs_tiny": ({BASELINE}, _MANY),
    "e2e/test_two_processes.py::SETTINGS": (
        {"callbacks.best_checkpoint=null"},
        "one of its cases is a run without that file",
    ),
    "e2e/test_typed_settings.py::QUICK": ({BASELINE, REPORT}, _MANY),
    "e2e/test_used_vocabulary.py::test_an_export_of_the_used_vocabulary_is_smaller_and_says_the_same": (
        {BASELINE, REPORT},
        _TRAINED,
    ),
    "torture/test_damage.py::test_a_full_disk_stops_the_run_with_the_cause": (
        {BASELINE, REPORT, TENSORBOARD},
        "a checkpoint, and no other file, has to be what does not fit",
    ),
    "torture/test_data.py::test_it_trains_or_says_why_not": ({BASELINE}, _MANY),
    "torture/test_data.py::test_leaks_are_refused_where_asked": ({BASELINE, REPORT}, _MANY),
    "torture/test_fused_kill.py::_arguments": ({BASELINE, REPORT, TENSORBOARD}, _MANY),
    "torture/test_going_on.py::BARE": ({BASELINE, REPORT, TENSORBOARD, PICTURES}, _MANY),
    "torture/test_going_on.py::COLLAPSING": ({STOPPING}, "it would stop before the model counts as collapsed"),
    "torture/test_going_on.py::test_what_is_switched_off_is_not_missed": (
        {"callbacks.heartbeat=null", "callbacks.predictions=null"},
        "that the switches work is the test",
    ),
    "torture/test_guards.py::BARE": ({BASELINE, REPORT}, _MANY),
    "torture/test_guards.py::COLLAPSING": ({STOPPING}, "it would stop before the model counts as collapsed"),
    "torture/test_hostile.py::test_overrides_of_any_kind": ({BASELINE, REPORT, TENSORBOARD}, _MANY),
    "torture/test_hostile.py::test_predictions_hold_no_formula": ({BASELINE, REPORT}, _TRAINED),
    "torture/test_hostile.py::test_runs_of_others_build_only_what_is_on_the_list": ({BASELINE, REPORT}, _TRAINED),
    "torture/test_hostile.py::test_secrets_stay_out_of_the_run_folder": ({BASELINE, REPORT}, _MANY),
    "torture/test_kill.py::_arguments": ({BASELINE, REPORT, TENSORBOARD}, _MANY),
    "torture/test_tricks.py::BARE": ({BASELINE, REPORT, TENSORBOARD, PICTURES}, _MANY),
    "torture/test_validated.py::BARE": ({BASELINE, REPORT, TENSORBOARD, PICTURES}, _MANY),
    "torture/test_signals.py::BARE": ({BASELINE, REPORT, TENSORBOARD, PICTURES}, _MANY),
}
_TWO = "e2e/test_two_processes.py::test_two_processes_train_as_one_with_all_defaults"
LEFT_ON_BY = {  # and what it does is looked at there
    BASELINE: _TWO,
    REPORT: _TWO,
    TENSORBOARD: _TWO,
    PICTURES: "e2e/test_report.py::test_tensorboard_has_curves_confusion_and_hyperparameters",
    STOPPING: "torture/test_going_on.py::test_a_training_that_stopped_early_stays_stopped",
    "callbacks.best_checkpoint=null": "e2e/test_train_and_eval.py::test_best_checkpoint_is_what_is_scored",
    "callbacks.heartbeat=null": _TWO,
    "callbacks.predictions=null": _TWO,
}


@cache
def _scopes() -> dict[str, ast.AST]:
    """What stands at the top of each module of tests: functions, classes and lists of arguments, by place and name."""
    found: dict[str, ast.AST] = {}
    for path in sorted((ROOT / "tests").glob("*/*.py")):
        place = path.relative_to(ROOT / "tests").as_posix()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign):
                found |= {f"{place}::{ast.unparse(target)}": node for target in node.targets}
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AnnAssign)):
                found[f"{place}::{node.name if not isinstance(node, ast.AnnAssign) else ast.unparse(node.target)}"] = (
                    node
                )
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
                found |= {f"{place}::{name.asname or name.name}": node for name in node.names}
    return found


def _texts(node: ast.AST, pattern: re.Pattern[str]) -> set[str]:
    """Matches in the texts of a piece of code, but for its docstrings."""
    constants = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return {match for text in constants for match in pattern.findall(text)}


def _needs(scope: str) -> Iterator[str]:
    """What a piece of code names, fixtures included."""
    place, _, name = scope.partition("::")
    node = _scopes()[scope]
    if isinstance(node, ast.ImportFrom):
        original = next(one.name for one in node.names if name in (one.asname, one.name))
        yield f"{(node.module or '').removeprefix('tests.').replace('.', '/')}.py::{original}"
        return
    for one in ast.walk(node):
        if isinstance(one, (ast.Name, ast.arg)):
            yield f"{place}::{one.id if isinstance(one, ast.Name) else one.arg}"


def _reached(scope: str) -> set[str]:
    """A piece of code and all that it needs, to any depth."""
    found, waiting = set(), [scope]
    while waiting:
        if (one := waiting.pop()) in _scopes() and one not in found:
            found.add(one)
            waiting += _needs(one)
    return found


def test_the_table_lists_every_default_that_is_switched_off() -> None:
    found = {scope: _texts(node, SWITCH) for scope, node in _scopes().items() if scope.startswith(ROOMS)}
    found = {scope: switches for scope, switches in found.items() if switches}
    listed = {scope: switches for scope, (switches, _) in SWITCHED_OFF.items()}
    assert found == listed
    assert all(why for _, why in SWITCHED_OFF.values())


@pytest.mark.parametrize("switch", sorted({one for switches, _ in SWITCHED_OFF.values() for one in switches}))
def test_another_test_leaves_it_on(switch: str) -> None:
    test = LEFT_ON_BY[switch]
    assert test in _scopes(), "there is such a test"
    assert test.partition("::")[2].startswith("test_")
    reached = _reached(test)
    assert any(_texts(_scopes()[one], re.compile("debug=tiny")) for one in reached), "it trains"
    assert switch not in {one for scope in reached for one in _texts(_scopes()[scope], SWITCH)}


def test_trainings_of_several_processes_have_all_defaults() -> None:
    several = []
    for scope in filter(lambda name: name.startswith(ROOMS), _scopes()):
        reached = _reached(scope) if scope.partition("::")[2].startswith("test_") else set()
        if any(_texts(_scopes()[one], SEVERAL) for one in reached):
            several.append(scope)
            switches = {one for name in reached for one in _texts(_scopes()[name], SWITCH)}
            assert not switches & {BASELINE, REPORT} | {one for one in switches if one.startswith("logger")}, scope
    assert len(several) > 10
    assert _TWO in several
