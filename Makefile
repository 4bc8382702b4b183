# Every target sets itself up: `make demo` and `make test` need only Python 3.10 to 3.12 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV := $(VENV)/.installed-dev

.PHONY: demo test test-all check format bench clean

demo: $(STAMP)
	$(BIN)/unihm demo --open

test: $(DEV)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not gpu"

test-all: $(DEV)
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(DEV)
	$(BIN)/ruff format --check src tests examples benchmarks tools
	$(BIN)/ruff check src tests examples benchmarks tools
	$(BIN)/pyright

format: $(DEV)
	$(BIN)/ruff format src tests examples benchmarks tools
	$(BIN)/ruff check --fix src tests examples benchmarks tools

# Needs the reference data; see docs/benchmarks.md for what it prints.
bench: $(STAMP)
	$(BIN)/unihm data import dexycb ../shared/data/dexycb data/dexycb
	$(BIN)/unihm eval generation --data data/dexycb --split release --out out/bench

$(VENV)/bin/python:
	$(PYTHON) -c "import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12) and 'unihm needs Python 3.10 to 3.12, this is ' + sys.version.split()[0] + '; name another with make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(DEV): pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@ $(STAMP)

clean:
	rm -rf $(VENV) build dist src/unihm.egg-info .pytest_cache .ruff_cache
