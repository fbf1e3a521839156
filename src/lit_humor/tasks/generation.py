"""Generation: every row has a text to write, such as the ending of a joke. Legend: B, N rows, U tokens of an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from lit_humor.core.batch import SPLITS, TEST
from lit_humor.core.errors import UserError
from lit_humor.tasks.answers import PREDICTION
from lit_humor.tasks.tables import scalar_table, slice_tables
from lit_humor.tasks.task import Baseline, ResultTable, Task
from lit_humor.tasks.texts import asked_again, check_answers, class_shares, equally_many_tokens

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from lit_humor.data.dividing.splits import Drawn
    from lit_humor.data.examples import Examples
    from lit_humor.data.preparing.preparation import Reading
    from lit_humor.data.settings import DataSettings
    from lit_humor.metrics.generation import GenerationMetrics

_BASELINE = "unigram model: each word as often as in the training answers, add-one smoothing"
_GENERATED, _SHARES = "generated_ids", "class_shares"


class Generation(Task):
    """Writes the answer of a row, ``data.answer_column``.

    Validation reads the answers that are there (perplexity); texts are written where a split of ``splits`` is scored.

    Args:
        splits: Splits whose answers are written.
        max_tokens: Most tokens of a written answer.
        num_beams: Beginnings that are kept while writing; 1 takes the likeliest next token.
        class_answers: Answers that stand for classes: the likelihood of each beside those of the others is a column of
            the predictions. They need equally many tokens, since a longer answer is less likely, whatever it says.
        class_names: Not used.

    Raises:
        UserError: An argument is out of range.
    """

    kind = "generation"
    definitions: ClassVar[Mapping[str, str]] = {
        "perplexity": "exp of the mean loss of a token of the answers, the end included; of a model's own tokens",
        "exact_match": "share of written texts that equal the answer, but for case and punctuation",
        "token_f1": "mean over rows of the F1 of the words of written text and answer",
        "chrf": "character n-gram F-score of all written texts (Popovic 2015), 0 to 1",
        "bleu": "4-gram BLEU of all written texts; 0 where no four words in a row are right",
        "empty": "share of written texts without a word",
        "copied": "share of written texts that are a part of their prompt",
        "distinct": "number of different written texts / number of rows",
        "loss": "mean of the training objective per row",
        "slices": "rows, perplexity, exact_match, token_f1 of one language, genre, part, stage or question type",
    }
    scalars = ("perplexity", "exact_match", "token_f1", "chrf", "bleu", "empty", "copied", "distinct", "loss")
    curves: ClassVar[Mapping[str, str]] = {"perplexity": "perplexity", "loss": "loss"}
    compared: ClassVar[Mapping[str, str]] = dict(perplexity="min", chrf="max", token_f1="max", exact_match="max")
    constant_answer = "one text only"
    outputs = ("nll", "answer_tokens")
    objective = "language_modeling"
    family = "gritlm"
    reads = ("answer_logits",)

    def __init__(
        self,
        splits: Sequence[str] = (TEST,),
        max_tokens: int = 48,
        num_beams: int = 1,
        class_answers: Sequence[str] = (),
        class_names: Iterable[str] = (),
    ) -> None:
        super().__init__(class_names)
        for name, value in (("max_tokens", max_tokens), ("num_beams", num_beams)):
            if value < 1:
                key = f"tasks.generation.{name}"
                raise UserError(key, found=str(value), expected="a number above 0", fix=f"set {key}=1")
        if unknown := sorted(set(splits) - set(SPLITS)):
            key, expected = "tasks.generation.splits", f"some of {', '.join(SPLITS)}"
            raise UserError(key, found=", ".join(unknown), expected=expected, fix=f"set {key}=[{TEST}]")
        self.splits, self.max_tokens, self.num_beams = tuple(splits), max_tokens, num_beams
        self.class_answers = tuple(class_answers)

    def connect(self, pretrained: Reading) -> None:
        """Set ``pretrained``, and check that the answers of classes have equally many of its tokens."""
        super().connect(pretrained)
        self._tokens_of_classes = equally_many_tokens(self.class_answers, pretrained.tokenizer)

    def asked_again(self, text: str, answers: Sequence[str]) -> str:
        """Return a question with what was answered so far, for the next pass; see ``texts.asked_again``."""
        return asked_again(text, answers)

    def check(self, splits: Mapping[str, Examples], drawn: Drawn, settings: DataSettings, val_key: str) -> None:
        """Training and validation need rows, and every row an answer."""
        check_answers(self.kind, splits, drawn, settings, val_key)

    def metrics(self, slice_values: Mapping[str, Sequence[str]], *, synced: bool = True) -> GenerationMetrics:
        """Return perplexity, and scores of written texts."""
        from lit_humor.metrics.generation import GenerationMetrics

        return GenerationMetrics(slice_values, self.texts_of, synced=synced)

    def extra_outputs(self, network: Any, batch: Mapping[str, Tensor], split: str | None) -> dict[str, Tensor]:
        """Write the answers: ``generated_ids`` [B, max_tokens] int64, the end of the text repeated behind it.

        With answers of classes, ``class_shares`` [B, K] float32, the likelihood of each, which add up to 1.
        """
        if split is not None and split not in self.splits:
            return {}
        from lit_humor.data.preparing.pairs import marks_of_texts

        end = marks_of_texts(self.pretrained.tokenizer)[1]
        outputs = {_GENERATED: network.write(batch, self.max_tokens, end, self.num_beams)}
        if self.class_answers:
            outputs[_SHARES] = class_shares(network, batch, self._tokens_of_classes)
        return outputs

    def texts_of(self, ids: Tensor) -> list[str]:
        """Return the texts of token ids [B, U], without special tokens and what follows the end."""
        texts: list[str] = self.pretrained.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [text.strip() for text in texts]

    def columns(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Any]:
        """Return ``nll`` (sum over the answer's tokens), ``answer_tokens``, and ``prediction`` if it was written."""
        written: dict[str, Any] = {}
        if _GENERATED in outputs:
            written = {PREDICTION: self.texts_of(outputs[_GENERATED])}
            for place, answer in enumerate(self.class_answers):
                written[f"likelihood_{answer}"] = outputs[_SHARES][:, place].numpy()
        return {
            **written,
            "nll": outputs["nll"].numpy(),
            "answer_tokens": outputs["answer_tokens"].numpy(),
        }

    def measure_columns(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Compute all metrics from ``text``, ``answer``, ``prediction``, ``nll`` and ``answer_tokens``."""
        from lit_humor.metrics.generated_texts import measure_texts

        texts = columns.get(PREDICTION, [None] * len(columns["text"]))
        return measure_texts(columns["text"], columns["answer"], texts, columns["nll"], columns["answer_tokens"])

    def intervals(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, tuple[float, float]]:
        """Return bootstrap intervals of ``perplexity`` and, where texts were written, of ``token_f1``.

        That of ``exact_match`` is Wilson's, for this share is often 0, where a bootstrap finds no width at all.
        """
        import numpy as np

        from lit_humor.metrics.intervals import bootstrap_of_means, share_interval
        from lit_humor.metrics.text_scores import exact_match, token_f1

        losses = np.asarray([columns["nll"], columns["answer_tokens"]], dtype=np.float64).T
        losses = losses[losses[:, 1] > 0]
        pairs = zip(columns["answer"], columns.get(PREDICTION, ()), strict=PREDICTION in columns)
        written = [(answer, text) for answer, text in pairs if answer is not None and text is not None]
        ends: dict[str, tuple[float, float]] = {}
        if len(losses):
            ends |= bootstrap_of_means(losses, lambda means: {"perplexity": perplexities(means)})
        if written:
            scores = np.asarray([[token_f1(*pair)] for pair in written])
            ends["exact_match"] = share_interval(sum(exact_match(*pair) for pair in written), len(written))
            ends |= bootstrap_of_means(scores, lambda m: {"token_f1": m[:, 0]})
        return ends

    def tables(
        self, split: str, results: Mapping[str, Any], baseline: Mapping[str, Any] | None = None
    ) -> list[ResultTable]:
        """Return tables of metrics next to the baseline, and of perplexity by slice."""
        return [
            scalar_table(split, results, self.scalars, baseline, "unigram baseline"),
            *slice_tables(split, results, ("perplexity", "exact_match", "token_f1")),
        ]

    def answers(
        self, outputs: Mapping[str, Any], calibration: Mapping[str, float], threshold: float | None = None
    ) -> dict[str, list[Any]]:
        """Return ``prediction``, the written text."""
        import torch

        return {PREDICTION: self.texts_of(torch.as_tensor(outputs[_GENERATED]).long())}

    def baseline(self, train: Examples, evaluated: Mapping[str, Examples]) -> Baseline:
        """Score a unigram model of the same tokens: the perplexity of one that knows nothing of the prompt."""
        import numpy as np

        size = len(self.pretrained.tokenizer)
        counts = np.bincount(np.concatenate(self._tokens_of(train)), minlength=size) + 1
        losses = -np.log(counts / counts.sum())
        results = {}
        for split, examples in evaluated.items():
            nll = [float(losses[ids].sum()) for ids in self._tokens_of(examples)]
            tokens = sum(len(ids) for ids in self._tokens_of(examples))
            results[split] = {"perplexity": float(np.exp(sum(nll) / tokens)), "rows": len(examples), "slices": {}}
        return Baseline(_BASELINE, results)

    def _tokens_of(self, examples: Examples) -> list[np.ndarray]:
        """Return the token ids of each answer, with the end, as they are learned."""
        from lit_humor.data.preparing.pairs import answer_tokens

        assert examples.answers is not None, "check() saw to it"
        store = answer_tokens(examples.answers.texts, self.pretrained.tokenizer, self.max_tokens)
        return [store.row(index) for index in range(len(examples))]


def perplexities(means: np.ndarray) -> np.ndarray:
    """Return perplexities [R], at most the largest float, from means [R, 2] of ``nll`` and ``answer_tokens``."""
    import numpy as np

    return np.exp(np.minimum(means[:, 0] / means[:, 1], np.log(np.finfo(np.float64).max)))
