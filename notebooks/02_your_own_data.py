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
# # Your own data
# A CSV with texts and labels is enough. This one is made from the embedded corpus, with other names, so that you see where yours go in.

# %%
import os
import sys
import tempfile
from pathlib import Path

import pandas as pd

from lit_humor.data.sources.demo import DemoCorpus
from lit_humor.inference.scoring import load_scorer

model = os.environ.get("LIT_HUMOR_MODEL", "minilm")
folder = Path(tempfile.mkdtemp())
train = DemoCorpus(languages=["en"], rows_per_split=400).load()["train"]
mine = pd.DataFrame({"body": train.texts, "funny": ["yes" if label else "no" for label in train.labels]})
mine.to_csv(folder / "mine.csv", index=False)
mine.head()

# %% [markdown]
# **Look before you train.** The audit names duplicates, leaks, damaged texts and labels that are probably wrong, with file and line.

# %%
# !{sys.executable} ../src/lit_humor/audit.py data=csv data.train_path={folder}/mine.csv data.text_column=body data.label_column=funny 'data.label_names=[no,yes]' model={model} paths.logs_dir={folder} run_id=audit

# %% [markdown]
# **Train.** Missing validation and test rows are split off. One epoch here; leave `trainer.max_epochs` out for four.

# %%
# !{sys.executable} ../src/lit_humor/train.py data=csv data.train_path={folder}/mine.csv data.text_column=body data.label_column=funny 'data.label_names=[no,yes]' model={model} trainer.max_epochs=1 paths.logs_dir={folder} run_id=mine

# %% [markdown]
# **Use it.** For files of any size: `python src/lit_humor/predict.py run=... input=...`.

# %%
scorer = load_scorer(str(folder / "mine"))
texts = ["My plants have started a band. They are still looking for their roots.", "The library closes at six."]
pd.DataFrame(scorer.answer(texts)["classification"], index=texts)
