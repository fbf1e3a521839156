"""Finds features that reveal the labels, and labels that are probably wrong.

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

_TOKENS = r"[#@]?\w+|[^\w\s]"  # words, hashtags, handles, single punctuation marks and emojis
_MAX_ROWS_WITH_CHARACTERS = 20_000  # above: features of words only, so that 200,000 rows take minutes
_SEED = 0
_FOLDS = 5
_NUM_FEATURES = 50  # most features reported for a class
_MIN_ROW_SHARE = 0.02  # of all rows must have a feature
_MIN_Z_SCORE = 3.0  # of a reported feature
_MIN_LEAK_SHARE = 0.9  # a feature leaks the label if this share of its rows, or more, is of one class


def out_of_fold_probabilities(rows: Rows, clusters: np.ndarray) -> np.ndarray | str:
    """Predict each row by TF-IDF and logistic regression trained without the row and its near duplicates.

    Cost on two cores: 15 s for 8,000 short texts, about two minutes for 200,000.

    Args:
        rows: All rows, with rows of every class.
        clusters: [N] cluster numbers: rows with the same number are in the same fold.

    Returns:
        [N, C] float64 probabilities; or a text that says why no model was fitted.
    """
    if len(rows.class_names) < 2:
        return "the rows have no classes"
    for label, name in enumerate(rows.class_names):
        in_class = rows.labels == label
        if in_class.sum() < _FOLDS:
            return f"class '{name}' has {in_class.sum()} rows, fewer than {_FOLDS}"
    try:
        return _cross_validated_probabilities(rows, clusters)
    except ValueError:  # from scikit-learn: texts without words, or a training set of one class only
        clusters_per_class = [
            (len(np.unique(clusters[rows.labels == label])), name) for label, name in enumerate(rows.class_names)
        ]
        fewest, name = min(clusters_per_class)
        if fewest < _FOLDS:
            return f"the rows of class '{name}' make {fewest} clusters of related texts, fewer than {_FOLDS}"
        return "the texts have too few words in common"


def _cross_validated_probabilities(rows: Rows, clusters: np.ndarray) -> np.ndarray:
    """Return [N, C] out-of-fold probabilities.

    Raises:
        ValueError: scikit-learn cannot fit these texts and labels.
    """
    features = tfidf_features(characters=len(rows) <= _MAX_ROWS_WITH_CHARACTERS).fit_transform(rows.texts)
    probabilities = np.zeros((len(rows), len(rows.class_names)))
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=_SEED)
    for train, held_out in folds.split(features, rows.labels, clusters):
        model = LogisticRegression(C=10, max_iter=1000, class_weight="balanced")
        model.fit(features[train], rows.labels[train])
        probabilities[np.ix_(held_out, model.classes_)] = model.predict_proba(features[held_out])
    return probabilities


def baselines(rows: Rows, probabilities: np.ndarray | str) -> dict[str, Any]:
    """Return the accuracy of the majority class, and accuracy and macro F1 of TF-IDF (out of fold), also by slice.

    Where no model was fitted, ``not_fitted`` says why, and the scores of TF-IDF are missing.
    """
    scores: dict[str, Any] = {"majority_accuracy": float(np.bincount(rows.labels).max() / len(rows)), "slices": {}}
    if isinstance(probabilities, str):
        return scores | {"not_fitted": probabilities}
    predicted = probabilities.argmax(axis=1)
    is_correct = predicted == rows.labels
    for name, column in rows.slices.items():
        values = np.asarray([value or "" for value in column])
        scores["slices"][name] = {
            value: {"rows": int(has_value.sum()), "tfidf_accuracy": float(is_correct[has_value].mean())}
            for value in sorted(set(values.tolist()) - {""})
            for has_value in (values == value,)
        }
    return scores | {
        "tfidf_accuracy": float(accuracy_score(rows.labels, predicted)),
        "tfidf_f1_macro": float(f1_score(rows.labels, predicted, average="macro")),
        "folds": _FOLDS,
    }


def telling_features(rows: Rows) -> dict[str, list[dict[str, Any]]]:
    """Find the words, punctuation marks, hashtags and word pairs that are most typical of each class.

    They are ranked by the z score of a two-proportion test with pooled variance: share of the class's rows that have
    the feature, against share of the other rows.

    Returns:
        For each class its features: number of rows that have the feature, and share of these rows in the class.
        Nothing where rows have no classes.
    """
    if len(rows.class_names) < 2:
        return {}
    vectorizer = CountVectorizer(ngram_range=(1, 2), token_pattern=_TOKENS, binary=True, min_df=min(5, len(rows)))
    try:
        counts = csr_array(vectorizer.fit_transform(rows.texts))
    except ValueError:  # no feature is in five rows or more
        return {name: [] for name in rows.class_names}
    names = vectorizer.get_feature_names_out()
    total = np.asarray(counts.sum(axis=0), dtype=float).ravel()
    features_by_class = {}
    for code, label in enumerate(rows.class_names):
        inside = np.asarray(counts[rows.labels == code].sum(axis=0), dtype=float).ravel()
        num_inside = max(1.0, float((rows.labels == code).sum()))
        num_outside = max(1.0, len(rows) - num_inside)
        pooled = (total + 0.5) / (len(rows) + 1)
        standard_error = np.sqrt(pooled * (1 - pooled) * (1 / num_inside + 1 / num_outside))
        score = (inside / num_inside - (total - inside) / num_outside) / standard_error
        best_features = [index for index in np.argsort(-score)[:_NUM_FEATURES] if score[index] > _MIN_Z_SCORE]
        features_by_class[label] = [
            {"feature": str(names[i]), "rows": int(total[i]), "share": float(inside[i] / total[i])}
            for i in best_features
        ]
    return features_by_class


def label_leak_findings(rows: Rows, features_by_class: Mapping[str, list[dict[str, Any]]]) -> list[Finding]:
    """Find features that reveal a label: in 2 % of all rows or more, and nearly always in one class.

    "Nearly always": the lower end of the 95 % Wilson interval of the share is at least 0.9, and at least halfway from
    the class's share of all rows to 1.
    """
    shares = np.bincount(rows.labels, minlength=len(rows.class_names)) / len(rows)
    cases = []
    for code, label in enumerate(features_by_class):
        min_share = max(_MIN_LEAK_SHARE, (1 + shares[code]) / 2)
        for feature in features_by_class[label]:
            if (
                feature["rows"] >= _MIN_ROW_SHARE * len(rows)
                and wilson_lower(feature["share"], feature["rows"]) >= min_share
            ):
                cases.append([feature | {"label": label, "text": f"{feature['feature']!r} in {feature['rows']} rows"}])
    title, remedy = "features that predict the label", "remove or mask them, or report them with every score"
    return [Finding("label_leaks", WARNING, title, remedy, cases)] if cases else []


def label_error_findings(rows: Rows, probabilities: np.ndarray | str) -> list[Finding]:
    """Find rows whose label is probably wrong, most suspect first; none if the model predicts the classes badly.

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
