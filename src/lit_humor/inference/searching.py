"""Finds the texts that lie nearest to a query, with a run that embeds. Legend: N candidates, D size of a vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from omegaconf import DictConfig

from lit_humor.config.saved import SavedRun, no_run
from lit_humor.config.schema.predict import PredictConfig
from lit_humor.core.batch import SPLITS, TEST
from lit_humor.core.bounds import out_of_bounds
from lit_humor.core.errors import UserError
from lit_humor.core.settings import command_line, setting
from lit_humor.data.answers import Answers
from lit_humor.data.examples import Examples
from lit_humor.data.reading.columns import TEXT_COLUMNS, find_column
from lit_humor.data.reading.tables import read_table
from lit_humor.engine.factory import build_tasks
from lit_humor.engine.libraries import set_up_libraries
from lit_humor.inference.scoring import Scorer, load_scorer
from lit_humor.runs import record, screen
from lit_humor.tasks.embedding import PASSAGE, Embedding


class Candidates(NamedTuple):
    """What a query is compared with.

    Attributes:
        texts: [N] texts that are shown.
        vectors: [N, D] float32 of length 1; None if they have to be computed.
    """

    texts: list[str]
    vectors: np.ndarray | None


def search(cfg: DictConfig, saved: SavedRun | None, queries: Sequence[str]) -> None:
    """Show the ``cfg.k`` nearest texts of ``cfg.against`` for each query, with their cosine.

    Raises:
        UserError: There is no run, it does not embed, or there is nothing to look in.
    """
    set_up_libraries()
    if saved is None:
        raise no_run(cfg.paths.logs_dir)
    kinds = [task.kind for task in build_tasks(saved.config, saved.class_names).values()]
    if Embedding.kind not in kinds:
        found, fix = f"a run of {' and '.join(kinds)}", 'set text="..." in its place'
        raise UserError("query", found=found, expected=f"a run of {Embedding.kind}", fix=fix)
    if any(not query.strip() for query in queries):
        raise UserError("query", found="a blank text", expected="words", fix='set query="..."')
    for problem in out_of_bounds(PredictConfig, {"k": cfg.k}, ""):
        raise problem
    candidates = read_candidates(cfg.against or TEST, saved, cfg.text_column)
    scorer = load_scorer(saved, cfg.ckpt)
    vectors = candidates.vectors if candidates.vectors is not None else embed_answers(scorer, candidates.texts)
    of_queries = scorer.outputs_of(Examples.unlabelled(queries), answered=False)["query_embeddings"]
    for query, vector in zip(queries, of_queries, strict=True):
        scores: np.ndarray = vectors @ vector
        nearest = np.argsort(-scores, kind="stable")[: cfg.k]
        rows = [[f"{scores[row]:.3f}", candidates.texts[row]] for row in nearest]
        screen.show(screen.table(f"Nearest to: {query}", ["cosine", "text"], rows))


def read_candidates(against: str, saved: SavedRun, text_column: str | None) -> Candidates:
    """Read the texts of a file, or texts and vectors of a split that the run has scored.

    Raises:
        UserError: There is no such file or split, or the split was not scored.
    """
    if against in SPLITS:
        scored = (saved.folder, saved.folder / "eval" / f"own-{against}")  # the second is what eval.py writes
        folder = next((one for one in scored if record.vectors_path(one, against, PASSAGE).is_file()), None)
        if folder is None:
            fix = command_line("eval", setting("run", str(saved.folder)), f"split={against}") + " writes them"
            found = f"no vectors of split '{against}' in {saved.folder}"
            raise UserError("against", found=found, expected="a file of texts, or a split that was scored", fix=fix)
        columns = pq.read_table(record.predictions_path(folder, against), columns=["text", "answer"]).to_pydict()
        texts = [f"{text} {answer}" for text, answer in zip(columns["text"], columns["answer"], strict=True)]
        return Candidates(texts, np.load(record.vectors_path(folder, against, PASSAGE)))
    if not Path(against).is_file():
        expected = f"a file of texts, or one of {', '.join(SPLITS)}"
        raise UserError("against", found=f"no file {against}", expected=expected, fix=f"set against={TEST}")
    table = read_table(against)
    column = find_column(table, text_column, TEXT_COLUMNS, "text_column", against)
    texts = [str(text) for text in table[column] if text and str(text).strip()]
    if not texts:
        raise UserError("against", found=f"no text in {against}", expected="some", fix=f"set against={TEST}")
    return Candidates(texts, None)


def embed_answers(scorer: Scorer, texts: list[str]) -> np.ndarray:
    """Return the vectors [N, D] of texts as answers, which have no instruction."""
    answers = Answers(texts=texts, negatives=[[] for _ in texts], instructions=[""] * len(texts))
    examples = replace(Examples.unlabelled(texts), answers=answers)
    vectors: np.ndarray = scorer.outputs_of(examples, answered=False)["passage_embeddings"][:, 0]
    return vectors
