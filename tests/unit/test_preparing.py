"""What a model reads: a preparation of another kind needs no change to what deals, counts and remembers rows."""

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lit_humor.config.command import compose
from lit_humor.config.frozen import changed
from lit_humor.core.errors import UserErrors
from lit_humor.data.examples import Examples
from lit_humor.data.preparing.preparation import Digest, Preparation, Prepared
from lit_humor.data.preparing.texts import TextPreparation
from lit_humor.data.settings import DataSettings
from lit_humor.engine import factory
from lit_humor.engine.configuration import validate
from lit_humor.models.pretrained import Pretrained
from tests.unit.building import make_datamodule, make_examples


@dataclass(frozen=True)
class PreparedLetters(Prepared):
    """Rows of letters, and the same backwards as what is to be written; no key is called input_ids."""

    letters: list[list[int]]

    @property
    def lengths(self) -> np.ndarray:
        return np.asarray([2 * len(row) for row in self.letters])

    @property
    def num_truncated(self) -> int:
        return 3

    @property
    def mean_target_tokens(self) -> float:
        return float(np.mean([len(row) for row in self.letters]))

    def collate(self, rows: np.ndarray) -> dict[str, Tensor]:
        picked = [torch.tensor(self.letters[row]) for row in rows]
        read = torch.nn.utils.rnn.pad_sequence(picked, batch_first=True)
        return {"letters": read, "target_ids": read.flip(1)}

    def update_digest(self, digest: Digest) -> None:
        digest.update(repr(self.letters).encode())


class Letters(Preparation):
    """Reads letters."""

    def prepare(self, examples: Examples, cache_dir: str | Path | None) -> PreparedLetters:
        return PreparedLetters([[ord(letter) for letter in text[:20]] for text in examples.texts])


@pytest.mark.parametrize("num_workers", [0, 1])
def test_rows_of_another_kind_are_dealt_counted_and_remembered(
    tiny_model: str, tmp_path: Path, num_workers: int
) -> None:
    datamodule = make_datamodule(tiny_model, tmp_path, preparation=Letters, num_workers=num_workers)
    report = datamodule.report()
    seen: list[int] = []
    for batch in datamodule.train_dataloader():
        seen += batch["rows"].tolist()
        first = datamodule.splits["train"].texts[batch["rows"][0]]
        assert batch["letters"][0, : len(first[:20])].tolist() == [ord(letter) for letter in first[:20]]
        assert len(batch["target_ids"]) == len(batch["labels"]) == len(batch["row_weights"])
        assert "input_ids" not in batch
    assert sorted(seen) == list(range(44))
    assert report["splits"]["train"]["truncated"] == 3
    assert report["splits"]["train"]["tokens"]["p100"] == datamodule.prepared["train"].lengths.max()
    rows = datamodule.training_rows
    assert rows.used_tokens is None
    assert rows.mean_target_tokens == datamodule.prepared["train"].lengths.mean() / 2


def test_a_run_goes_on_with_what_its_model_read_alone(tiny_model: str, tmp_path: Path) -> None:
    def fingerprint(**options: object) -> str:
        return str(make_datamodule(tiny_model, tmp_path, **options).report()["fingerprint"])

    other = make_examples(44)
    splits = {"train": replace(other, texts=["another", *other.texts[1:]]), "val": make_examples(21, seed=1)}
    for preparation in (TextPreparation, Letters):
        before = fingerprint(preparation=preparation, splits={**splits, "train": make_examples(44)})
        assert before != fingerprint(preparation=preparation, splits=splits)


def test_texts_in_memory_are_those_of_the_files(tiny_model: str, tmp_path: Path) -> None:
    datamodule = make_datamodule(tiny_model, tmp_path)
    datamodule.setup()
    examples, rows = datamodule.splits["val"], np.arange(7)
    scored = Examples.unlabelled(examples.texts)
    in_memory = datamodule.preparation.prepare(scored, None).collate(rows)
    on_disk = datamodule.prepared["val"].collate(rows)
    assert in_memory.keys() == on_disk.keys()
    assert all(torch.equal(in_memory[name], on_disk[name]) for name in on_disk)


def test_the_configuration_names_it(tiny_model: str) -> None:
    cfg = compose("train", ["model=tiny"])
    settings, pretrained = DataSettings.of(cfg.data), Pretrained(tiny_model)
    old = changed(cfg, {"model.preparation": None})
    assert all(type(factory.build_preparation(one, pretrained, settings)) is TextPreparation for one in (cfg, old))
    wrong = changed(
        cfg, {"model.preparation": {"_target_": f"{TextPreparation.__module__}.TextPreparation", "size": 3}}
    )
    with pytest.raises(UserErrors, match=r"model\.preparation\.size: found an unknown key"):
        validate(wrong)


def test_loader_processes_import_no_library_of_models() -> None:
    """Each would wait seconds for it."""
    names = f"import sys, {TextPreparation.__module__}, lit_humor.data.batches.batching; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", names], capture_output=True, text=True, check=True).stdout.split()
    assert "torch" in loaded
    assert not {"transformers", "lightning", "pandas", "pyarrow", "sklearn"} & set(loaded)
