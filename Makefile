# Each target prepares what it needs: `make demo` and `make test` work in a fresh clone.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: install demo test verify lint notebooks docs tables repro bench gpu clean

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
	@$(BIN)/bogc compare --methods joint,sum,bogc --only-folds 0 --seeds 1 --budget 1 --out runs/demo

test: .venv/installed-dev
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

# Checks every equation of theory/.
verify: .venv/installed-dev
	@$(BIN)/python -m theory

lint: .venv/installed-dev
	@$(BIN)/ruff check bogc docs examples paper_repro theory tests
	@$(BIN)/ruff format --check bogc docs examples paper_repro theory tests
	@$(BIN)/mypy

# Runs the notebooks again and stores their output.
notebooks: .venv/installed-dev
	@$(BIN)/python -m pytest tests/test_notebooks.py --store-notebooks

.venv/installed-docs: .venv/installed
	@echo "Installing the tools for the documentation site"
	@$(PIP) --editable '.[docs]'
	@touch $@

# The documentation site, in build/html; a warning is an error. Nothing is fetched but MathJax, once, by npm.
docs: .venv/installed-docs
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --builder html --conf-dir docs/site --doctree-dir build/doctrees . build/html
	@echo "Open build/html/index.html"

# The tables of docs/ and the README: every method on four data sets; about an hour on 2 cores, resumable.
tables: .venv/installed-dev
	@$(BIN)/bogc compare --dataset kipan --epochs 15 --budget 4 --seeds 2 --out runs/kipan
	@$(BIN)/bogc compare --dataset mfeat --epochs 6 --budget 3 --seeds 2 --out runs/mfeat
	@$(BIN)/bogc compare --dataset emoji --epochs 6 --budget 3 --seeds 2 --out runs/emoji
	@$(BIN)/bogc compare --dataset watch --epochs 10 --budget 4 --seeds 2 --out runs/watch
	@$(BIN)/python -m docs.collect

# Runs the experiments of paper_repro again, but for those of hours, and renders the report; resumable.
repro: .venv/installed
	@$(BIN)/python -m paper_repro run all --folder runs/repro
	@$(BIN)/python -m paper_repro report --folder runs/repro

# Cost of a step, as ratios; writes tests/benchmarks/results.
bench: .venv/installed-dev
	@$(BIN)/python -W ignore -m tests.benchmarks.steps
	@$(BIN)/python -W ignore -m tests.benchmarks.operations --keep
	@$(BIN)/python -m tests.benchmarks.methods
	@$(BIN)/python -m tests.benchmarks.dempster
	@$(BIN)/python -m tests.benchmarks.distributed
	@$(BIN)/python -m docs.speed

# Checks and figures of a CUDA device, resumable; without .venv it runs by PYTHON, which needs torch and pyro.
gpu: PYTHON := $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))
gpu:
	@$(PYTHON) tests/gpu; status=$$?; [ $$status -eq 2 ] || $(PYTHON) tests/gpu --render tests/gpu/results; exit $$status

clean:
	rm -rf .venv build runs
