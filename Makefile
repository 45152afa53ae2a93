# `make` runs the default experiment, `make test` the tests (`make test-all` the long ones too), `make faults` disturbs
# commands, files and settings at random, for hours, and counts what came of it, `make bench` measures speed and
# memory, `make gpu` is to show in ten minutes what only a GPU can (and needs MNIST like `make reference`), `make
# calibration` counts how often p-values and intervals are what they say, `make reference` makes what this machine can
# of the paper's tables (MNIST in the folder FLOWSIM_DATA, or downloaded; on a GPU all of it, for days), `make docs` the
# pages (docs/_build/index.html), `make links` asks the web for the addresses in them, `make lint` checks style and
# types. `make release VERSION=0.2.0` writes the version and the citation, tags it, and builds what is uploaded.
# Each sets up all that it needs in .venv, and tools for style, types and pages only where they are used.
#
# torch comes from your package index. On Linux the usual one has the build for CUDA, of several gigabytes; for the build
# for CPUs:  make TORCH_INDEX=ADDRESS, with the address that pytorch.org/get-started gives for "CPU".

PYTHON ?= python3
TORCH_INDEX ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: run test test-all faults bench gpu calibration reference docs links lint format release
run: .venv/ready
	@$(BIN)/flowsim run digits

test: export OMP_NUM_THREADS = 1
test: .venv/ready
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

test-all: .venv/ready
	$(BIN)/pytest

faults: .venv/ready
	-$(BIN)/python -m tests.faults.corruptions --tries 210 --log .faults/corruptions.jsonl
	-$(BIN)/python -m tests.faults.hostile_settings --tries 1500 --log .faults/hostile_settings.jsonl
	-$(BIN)/python -m tests.faults.kills --tries 10 --log .faults/kills.jsonl
	$(BIN)/python -m tests.faults.pipeline_kills --kills 50 --log .faults/pipeline_kills.jsonl

bench: .venv/ready
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.speed.stimuli
	$(BIN)/python -m benchmarks.speed.recording
	$(BIN)/python -m benchmarks.speed.analyses

gpu: .venv/ready
	$(BIN)/python -m benchmarks.gpu

calibration: .venv/ready
	$(BIN)/python -m benchmarks.calibration

reference: .venv/ready
	-$(BIN)/snakemake --cores all $$($(BIN)/python -m benchmarks.paper --possible)
	$(BIN)/python -m benchmarks.paper

docs: .venv/docs
	$(BIN)/python docs/generate.py
	$(BIN)/python -m flowsim gallery --into docs/stimuli.md
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q -b html docs docs/_build

links: .venv/docs
	$(BIN)/python -m sphinx -q -b linkcheck -D nb_execution_mode=off -D plot_gallery=0 docs docs/_build/links

lint: .venv/lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile
	$(BIN)/mypy
	$(BIN)/codespell

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

.venv/docs: .venv/ready
	@echo "adding what the pages need"
	@$(PIP) --editable ".[test,docs]"
	@touch $@

release: .venv/ready
	@test -n "$(VERSION)" || { echo 'say which version: make release VERSION=0.2.0'; exit 2; }
	@$(PIP) ".[release]"
	$(BIN)/bump-my-version bump --new-version $(VERSION)
	rm -rf dist
	$(BIN)/python -m build
	@echo 'dist/ is what is uploaded; then: git push --follow-tags'
