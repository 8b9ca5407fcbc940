# The verbs of the day. PYTHON is the environment that everything runs in.
PYTHON ?= .venv/bin/python
BIN := $(dir $(PYTHON))

.PHONY: help install test slow browser notebooks notebooks-refresh docs lint format types layers check bench pin build ci

help:  ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 19

install:  ## Make .venv with everything in it
	python3 -m venv --upgrade-deps .venv
	.venv/bin/pip install -c constraints.txt -e ".[lab,dask,postgres,samplers,docs,dev]"

test:  ## The quick tests, two at a time, some minutes
	$(PYTHON) -m pytest -n 2 --dist worksteal

slow:  ## The slow proofs: kernels that are killed, long runs
	$(PYTHON) -m pytest -m "(slow or kernel) and not browser"

browser:  ## JupyterLab and Notebook in Chromium; pictures go to test-results/
	OPTUNA_NB_SCREENSHOTS=test-results $(PYTHON) -m pytest -m browser

notebooks:  ## Run the notebooks and compare each output with the saved one
	$(PYTHON) -m pytest -p no:randomly --nbval --nbval-current-env --nbval-cell-timeout=120 notebooks

notebooks-refresh:  ## Run the notebooks from nothing and save their outputs
	$(PYTHON) scripts/refresh_notebooks.py

docs:  ## The pages, in docs/_build/html; a warning is an error
	$(PYTHON) -m sphinx --builder html --fail-on-warning --keep-going --jobs 1 --quiet docs docs/_build/html

lint:  ## Style
	$(BIN)ruff check .
	$(BIN)ruff format --check .

format:  ## Put the style right
	$(BIN)ruff check --fix .
	$(BIN)ruff format .

types:  ## Types
	$(BIN)mypy

layers:  ## Who may import whom
	$(BIN)lint-imports --no-logo

check: lint types layers test  ## What a commit needs

bench:  ## What the extension adds to a bare IPython
	$(PYTHON) benchmarks/import_time.py

pin:  ## Write constraints.txt from this environment
	$(PYTHON) scripts/pin.py

build:  ## Wheel and sdist
	rm -rf dist
	$(PYTHON) -m build
	$(BIN)twine check --strict dist/*

ci:  ## All of it, in a copy with its own environment
	.ci/run
