"""Every error that can be made here is made, its remedy is obeyed word for word, and the command goes on."""

from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.remedies import (
    answer_rows,
    answers,
    asking,
    data,
    fusing,
    inside,
    numbers,
    plans,
    settings,
    tables,
    tricks,
    vision,
    writing,
)
from tests.e2e.remedies import runs as about_runs
from tests.e2e.remedies.sites import all_sites
from tests.e2e.remedies.telling import Case, Obeyed, work_through
from tests.e2e.typed import typed_here

_FILES = (
    settings,
    data,
    tables,
    about_runs,
    plans,
    inside,
    numbers,
    answers,
    answer_rows,
    writing,
    fusing,
    asking,
    vision,
    tricks,
)
CASES: dict[str, Case] = {name: case for file in _FILES for name, case in file.CASES.items()}
OBEYED: dict[str, Obeyed] = {}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained runs by name."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "rated.csv").write_text(numbers.RATED)
    (folder / "spam.csv").write_text(data.GOOD.replace(",0\n", ",ham\n").replace(",1\n", ",spam\n"))
    quick = (
        f"paths.logs_dir={folder}",
        f"paths.cache_dir={folder}/cache",
        "trainer.max_epochs=1",
        "baseline=false",
        "report=false",
    )
    spam = ("data=csv", f"data.train_path={folder}/spam.csv", "data.label_names=[ham,spam]")
    wide = ("data=tiny", "model.pretrained.hidden_size=32")
    few = ("data=tiny", "data.rows_per_split=40")
    rated = ("task=regression", "data=csv", f"data.train_path={folder}/rated.csv", "data.target_column=rating")
    labelled = ("task=multilabel", *rated[1:3], "data.target_columns=[pun,long]")
    others = {"spam": spam, "few": few, "rated": rated, "labelled": labelled}
    for name, task in {"writes": "embed_and_write", "embeds": "embedding"}.items():  # first: errors name the last run
        arguments = ("experiment=gritlm", "debug=tiny", "trainer=cpu", f"task={task}", f"run_id={name}")
        done = typed_here("train", *arguments, *quick)
        assert done.returncode == 0, done.stderr
    drawn = ("experiment=dimtda", "debug=tiny", "trainer=cpu", "run_id=draws", *quick)
    assert (done := typed_here("train", *drawn)).returncode == 0, done.stderr
    for name, more in {"one": ("data=tiny",), "two": wide, **others}.items():
        done = typed_here("train", "model=tiny", "trainer=cpu", f"run_id={name}", *quick, *more)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", CASES)
def test_obeyed(name: str, tmp_path: Path, runs: Path) -> None:
    OBEYED[name] = work_through(CASES[name], tmp_path, runs)


# Errors that no case makes: file and function, how many calls, and why.
UNTOLD = {
    ("models/pretrained.py", "load_tokenizer"): (2, "transformers 5 makes a fast tokenizer of anything"),
    ("objectives/supervised_contrastive.py", "__init__"): (
        1,
        "always a part, whose key config/parts.py names: the case of a temperature",
    ),
    ("objectives/fgm.py", "_embeddings_of"): (1, "compiling takes long; tests/unit/test_regularized.py has one"),
    ("callbacks/frozen_prefix.py", "setup"): (1, "needs several devices; tests/unit/test_freezing.py has one"),
    ("callbacks/ema.py", "setup"): (1, "needs several devices; tests/unit/test_ema.py has one"),
    ("models/e5_file.py", "_damaged"): (1, "the file's hash is compared first; tests/unit/test_e5.py has damaged ones"),
    ("engine/configuration.py", "_unfit_network"): (1, "a class to be written; tests/unit/test_network.py has one"),
    ("models/gritlm.py", "check_directions"): (1, "a model that ignores its mask; tests/unit/test_gritlm.py has one"),
    ("models/fused.py", "write"): (1, "needs answers; tests/unit/test_fused.py has one"),
    ("models/text_decoder.py", "check_length"): (1, "needs answers; tests/unit/test_fused_writing.py has one"),
    ("data/preparing/pairs.py", "marks_of_texts"): (1, "a tokenizer without an end; tests/unit/test_pairs.py has one"),
    ("data/preparing/templates.py", "_checked"): (1, "a template that changes texts; tests/unit/test_chat.py has one"),
    ("data/preparing/templates.py", "_unusable"): (1, "other templates; tests/unit/test_chat.py has them"),
    ("data/preparing/chat.py", "_cut"): (1, "of two; pictures come from the package whose lack the other tells"),
    ("config/command.py", "_explain"): (1, "a last resort, for what Hydra may find that no command is known to make"),
    ("data/dividing/fitness.py", "notes_on_test"): (1, "a warning, with which a command goes on"),
    ("data/dividing/ordering.py", "take_stage"): (1, "a replay that is no share is refused one step before"),
    ("data/reading/labels.py", "read_threshold"): (1, "what is no number is refused one step before"),
    ("tasks/task.py", "numbers"): (1, "a task without numbers has no form either, and is refused one step before"),
    ("auditing/encodings.py", "is_mojibake"): (
        1,
        "its extra is brought by the remedy of another package of that extra",
    ),
    ("data/batches/workers.py", "_watching"): (
        1,
        "a loader process that is killed; tests/torture/test_signals.py has one",
    ),
    ("sweeps/budget.py", "_paces"): (1, "runs of a plan are processes of their own"),
    ("inference/exporting_texts.py", "write"): (1, "a check of our own exporter; there is nothing to set"),
    ("inference/exporting_vectors.py", "write"): (1, "a check of our own exporter; there is nothing to set"),
    ("inference/exporting_fused.py", "write"): (1, "a check of our own exporter; there is nothing to set"),
    ("inference/exporting_numbers.py", "_parity"): (1, "a check of our own exporters; there is nothing to set"),
    ("inference/exporting_vision.py", "write"): (1, "a check of our own exporter; there is nothing to set"),
    ("models/adapters.py", "read_adapter"): (
        1,
        "an unknown key is refused one step before; tests/unit/test_adapters.py has one",
    ),
    ("inference/loading.py", "_check_classes"): (1, "labels are refused one step before"),
    ("sweeps/sweeping.py", "_say_what_failed"): (1, "runs of a plan are processes of their own"),
    ("metrics/label_errors.py", "suspect_labels"): (
        1,
        "its extra is brought by the remedy of another package of that extra",
    ),
    ("sweeps/queues.py", "queue_class"): (
        1,
        "a file of configs/launch without a class; tests/unit/test_queues.py has one",
    ),
    ("engine/lr_scale.py", "computed"): (1, "every encoder that is shipped or tested has a hidden size"),
    ("launch/cloud.py", "_fail"): (1, "needs SkyPilot and a cloud; tests/cluster plays one"),
    ("launch/slurm.py", "_submit"): (1, "needs a SLURM cluster; tests/cluster plays one"),
}


def test_every_error() -> None:
    """No error without a case, but for those that are listed with a reason."""
    told = set().union(*(one.sites for one in OBEYED.values()))
    untold = Counter((site.file, site.function) for site in all_sites() if site not in told)
    count = sum(one.count for one in OBEYED.values())
    print(f"{len(all_sites())} calls make errors, {len(told)} were told, {count} remedies were obeyed, and all went on")
    if OBEYED.keys() != CASES.keys():
        pytest.skip("counts what all cases did together")
    assert untold == {key: number for key, (number, _) in UNTOLD.items()}
