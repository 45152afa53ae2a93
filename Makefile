# `make` runs the default experiment, `make test` the tests (`make test-all` the long ones too), `make bench` measures
# speed and memory, `make calibration` how often p-values and intervals are what they say, `make reference` what this
# machine can of the paper's tables (MNIST in the folder FLOWSIM_DATA, or downloaded; on a GPU all of it, for days),
# `make docs` the pages that are written from the code, `make lint` checks style and types. Each sets up all that it
# needs in .venv, and the tools for style and types only where they are used.
#
# torch comes from your package index. On Linux that of PyPI is the build for CUDA, of several gigabytes; for the
# build for CPUs:  make TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
TORCH_INDEX ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: run test test-all bench calibration reference docs lint format
run: .venv/ready
	@$(BIN)/flowsim run digits

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

lint: .venv/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile
	$(BIN)/mypy

format: .venv/lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "flowsim needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv
	@echo "setting up .venv: torch and some eighty packages, which takes minutes"
	@$(PIP) --editable ".[test]"
	@$(BIN)/python -c 'import torch; build = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "for CPUs only"; print(f"torch {torch.__version__}, the build {build};", end=" ")'
	@du -sh .venv | cut -f1 | xargs echo ".venv takes"
	@touch $@

.venv/lint: .venv/ready
	@echo "adding the tools for style and types"
	@$(PIP) --editable ".[test,lint]"
	@touch $@
