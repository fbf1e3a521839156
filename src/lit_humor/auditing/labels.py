"""What gives the labels away, and which labels are probably wrong.

Legend: N rows, C classes, F features.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import StratifiedGroupKFold

from lit_humor.auditing.rows import NOTE, WARNING, Finding, Rows
from lit_humor.data.baseline import tfidf_features
from lit_humor.metrics.label_errors import suspect_labels, wilson_lower

_TOKENS = r"[#@]?\w+|[^\w\s]"  # words, hashtags, handles, single marks and emojis
_MANY_ROWS = 20_000  # from here on words only, so that 200,000 rows take minutes
_SEED = 0
_FOLDS = 5
_TELLING = 50  # features told for a class
_MIN_SHARE = 0.02  # of all rows that have a feature
_TOLD_FROM = 3.0  # z score
_GIVEN_AWAY = 0.9  # lower bound of the share of a class from which on a feature gives it away


def out_of_fold_probabilities(rows: Rows, clusters: np.ndarray) -> np.ndarray | str:
    """Score each row by TF-IDF and logistic regression that never saw it nor its near duplicates.

    Price: 8,000 short texts 15 s, 200,000 about two minutes on two cores.

    Args:
        rows: All rows, every class among them.
        clusters: [N] the same number for rows that must share a fold.

    Returns:
        [N, C] float64; or in words why nothing was fitted.
    """
    for label, name in enumerate(rows.class_names):
        there = rows.labels == label
        if there.sum() < _FOLDS:
            return f"class '{name}' has {there.sum()} rows, fewer than {_FOLDS}"
    try:
        return _cross_validate(rows, clusters)
    except ValueError:  # from scikit-learn: texts without words, or one class only outside a fold
        apart = [(len(np.unique(clusters[rows.labels == label])), name) for label, name in enumerate(rows.class_names)]
        fewest, name = min(apart)
        if fewest < _FOLDS:
            return f"the rows of class '{name}' make {fewest} clusters of related texts, fewer than {_FOLDS}"
        return "the texts have too few words in common"


def _cross_validate(rows: Rows, clusters: np.ndarray) -> np.ndarray:
    features = tfidf_features(characters=len(rows) <= _MANY_ROWS).fit_transform(rows.texts)
    probabilities = np.zeros((len(rows), len(rows.class_names)))
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=_SEED)
    for train, held_out in folds.split(features, rows.labels, clusters):
        model = LogisticRegression(C=10, max_iter=1000, class_weight="balanced")
        model.fit(features[train], rows.labels[train])
        probabilities[np.ix_(held_out, model.classes_)] = model.predict_proba(features[held_out])
    return probabilities


def baselines(rows: Rows, probabilities: np.ndarray | str) -> dict[str, Any]:
    """Accuracy and macro F1 of "always the largest class" and of the out-of-fold TF-IDF predictions, also by slice.

    Where nothing was fitted, ``not_fitted`` says why, in place of the numbers of TF-IDF.
    """
    found: dict[str, Any] = {"majority_accuracy": float(np.bincount(rows.labels).max() / len(rows)), "slices": {}}
    if isinstance(probabilities, str):
        return found | {"not_fitted": probabilities}
    predicted = probabilities.argmax(axis=1)
    right = predicted == rows.labels
    for name, column in rows.slices.items():
        values = np.asarray([value or "" for value in column])
        found["slices"][name] = {
            value: {"rows": int(there.sum()), "tfidf_accuracy": float(right[there].mean())}
            for value in sorted(set(values.tolist()) - {""})
            for there in (values == value,)
        }
    return found | {
        "tfidf_accuracy": float(accuracy_score(rows.labels, predicted)),
        "tfidf_f1_macro": float(f1_score(rows.labels, predicted, average="macro")),
        "folds": _FOLDS,
    }


def telling_features(rows: Rows) -> dict[str, list[dict[str, Any]]]:
    """Words, marks, hashtags and word pairs that speak most for each class.

    Ranked by the z score of the difference between a feature's share of the class's rows and of the other rows (two
    proportions, pooled variance). Each row counts a feature once.

    Returns:
        For each class the features with the rows that have them and the share of these in the class.
    """
    vectorizer = CountVectorizer(ngram_range=(1, 2), token_pattern=_TOKENS, binary=True, min_df=min(5, len(rows)))
    try:
        counts = csr_array(vectorizer.fit_transform(rows.texts))
    except ValueError:  # no feature stands in five rows
        return {name: [] for name in rows.class_names}
    names = vectorizer.get_feature_names_out()
    total = np.asarray(counts.sum(axis=0), dtype=float).ravel()
    found = {}
    for code, label in enumerate(rows.class_names):
        inside = np.asarray(counts[rows.labels == code].sum(axis=0), dtype=float).ravel()
        num_inside = max(1.0, float((rows.labels == code).sum()))
        num_outside = max(1.0, len(rows) - num_inside)
        pooled = (total + 0.5) / (len(rows) + 1)
        spread = np.sqrt(pooled * (1 - pooled) * (1 / num_inside + 1 / num_outside))
        score = (inside / num_inside - (total - inside) / num_outside) / spread
        best = [index for index in np.argsort(-score)[:_TELLING] if score[index] > _TOLD_FROM]
        found[label] = [
            {"feature": str(names[i]), "rows": int(total[i]), "share": float(inside[i] / total[i])} for i in best
        ]
    return found


def label_leak_findings(rows: Rows, telling: Mapping[str, list[dict[str, Any]]]) -> list[Finding]:
    """Tell features that give a label away: in one row of fifty or more, and nearly always in one class.

    "Nearly always": the lower end of the 95 % Wilson interval of the share lies at 0.9 or above, and at least half of
    what is left between the class's own share and 1.
    """
    shares = np.bincount(rows.labels, minlength=len(rows.class_names)) / len(rows)
    cases = []
    for code, label in enumerate(rows.class_names):
        bound = max(_GIVEN_AWAY, (1 + shares[code]) / 2)
        for feature in telling[label]:
            if feature["rows"] >= _MIN_SHARE * len(rows) and wilson_lower(feature["share"], feature["rows"]) >= bound:
                cases.append([feature | {"label": label, "text": f"{feature['feature']!r} in {feature['rows']} rows"}])
    title, remedy = "features that give the label away", "remove or mask them, or say so beside every number"
    return [Finding("label_leaks", WARNING, title, remedy, cases)] if cases else []


def label_error_findings(rows: Rows, probabilities: np.ndarray | str) -> list[Finding]:
    """Tell rows whose label is probably wrong, most suspect first; none where the model tells the classes badly.

    Raises:
        MissingExtraError: The ``audit`` extra is not installed.
    """
    suspects = None if isinstance(probabilities, str) else suspect_labels(rows.labels, probabilities)
    if suspects is None or isinstance(probabilities, str):
        return []
    cases = [
        [
            rows.describe(int(row))
            | {
                "suggested": rows.class_names[int(probabilities[row].argmax())],
                "probability": round(float(probabilities[row].max()), 3),
            }
        ]
        for row in suspects
    ]
    remedy = "read the first ones; the list is sorted by how sure the model is"
    return [Finding("label_errors", NOTE, "labels that are probably wrong", remedy, cases)] if cases else []
