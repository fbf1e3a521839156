"""What a process has done before it is copied for commands: imports, each configuration, the demo corpus, once."""

import functools
import gc
import importlib
import pkgutil

from transformers.conversion_mapping import get_checkpoint_conversion_mapping

from lit_humor import callbacks
from lit_humor.config.command import compose
from lit_humor.config.schema import SCHEMAS
from lit_humor.data.sources import demo
from tests.composing import remember_files

_MODULES = (
    *(f"lit_humor.{name}" for name in ("engine.training", "eval", "audit", "auditing.audit", "sweeps.queues")),
    *("lit_humor.engine.factory", "lit_humor.inference.scoring", "lit_humor.models.encoder"),
    *("tests.e2e.typed", "tests.torture.child"),
    *("cleanlab", "matplotlib.backends.backend_agg", "PIL.JpegImagePlugin", "pyarrow.dataset", "pyarrow.pandas_compat"),
    *("encodings.utf_8_sig", "safetensors.numpy", "torch.profiler._cupti_monitor", "torch.utils.serialization.config"),
    *("lit_humor.metrics.classification", "lit_humor.models.embedded", "lit_humor.objectives.class_weights"),
    *("lit_humor.objectives.cross_entropy", "transformers.models.xlm_roberta.modeling_xlm_roberta"),
    *("sklearn.feature_extraction.text", "sklearn.linear_model", "sklearn.metrics", "torch.utils.tensorboard"),
)

remember_files()
for name in (*_MODULES, *(f"{callbacks.__name__}.{one.name}" for one in pkgutil.iter_modules(callbacks.__path__))):
    importlib.import_module(name)
for name in SCHEMAS:
    compose(name, ["debug=tiny"] if name == "train" else [])
get_checkpoint_conversion_mapping("xlm-roberta")  # keeps what it makes for all kinds of models
_read = functools.cache(lambda folder, file, read=demo.read_corpus: read(file))  # nobody changes a table that was read
demo.read_corpus = lambda file: _read(demo.CORPUS_DIR, file)
demo.DemoCorpus().load()
gc.collect()
gc.freeze()  # nothing of this is looked through again in a copy
