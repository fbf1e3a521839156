PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install train test test-fast torture check audit lock format notebooks bench clean

help: ## show this
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1	\2/'

install: .venv/installed ## make .venv with everything the other targets need; LOCKED=1 checks the hash of every file

.venv/installed: pyproject.toml constraints.txt requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; ok = v >= (3, 11); \
	ok or print(f"Error: {sys.executable} is Python {v[0]}.{v[1]}, but 3.11 or newer is needed. Fix: make $(MAKECMDGOALS) PYTHON=python3.11"); \
	sys.exit(not ok)'
	$(PYTHON) -m venv .venv
ifdef LOCKED
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
else
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
endif
	@touch $@

train: install ## train the v3 recipe on the embedded model and corpus; more settings by ARGS="key=value"
	$(BIN)/python src/lit_humor/train.py $(ARGS)

test: install ## run the tests, offline
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadscope --no-loadscope-reorder

test-fast: install ## run the unit and contract tests alone, which train nothing whole: for while you write
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/contract tests/unit --numprocesses logical --dist loadscope --no-loadscope-reorder

torture: install ## kill it, starve it, feed it poison, forty times over; about an hour
	HF_HUB_OFFLINE=1 TORTURE=40 $(BIN)/python -m pytest tests/torture -rP --tb=short $(ARGS)

check: install ## lint, formatting, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: install ## look up known holes of the packages that are installed; needs a network
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/pip-audit --skip-editable

lock: install ## write requirements.lock: the versions of constraints.txt with the hashes of all their files
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --constraint constraints.txt --generate-hashes --universal \
		--python-version 3.11 --no-header --no-annotate --quiet --output-file requirements.lock

format: install ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: install ## make the notebooks from the text beside them
	$(BIN)/jupytext --to ipynb notebooks/0*.py

bench: install ## measure speed, in under 10 minutes: each trick, and whole trainings against other trainers
	HF_HUB_OFFLINE=1 $(BIN)/python src/lit_humor/bench.py suite=quick $(ARGS)

clean: ## remove everything that can be made again; runs in logs/ stay
	rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache build src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
