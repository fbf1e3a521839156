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
# # Add a loss
# An objective takes the model and a batch and returns **one value a row**; the learner sums, divides by the rows of the optimizer step
# and logs. That is why a new loss needs no thought about accumulation, devices or padding rows. Here is focal loss (Lin et al. 2017).

# %%
import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from lit_humor.config.command import compose
from lit_humor.core.batch import Batch
from lit_humor.engine import factory
from lit_humor.engine.machine import look_at_machine
from lit_humor.engine.planning import build_plan
from lit_humor.objectives.objective import Objective, Outcome


class Focal(Objective):
    """Cross-entropy times (1 - p) ** gamma: rows that are right already count less."""

    def __init__(self, num_classes: int, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, model: nn.Module, batch: Batch) -> Outcome:
        log_p = model(batch)["logits"].float().log_softmax(-1)
        picked = log_p.gather(1, batch["labels"][:, None]).squeeze(1)
        losses: Tensor = -((1 - picked.exp()) ** self.gamma) * picked
        return Outcome({"focal": losses}, {"probabilities": log_p.exp()})


# %% [markdown]
# Try it in a few seconds, on the tiny random model: no configuration file is needed yet.

# %%
cfg = compose("train", ["debug=tiny"])
plan, pretrained = build_plan(cfg, look_at_machine()), factory.resolve_pretrained(cfg)
datamodule = factory.build_datamodule(cfg, pretrained, plan)
learner = factory.build_learner(cfg, pretrained, datamodule, class_names=datamodule.class_names, plan=plan)
learner.objective = Focal(num_classes=2)
trainer = pl.Trainer(**plan.trainer_arguments(), max_epochs=2, logger=False, enable_checkpointing=False,
                     enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
trainer.fit(learner, datamodule)
{name: round(float(value), 4) for name, value in trainer.callback_metrics.items()}

# %% [markdown]
# With gamma 0 it must be plain cross-entropy. A test like this belongs beside every loss:

# %%
batch = next(iter(datamodule.train_dataloader()))
learner.eval()
plain = nn.functional.cross_entropy(learner.model(batch)["logits"], batch["labels"], reduction="none")
assert torch.allclose(Focal(2, gamma=0.0)(learner.model, batch).losses["focal"], plain, atol=1e-6)

# %% [markdown]
# To keep a loss: a class in `src/lit_humor/objectives/`, a file in `configs/objective/` with its `_target_` and settings, and the test
# in `tests/unit/`. This one is kept, with class weights: train with `objective=focal objective.gamma=1`. `docs/adding.md` tells the rest.
