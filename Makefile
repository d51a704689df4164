# Each target prepares what it needs: `make demo` and `make test` work in a fresh clone.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
TABLE := --rates 0.005,0.02,0.08,0.32 --seeds 3

.PHONY: install demo test verify lint notebooks table bench clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "bogc needs Python 3.11 or later; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Installing bogc into .venv (a minute or two, once)"
	@$(PYTHON) -m venv .venv
	@$(PIP) torch
	@$(PIP) --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	@echo "Installing the tools for tests and lint"
	@$(PIP) --editable '.[dev]'
	@touch $@

# Three methods on one fold of the smartwatch data: a look, not a result.
demo: .venv/installed
	@$(BIN)/bogc compare --methods joint,sum,bogc --only-folds 0 --seeds 1 --rates 0.02 --out runs/demo

test: .venv/installed-dev
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# Checks every equation of theory/.
verify: .venv/installed-dev
	@$(BIN)/python -m theory

lint: .venv/installed-dev
	@$(BIN)/ruff check bogc theory tests
	@$(BIN)/ruff format --check bogc theory tests
	@$(BIN)/mypy

# Runs the notebooks again and stores their output.
notebooks: .venv/installed-dev
	@$(BIN)/python -m pytest tests/test_notebooks.py --store-notebooks

# The table of the README: about 10 minutes on 2 cores, resumable.
table: .venv/installed
	@$(BIN)/bogc compare --dataset watch $(TABLE) --out runs/table

# Cost of a step, as ratios; writes tests/benchmarks/results.
bench: .venv/installed-dev
	@$(BIN)/python -m tests.benchmarks.steps

clean:
	rm -rf .venv runs
