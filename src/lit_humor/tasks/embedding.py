"""Embedding: the vector of a row finds the text that belongs to it. Legend: B, N rows, D size of a vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from lit_humor.tasks.tables import scalar_table, slice_tables
from lit_humor.tasks.task import Baseline, ResultTable, Task
from lit_humor.tasks.texts import check_answers

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from lit_humor.data.dividing.splits import Drawn
    from lit_humor.data.examples import Examples
    from lit_humor.data.settings import DataSettings
    from lit_humor.metrics.retrieval import RetrievalMetrics

QUERY, PASSAGE = "query", "passage"  # names of the files of vectors
KEY, RANK = "answer_key", "rank"  # columns: the first is equal for equal answers, the second may be worked out
_BASELINE = "TF-IDF of words (1-2) and characters (2-5, within words), cosine"


class Embedding(Task):
    """Finds the answer of a row, ``data.answer_column``, among those of all rows of the split."""

    kind = "embedding"
    definitions: ClassVar[Mapping[str, str]] = {
        "recall_at_1": "share of rows whose own answer is nearest among all different answers of the split",
        "recall_at_5": "share of rows whose own answer is among the 5 nearest",
        "recall_at_10": "share of rows whose own answer is among the 10 nearest",
        "mrr": "mean of 1 / rank of the row's own answer",
        "alignment": "mean squared distance of a row's vector and that of its answer; 0 is closest",
        "uniformity": "log of the mean of exp(-2 d^2) over pairs of answers; lower is more evenly spread",
        "loss": "mean of the training objective per row; of a contrastive one it depends on the batch",
        "slices": "rows, recall_at_10 and mrr of rows of one language, genre, part, stage or question type",
    }
    scalars = ("recall_at_1", "recall_at_5", "recall_at_10", "mrr", "alignment", "uniformity", "loss")
    curves: ClassVar[Mapping[str, str]] = {"recall_at_10": "R@10", "mrr": "MRR"}
    compared: ClassVar[Mapping[str, str]] = {"recall_at_1": "max", "recall_at_10": "max", "mrr": "max"}
    constant_answer = "one vector only"
    outputs = ("query_embeddings", "passage_embeddings")
    objective = "contrastive"
    family = "gritlm"
    answers_texts = False
    scores_rows_alone = False
    reads = outputs

    def check(self, splits: Mapping[str, Examples], drawn: Drawn, settings: DataSettings, val_key: str) -> None:
        """Training and validation need rows, and every row an answer."""
        check_answers(self.kind, splits, drawn, settings, val_key)

    def metrics(self, slice_values: Mapping[str, Sequence[str]], *, synced: bool = True) -> RetrievalMetrics:
        """Return ranks of the answers, alignment and uniformity."""
        from lit_humor.metrics.retrieval import RetrievalMetrics

        return RetrievalMetrics(slice_values, synced=synced)

    def columns(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Any]:
        """Return the vectors [B, D] of texts and answers, and ``answer_key``, equal for equal answers."""
        return {
            QUERY: outputs["query_embeddings"].float().numpy(),
            PASSAGE: outputs["passage_embeddings"][:, 0].float().numpy(),
            KEY: batch["text_keys"][:, 1].numpy(),
        }

    def measure_columns(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Compute the metrics of ranks from ``rank``, or from the vectors and ``answer_key``."""
        from lit_humor.metrics.ranks import scores_of_ranks

        ranks = ranks_in(columns)
        scores = {name: float(values.mean()) for name, values in scores_of_ranks(ranks).items()}
        return {**scores, "rows": len(ranks), "slices": {}}

    def tables(
        self, split: str, results: Mapping[str, Any], baseline: Mapping[str, Any] | None = None
    ) -> list[ResultTable]:
        """Return tables of metrics next to the baseline, and by slice."""
        return [
            scalar_table(split, results, self.scalars, baseline),
            *slice_tables(split, results, ("recall_at_10", "mrr")),
        ]

    def answers(
        self, outputs: Mapping[str, Any], calibration: Mapping[str, float], threshold: float | None = None
    ) -> dict[str, list[Any]]:
        """Return no column: ``predict.py query=`` shows what lies near, and vectors are written beside predictions."""
        return {}

    def cells(self, answers: Mapping[str, Sequence[Any]], row: int | None) -> list[str]:
        """Nothing."""
        return []

    def intervals(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, tuple[float, float]]:
        """Return bootstrap intervals of recalls and MRR; none without ``rank`` or vectors."""
        from lit_humor.metrics.ranks import retrieval_intervals

        has_ranks = RANK in columns or (QUERY in columns and PASSAGE in columns)
        return retrieval_intervals(ranks_in(columns)) if has_ranks else {}

    def is_collapsed(self, results: Mapping[str, Any], objective: Any) -> bool:
        """Return whether all answers have the same vector."""
        return results.get("uniformity") is not None and results["uniformity"] > -1e-6

    def baseline(self, train: Examples, evaluated: Mapping[str, Examples]) -> Baseline:
        """Rank answers by the cosine of TF-IDF vectors, whose words are those of the training texts and answers."""
        import numpy as np
        from sklearn.preprocessing import normalize

        from lit_humor.data.baseline import tfidf_features
        from lit_humor.metrics.ranks import ranks_of

        features = tfidf_features().fit([*train.texts, *_answers(train)])
        results = {}
        for split, examples in evaluated.items():
            answers = _answers(examples)
            vectors = [normalize(features.transform(texts)) for texts in (examples.texts, answers)]
            keys = np.unique(answers, return_inverse=True)[1]
            results[split] = self.measure_columns({RANK: ranks_of(vectors[0], vectors[1], keys).tolist()})
        return Baseline(_BASELINE, results)


def ranks_in(columns: Mapping[str, Any]) -> np.ndarray:
    """Return the ranks [N] of the answers: ``rank``, or worked out from the vectors and ``answer_key``."""
    import numpy as np

    from lit_humor.metrics.ranks import ranks_of

    if RANK in columns:
        return np.asarray(columns[RANK], dtype=np.float64)
    return ranks_of(columns[QUERY], columns[PASSAGE], np.asarray(columns[KEY], dtype=np.int64))


def _answers(examples: Examples) -> list[str]:
    assert examples.answers is not None, "check() saw to it"
    return examples.answers.texts
