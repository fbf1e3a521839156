import subprocess
import sys

import numpy as np

from lit_humor.core.errors import UserError, UserErrors
from lit_humor.core.seeds import derive_seed


def test_streams_differ_by_seed_and_name_and_are_stable() -> None:
    seeds = [derive_seed(seed, name, n) for seed in (1, 2) for name in ("order", "split") for n in (0, 1)]
    assert len(set(seeds)) == 8
    code = "from lit_humor.core.seeds import derive_seed; print(derive_seed(42, 'order', 3))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(found) == derive_seed(42, "order", 3), "another process, another hash seed, the same stream"


def test_neighbouring_seeds_are_unrelated() -> None:
    draws = np.array([np.random.default_rng(derive_seed(s, "order")).random(64) for s in range(20)])
    correlations = np.corrcoef(draws)[np.triu_indices(20, 1)]
    assert abs(correlations).max() < 0.55


def test_an_error_names_place_finding_expectation_and_remedy() -> None:
    error = UserError("data.max_length", found="513", expected="at most 512", fix="set data.max_length=512")
    assert str(error) == "data.max_length: found 513, expected at most 512. Fix: set data.max_length=512."
    assert str(UserErrors([error, error])).count("\n") == 1
