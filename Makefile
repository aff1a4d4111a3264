# Everything here installs what it needs by itself, with any Python from 3.11 on:
#   make demo         extracts the masks of a small clip with the networks that ship
#   make demo-train   draws faces, builds a dataset of them, trains, evaluates and shows the masks
#   make test         runs the tests
#   make lint         checks style and types
#   make test-newest  runs the tests with the newest release of each library, as pip installs them
#   make test-lowest  runs the tests with the oldest release that pyproject.toml allows of each
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
# Tests of a file in one of two processes, in the order of tests/conftest.py.
IN_TWO := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo demo-train test test-newest test-lowest lint format clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	$(BIN)/python -m fmx --demo --out demo

demo-train: $(VENV)/installed
	$(BIN)/python run.py --config=configs/demo.py --workdir=demo-train

test: $(VENV)/installed
	$(BIN)/python -m pytest $(IN_TWO) $(PYTEST_FLAGS)

test-newest:
	rm -rf .venv-newest
	$(MAKE) test VENV=.venv-newest CONSTRAINTS=

test-lowest:
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest/bin/python \
	  --resolution lowest-direct -e '.[test]'
	.venv-lowest/bin/python -m pytest $(IN_TWO) $(PYTEST_FLAGS)

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv-newest .venv-lowest $(VENV) demo demo-train build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/installed: pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'fmx needs Python 3.11 or newer; say which: make PYTHON=python3.12 $(MAKECMDGOALS)'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS:%=-c %) -e '.[test,keras]'
	touch $@
