"""A run that embeds and writes is used: nearest texts, written endings, vectors for sentence-transformers."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from lit_humor.exporters.sentence_transformer import embedded_by_folder
from lit_humor.inference.scoring import load_scorer
from lit_humor.inference.searching import embed_answers
from lit_humor.models.embedded import packaged_minilm
from lit_humor.runs import record
from lit_humor.tasks.generation import Generation
from tests.e2e.test_bad_input import assert_one_message
from tests.e2e.typed import result_of, typed_here


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    places = (f"paths.logs_dir={folder}", f"paths.cache_dir={folder}/cache", "run_id=both")
    quick = ("trainer=cpu", "trainer.max_epochs=1", "baseline=false", "report=false", "tasks.generation.max_tokens=6")
    done = typed_here("train", "experiment=gritlm", "debug=tiny", *quick, *places)
    assert done.returncode == 0, done.stderr
    return folder / "both"


_READ = ("text", "answer", "nll", "answer_tokens")


def _shown(stdout: str) -> list[tuple[float, str]]:
    """Cosine and first line of each text of a table."""
    return [(float(a), b.strip()) for a, b in re.findall(r"^│ +(-?\d\.\d+) │ (.+?) +│$", stdout, re.MULTILINE)]


def test_a_query_shows_the_nearest_rows_of_a_split(run: Path) -> None:
    query = "a cat, at a job [interview]"
    done = typed_here("predict", f"run={run}", f"query={query}", "k=3")
    assert done.returncode == 0, done.stderr
    assert f"Nearest to: {query}" in done.stdout
    vectors = np.load(record.vectors_path(run, "test", "passage"))
    vector = load_scorer(str(run)).outputs([query])["query_embeddings"][0]
    best = np.sort(vectors @ vector)[::-1][:3]
    assert [cosine for cosine, _ in _shown(done.stdout)] == pytest.approx(best, abs=2e-3)
    rows = pq.read_table(record.predictions_path(run, "test")).to_pydict()
    nearest = int(np.argmax(vectors @ vector))
    assert rows["text"][nearest][:20] in done.stdout


def test_a_query_shows_the_nearest_texts_of_a_file(run: Path, tmp_path: Path) -> None:
    texts = ["A horse walks into a bar.", "The bank opens at nine.", "Two cats meet at an interview."]
    (tmp_path / "in.csv").write_text("\n".join(["text", *texts]))
    done = typed_here("predict", f"run={run}", f"query={texts[1]}", f"against={tmp_path / 'in.csv'}", "k=2")
    assert done.returncode == 0, done.stderr
    (first, text), (second, _) = _shown(done.stdout)
    assert (first, text) == (1.0, texts[1])
    assert first > second


def test_an_answer_is_written_to_a_setup(run: Path) -> None:
    done = typed_here("predict", f"run={run}", "setup=Why did the chicken cross the road?")
    assert done.returncode == 0, done.stderr
    ids = load_scorer(str(run)).outputs(["Why did the chicken cross the road?"])["generated_ids"]
    assert ids.shape == (1, 6)
    assert done.stdout.rstrip("\n").split("\t")[-1] == "Why did the chicken cross the road?"


def test_vectors_are_exported_as_they_are(run: Path) -> None:
    done = typed_here("export", f"run={run}", "to=sentence_transformers")
    assert done.returncode == 0, done.stderr
    folder = run / "export" / "sentence_transformers"
    assert record.read_json(folder / "parity.json")["largest_difference"] < 1e-5
    texts = ["short", "a much longer text, of other tokens than the first"]
    assert np.allclose(embedded_by_folder(folder, texts), embed_answers(load_scorer(str(run)), texts), atol=1e-5)
    assert "SentenceTransformer(" in (folder / "README.md").read_text()
    kinds = [module["type"].rpartition(".")[2] for module in record.read_json(folder / "modules.json")]
    assert kinds == ["Transformer", "Pooling", "Normalize"]


def test_it_is_compared_with_another_of_its_kind(run: Path, tmp_path: Path) -> None:
    """One whose query vectors are all those of the first answer, and whose texts are the answers."""
    other = shutil.copytree(run, tmp_path / "other")
    for split in ("val", "test"):
        passages = np.load(record.vectors_path(run, split, "passage"))
        np.save(record.vectors_path(other, split, "query"), np.broadcast_to(passages[0], passages.shape))
    path = record.predictions_path(other, "test")
    table = pq.read_table(path).to_pydict()
    pq.write_table(pa.table(table | {"prediction": table["answer"]}), path)
    done = typed_here("report", f"runs=[{run},{other}]", f"output={tmp_path}/page.html")
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    results = result_of(run)["results"]["test"] | Generation().measure_columns(table)  # of whole answers, none cut
    assert f"recall@1 {1 / len(table['id']) - results['recall_at_1']:+.3f} [" in shown
    assert f"perplexity +0.000 [+0.000, +0.000], chrF {1 - results['chrf']:+.3f} [" in shown
    html = (tmp_path / "page.html").read_text()
    for split in ("val", "test"):
        assert f"Answers found in {split}" in html
        assert f"Answers written in {split}" in html


def test_vectors_of_several_models_are_not_taken_together(run: Path, tmp_path: Path) -> None:
    done = typed_here("eval", f"runs=[{run},{run}]", f"output={tmp_path}/both")
    assert_one_message(done, "runs", "found a run of embedding and generation", f"leave runs out and set run={run}")
    assert not (tmp_path / "both").exists()


def test_texts_of_several_models_are_taken_together(run: Path, tmp_path: Path) -> None:
    """Each row was written by one of them."""
    table = pq.read_table(record.predictions_path(run, "test"))
    for part, name in enumerate(("even", "odd")):
        folder = shutil.copytree(run, tmp_path / name)
        config = OmegaConf.load(folder / record.CONFIG)
        del config.tasks.embedding
        OmegaConf.save(config, folder / record.CONFIG)
        pq.write_table(table.take([*range(part, len(table), 2)]), record.predictions_path(folder, "test"))
    done = typed_here("eval", f"runs=[{tmp_path}/even,{tmp_path}/odd]", f"output={tmp_path}/both")
    assert done.returncode == 0, done.stderr
    found, expected = result_of(tmp_path / "both")["results"]["test"], Generation().measure_columns(table.to_pydict())
    for name in ("rows", "perplexity", "chrf", "token_f1", "distinct"):
        assert found[name] == pytest.approx(expected[name]), name


def test_what_cannot_be_explained_is_refused_before_it_answers(run: Path) -> None:
    done = typed_here("predict", f"run={run}", "text=ha", "explain=true")
    assert_one_message(done, "explain", "found a run of embedding and generation", "leave explain out")
    assert done.stdout == ""


def test_the_half_that_writes_is_exported(run: Path) -> None:
    """Losses of the folder's own model, of other rows than were checked, are those that evaluation wrote."""
    done = typed_here("export", f"run={run}")
    assert done.returncode == 0, done.stderr
    folder = run / "export" / "huggingface"
    checked = record.read_json(folder / "parity.json")
    assert checked["largest_difference"] < 1e-5
    rows = pq.read_table(record.predictions_path(run, "test")).to_pydict()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    for text, answer, nll, count in zip(*(rows[name][:12] for name in _READ), strict=True):
        prompt, ids = (tokenizer(one)["input_ids"] for one in (text, answer))
        ids = ids[1:][:16]  # of <s> answer </s>, as long as gritlm_tiny reads
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
        assert len(ids) == count
        assert nn.functional.cross_entropy(logits, torch.tensor(ids), reduction="sum").item() == pytest.approx(
            nll, rel=1e-2
        )
    inputs = tokenizer(rows["text"][:12], padding=True, truncation=True, return_tensors="pt")
    written = model.generate(**inputs)[:, inputs["input_ids"].shape[1] :]
    texts = [text.strip() for text in tokenizer.batch_decode(written, skip_special_tokens=True)]
    same = sum(one == other for one, other in zip(texts, rows["prediction"], strict=False))
    assert same >= 11, "the run wrote in its own precision"
    card = (folder / "README.md").read_text()
    assert "AutoModelForCausalLM" in card
    assert "position_ids" not in card, "only of models that count from 2"


