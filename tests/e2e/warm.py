"""What a process has done before it is copied for commands: their imports, and each configuration once."""

import gc
import importlib
import pkgutil

from lit_humor import callbacks
from lit_humor.config.command import compose
from lit_humor.config.schema import SCHEMAS
from tests.composing import remember_files

_MODULES = (
    *(f"lit_humor.{name}" for name in ("engine.training", "eval", "audit", "auditing.audit", "sweeps.queues")),
    *("lit_humor.engine.factory", "lit_humor.inference.scoring", "lit_humor.models.encoder"),
    *("tests.e2e.typed", "tests.torture.child"),
    *("cleanlab", "matplotlib.backends.backend_agg", "PIL.JpegImagePlugin", "pyarrow.dataset", "pyarrow.pandas_compat"),
    *("sklearn.feature_extraction.text", "sklearn.linear_model", "sklearn.metrics", "torch.utils.tensorboard"),
)

remember_files()
for name in (*_MODULES, *(f"{callbacks.__name__}.{one.name}" for one in pkgutil.iter_modules(callbacks.__path__))):
    importlib.import_module(name)
for name in SCHEMAS:
    compose(name, ["debug=tiny"] if name == "train" else [])
gc.collect()
gc.freeze()  # nothing of this is looked through again in a copy
