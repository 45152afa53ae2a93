# `make` runs the default experiment, `make test` the tests (`make test-all` the long ones too), `make bench` measures
# speed and memory, `make calibration` how often p-values and intervals are what they say, `make reference` what this
# machine can of the paper's tables (MNIST in the folder FLOWSIM_DATA, or downloaded; on a GPU all of it, for days),
# `make docs` the pages (docs/_build/index.html), `make links` asks the web for the addresses in them. `make release
# VERSION=0.2.0` writes the version and the citation, tags it, and builds what is uploaded. Each sets up all that it needs
# in .venv.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test test-all bench calibration reference docs links lint format release
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

docs: .venv/docs
	$(BIN)/python docs/generate.py
	$(BIN)/python -m flowsim gallery --into docs/stimuli.md
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -q -b html docs docs/_build

links: .venv/docs
	$(BIN)/python -m sphinx -q -b linkcheck -D nb_execution_mode=off -D plot_gallery=0 docs docs/_build/links

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile
	$(BIN)/mypy
	$(BIN)/codespell

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "flowsim needs Python 3.11 or newer; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[test,lint]"
	touch $@

.venv/docs: .venv/ready
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[docs]"
	touch $@

release: .venv/ready
	@test -n "$(VERSION)" || { echo 'say which version: make release VERSION=0.2.0'; exit 2; }
	$(BIN)/python -m pip install --constraint constraints.txt ".[release]"
	$(BIN)/bump-my-version bump --new-version $(VERSION)
	rm -rf dist
	$(BIN)/python -m build
	@echo 'dist/ is what is uploaded; then: git push --follow-tags'