def test_the_audit_finds_what_a_run_or_a_model_finds_alike(run: Path, tmp_path: Path) -> None:
    texts = [
        "A horse walks into a bar.",
        "The bank opens at nine.",
        "Two cats meet at an interview.",
        "Nine at the bank?",
    ]
    for name, part in {"train": texts[:2], "test": texts[2:]}.items():
        rows = [f"{name} {row},{text},{row % 2}" for row, text in enumerate(part)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["id,text,label", *rows]) + "\n")
    files = [f"data.{name}_path={tmp_path / name}.csv" for name in ("train", "test")]
    for source, name in {str(run): "the run both", "minilm": "all-MiniLM-L6-v2"}.items():
        logs = (f"paths.logs_dir={tmp_path / 'logs'}", f"run_id={Path(source).name}")
        done = typed_here(
            "audit", "data=csv", *files, "model=tiny", f"vectors={source}", "vectors_similarity=0.1", *logs
        )
        assert done.returncode == 0, done.stderr
        found = json.loads((tmp_path / "logs" / Path(source).name / "audit.json").read_text())
        assert found["vectors"] == {"name": name, "similarity": 0.1}
        (across,) = [finding for finding in found["findings"] if finding["kind"] == "near_vectors_across"]
        nearest = across["cases"][0]
        if source == "minilm":
            assert [row["id"] for row in nearest] == ["train 1", "test 1"], "both are about a bank at nine"
            vectors = embedded_by_folder(Path(packaged_minilm()), texts)
        else:
            vectors = load_scorer(source).outputs(texts)["query_embeddings"]
        cosines = (vectors @ vectors.T)[:2, 2:]
        assert nearest[1]["cosine"] == pytest.approx(cosines.max(), abs=5e-3)
        assert across["count"] == (cosines >= 0.1).sum()
        page = (tmp_path / "logs" / Path(source).name / "audit.html").read_text()
        assert f"Vectors are those of {name};" in page
        assert "the opinion of this model" in page
