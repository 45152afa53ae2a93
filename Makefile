# `make` runs the default experiment, `make test` the tests (`make test-all` the long ones too), `make bench` measures
# speed and memory, `make calibration` how often p-values and intervals are what they say, `make reference` what this
# machine can of the paper's tables (MNIST in the folder FLOWSIM_DATA, or downloaded; on a GPU all of it, for days),
# `make docs` the pages that are written from the code. Each sets up all that it needs in .venv.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test test-all bench calibration reference docs lint format
run: .venv/ready
	$(BIN)/snakemake --cores all

test: export OMP_NUM_THREADS = 1
test: .venv/ready
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

test-all: .venv/ready
	$(BIN)/pytest

bench: .venv/ready
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.speed.stimuli
	$(BIN)/python -m benchmarks.speed.recording
	$(BIN)/python -m benchmarks.speed.analyses

calibration: .venv/ready
	$(BIN)/python -m benchmarks.calibration

reference: .venv/ready
	-$(BIN)/snakemake --cores all $$($(BIN)/python -m benchmarks.paper --possible)
	$(BIN)/python -m benchmarks.paper

docs: .venv/ready
	$(BIN)/python docs/generate.py
	$(BIN)/python -m flowsim gallery --into docs/stimuli.md

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile
	$(BIN)/mypy

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "flowsim needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[test,lint]"
	touch $@
