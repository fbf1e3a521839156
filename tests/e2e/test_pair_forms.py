"""data=joke_pairs: the same rows in every form of file train the same model."""

from pathlib import Path

import pytest

from tests.e2e.typed import result_of, typed_here
from tests.unit.test_joke_pairs import FORMS, write_form

QUICK = ("trainer=cpu", "trainer.max_epochs=1", "baseline=false", "report=false", "logger.tensorboard=null")
PAIRS = [
    {
        "query": ["Find the end", f"set-up {row} of {row * 7919}, and more"],
        "pos": [["An ending", f'ending {row}, "so"'], ["", "another"]],
        "neg": [["", f"no {row}"]] if row % 2 else [],
    }
    for row in range(48)
]
TURNS = [{"text": [f"user {row}", f"assistant, {row}"]} for row in range(12)]


@pytest.mark.slow
def test_every_form_trains_the_same_model(tmp_path: Path) -> None:
    results = {}
    for form in FORMS:
        pairs, turns = (write_form(tmp_path, name, form, rows) for name, rows in (("pairs", PAIRS), ("turns", TURNS)))
        files = (f"data.train_path={pairs}", f"data.writing_path={turns}", "data.writing_share=0.4")
        places = (f"paths.logs_dir={tmp_path}/logs", f"paths.cache_dir={tmp_path}/cache", f"run_id={form}")
        done = typed_here("train", "experiment=gritlm", "debug=tiny", "data=joke_pairs", *QUICK, *files, *places)
        assert done.returncode == 0, done.stderr
        results[form] = result_of(tmp_path / "logs" / form)["results"]
    assert results["jsonl"]["test"]["rows"] > 2
    assert results["jsonl"]["test"]["perplexity"] > 1
    assert results["jsonl"]["test"]["recall_at_10"] > 0
    assert [form for form, found in results.items() if found != results["jsonl"]] == []
