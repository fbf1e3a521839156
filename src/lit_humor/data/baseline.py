"""The baseline that a model has to beat: TF-IDF and logistic regression."""

from __future__ import annotations

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline, make_union

from lit_humor.data.examples import Examples

DESCRIPTION = "TF-IDF of words (1-2) and characters (2-5, within words), logistic regression with balanced classes"


def tfidf_features(characters: bool = True) -> FeatureUnion:
    """Return the unfitted features of the baseline.

    Args:
        characters: Whether to count n-grams of characters and rare words; without them fitting is about ten times as
            fast.
    """
    parts = [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=1 if characters else 3)]
    if characters:
        parts.append(TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2))
    return make_union(*parts)


def fit_tfidf(train: Examples) -> Pipeline:
    """Fit the baseline on the training texts.

    Cost: about 20 s for 8,000 training texts on one core.

    Raises:
        ValueError: The texts have no words.
    """
    model = make_pipeline(tfidf_features(), LogisticRegression(C=10, max_iter=1000, class_weight="balanced"))
    return model.fit(train.whole_texts(), train.labels)
