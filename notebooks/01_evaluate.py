# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What did the model learn, and where is it wrong?
# Load a run, score its best checkpoint again, and look at the confusion matrix, slices and mistakes.
# `report.html` in the run folder shows the same with intervals; here you can go on from it.

# %%
import os
from pathlib import Path

import lightning.pytorch as pl
import pandas as pd
from sklearn.metrics import ConfusionMatrixDisplay

from lit_humor.inference.loading import load_run
from lit_humor.runs.watch import find_runs, is_done
from lit_humor.tasks.reports.classification.predictions import read_predictions

# %% [markdown]
# The newest run that is done; name another one by its folder.

# %%
folder = next(run for run in find_runs(Path(os.environ.get("LIT_HUMOR_LOGS", "../logs"))) if is_done(run))
run = load_run(str(folder))
trainer = pl.Trainer(devices=1, precision=run.precision, logger=False, enable_progress_bar=False)
trainer.test(run.learner, run.datamodule, verbose=False)
results = run.learner.results["test"]
pd.Series({name: value for name, value in results.items() if isinstance(value, float)}, name=folder.name)

# %% [markdown]
# These are the numbers that the training wrote into `result.json`. The predictions behind them:

# %%
found = read_predictions(folder / "predictions" / "test.parquet")
ConfusionMatrixDisplay(found.counts, display_labels=found.class_names).plot(cmap="Blues")

# %%
for name, values in results["slices"].items():
    display(pd.DataFrame(values).T.rename_axis(name))

# %% [markdown]
# The surest mistakes first.

# %%
rows = pd.DataFrame(dict(found.columns)).assign(confidence=found.probabilities.max(axis=1))
rows[rows.label != rows.prediction].sort_values("confidence", ascending=False).head(20)
