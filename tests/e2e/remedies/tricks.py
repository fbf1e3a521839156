"""Mistakes in the settings of training tricks."""

from tests.e2e.remedies.settings import typed_tiny
from tests.e2e.remedies.telling import Case

TO_THE_END = ("trainer.max_epochs=1", "baseline=false", "report=false", "paths.cache_dir=FOLDER/cache")
OF_GRITLM = ("experiment=gritlm", "debug=tiny", "trainer=cpu", "paths.logs_dir=FOLDER/logs")

CASES = {
    "numbers of terms": typed_tiny("regularizers.r_drop.alpha=0"),
    "a term that is a number": typed_tiny("regularizers.r_drop=1"),
    "an epoch of a term": typed_tiny("regularizers.fgm.epsilon=1", "regularizers.fgm.from_epoch=-1"),
    "too few masks": typed_tiny("regularizers.multi_sample_dropout.samples=1"),
    "r_drop without classes": typed_tiny(
        "task=regression", "objective=mean_squared_error", "regularizers.r_drop.alpha=1", "data=csv",
        "data.train_path=RUNS/rated.csv", "data.target_column=rating",
    ),
    "fgm of rows that are compared": typed_tiny(
        "objective=supervised_contrastive", "trainer.accumulation=1", "regularizers.fgm.epsilon=1"
    ),
    "masks of a network without a head": Case(
        "train", (*OF_GRITLM, *TO_THE_END, "regularizers.multi_sample_dropout.samples=3"), to_the_end=True
    ),
    "gamma": typed_tiny("objective=focal", "objective.gamma=-1"),
    "accumulation of rows that are compared": typed_tiny("objective=supervised_contrastive"),
    "a temperature": typed_tiny(
        "objective=supervised_contrastive", "trainer.accumulation=1",
        "objective.parts.supervised_contrastive.temperature=0",
    ),
    "decay of averaged weights": typed_tiny("callbacks.ema.decay=1"),
}  # fmt: skip
