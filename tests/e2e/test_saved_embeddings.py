"""Checkpoints with the trained rows of word embeddings alone: as good as whole ones, and tied to their base."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from tests.e2e.typed import result_of, typed
from tests.torture.running import assert_equal_runs, train, train_by_two

TRAINED = "model.network.saved_embeddings=trained"
TABLE = "model.backbone.embeddings.word_embeddings"


QUICK = ("report=false", "baseline=false", "logger.tensorboard=null", "callbacks.confusion=null")


def _defaults(logs: Path, name: str, *more: str) -> list[str]:
    return [
        "debug=tiny",
        f"paths.logs_dir={logs}",
        f"run_id={name}",
        "trainer.max_epochs=3",
        "data.rows_per_split=16",
        *more,
    ]


def _arguments(logs: Path, name: str, *more: str) -> list[str]:
    return _defaults(logs, name, *QUICK, *more)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training twice: with whole word embeddings in its checkpoints, and with trained rows."""
    logs = tmp_path_factory.mktemp("logs")
    for name, more in (("whole", ()), ("rows", (TRAINED,))):
        done = train(logs, *_arguments(logs, name, *more))
        assert done.code == 0, done.output
    return logs


def _state(run: Path, name: str = "last") -> dict[str, torch.Tensor]:
    return dict(torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"])


def _rows(run: Path, name: str) -> dict[int, torch.Tensor]:
    """The saved rows of word embeddings by token id."""
    state = _state(run, name)
    table = state[f"{TABLE}.weight"]
    return dict(zip(state.get(f"{TABLE}.rows", torch.arange(len(table))).tolist(), table, strict=True))


def _unseen(run: Path) -> str:
    """A text of words whose embeddings no split of the run uses."""
    tokenizer = AutoTokenizer.from_pretrained(run / "backbone")
    rows = set(_state(run)[f"{TABLE}.rows"].tolist())
    words = [piece[1:] for piece, index in tokenizer.get_vocab().items() if piece[0] == "\u2581" and index not in rows]
    text = " ".join(sorted(word for word in words if word.isalpha())[:8])
    assert len(set(tokenizer(text)["input_ids"]) - rows) > 4
    return text


def test_checkpoints_hold_the_trained_rows_and_the_hash_of_the_base(both: Path) -> None:
    whole, rows = _state(both / "whole"), _state(both / "rows")
    ids = rows.pop(f"{TABLE}.rows").long()
    assert len(rows.pop(f"{TABLE}.base")) == 32
    assert 100 < len(ids) < len(whole[f"{TABLE}.weight"])
    assert torch.equal(rows.pop(f"{TABLE}.weight"), whole.pop(f"{TABLE}.weight")[ids])
    assert rows.keys() == whole.keys()
    for name, value in rows.items():
        assert torch.equal(value, whole[name]), name
    assert result_of(both / "rows")["results"] == result_of(both / "whole")["results"]


@pytest.mark.parametrize("settings", [("text=UNSEEN",), ("output=out.csv", "input=in.csv")])
def test_words_that_training_never_saw_are_predicted_alike(
    both: Path, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    unseen = _unseen(both / "rows")
    (tmp_path / "in.csv").write_text(f"text\n{unseen}\nVowels OUT\n")
    printed = []
    for name in ("whole", "rows"):
        here = [
            value.replace("=out", f"={tmp_path}/{name}").replace("=in", f"={tmp_path}/in").replace("UNSEEN", unseen)
            for value in settings
        ]
        done = typed("predict", f"run={both / name}", *here)
        assert done.returncode == 0, done.stderr
        out = tmp_path / f"{name}.csv"
        printed.append(out.read_text() if out.is_file() else done.stdout.replace(name, ""))
    assert printed[0] == printed[1]


def test_it_is_evaluated_and_exported_alike(both: Path, tmp_path: Path) -> None:
    weights = []
    for name in ("whole", "rows"):
        done = typed("eval", f"run={both / name}", "split=val")
        assert done.returncode == 0, done.stderr
        done = typed("export", f"run={both / name}", f"output={tmp_path / name}")
        assert done.returncode == 0, done.stderr
        weights.append(load_file(tmp_path / name / "model.safetensors"))
    assert weights[0].keys() == weights[1].keys()
    for key, value in weights[0].items():
        assert torch.equal(value, weights[1][key]), key


def test_an_interrupted_run_goes_on_exactly(both: Path, tmp_path: Path) -> None:
    arguments = _arguments(tmp_path, "run", TRAINED, "resume=auto")
    assert train(tmp_path, *arguments, accident={"event": "batch", "at": 2, "action": "SIGTERM"}).code == 143
    done = train(tmp_path, *arguments)
    assert done.code == 0, done.output
    assert_equal_runs(tmp_path / "run", both / "rows")


@pytest.mark.slow
def test_two_processes_save_them_too(tmp_path: Path) -> None:
    done = train_by_two(*_defaults(tmp_path, "two", TRAINED, "trainer=cpu"))
    assert done.code == 0, done.output
    state = _state(tmp_path / "two")
    assert len(state[f"{TABLE}.rows"]) == len(state[f"{TABLE}.weight"]) > 100
    assert typed("eval", f"run={tmp_path / 'two'}", "split=val").returncode == 0


@pytest.mark.parametrize(("first", "second"), [("rows", TRAINED), ("whole", TRAINED), ("rows", "")])
def test_a_run_starts_from_either_form_and_keeps_rows_it_does_not_use(
    both: Path, tmp_path: Path, first: str, second: str
) -> None:
    """Other rows than those in use here were trained by the first run: they are saved again."""
    few = ("data.languages=[en]", "trainer.max_epochs=1", "optim.learning_rate=1e-12")
    done = train(tmp_path, *_arguments(tmp_path, "next", *few, *filter(None, [second])), f"init_from={both / first}")
    assert done.code == 0, done.output
    trained, kept = _rows(both / first, "best"), _rows(tmp_path / "next", "last")
    assert trained.keys() <= kept.keys()
    for index, values in trained.items():
        torch.testing.assert_close(kept[index], values, rtol=0, atol=1e-8)


def test_frozen_embeddings_are_saved_as_few_rows(tmp_path: Path) -> None:
    done = train(tmp_path, *_arguments(tmp_path, "frozen", TRAINED, "model.network.embeddings=frozen"))
    assert done.code == 0, done.output
    assert len(_state(tmp_path / "frozen")[f"{TABLE}.weight"]) < 600
    assert typed("eval", f"run={tmp_path / 'frozen'}", "split=val").returncode == 0


def test_another_base_is_refused(both: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(both / "rows", run)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("initializer_range: 0.1", "initializer_range: 0.2"))
    refused = typed("eval", f"run={run}", "split=val")
    assert refused.returncode == 1
    assert "trained from other pretrained word embeddings than those of model.pretrained now" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert json.loads((run / "result.json").read_text()) == json.loads((both / "rows" / "result.json").read_text())
