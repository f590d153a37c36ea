# make demo: set up and run the quickstart suite, offline.   make test: set up and run every check.
# make check: lint, types and the unit tests, in about two minutes.   make coverage: every test, and what it reaches.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

unexport PYTHONDONTWRITEBYTECODE  # the tests start hundreds of processes: what one has compiled, the next need not

# Workers take whole files in turn, those that take long first; tests/conftest.py has their order and their number.
# One that dies ends the run: with a worker in its place pytest-xdist may wait forever (its issue 1378).
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --max-worker-restart=0

# Types are checked by two processes at once.
lint check test coverage: export MYPY_NUM_WORKERS := 2

# Each worker computes on one thread: what several start at once would wait for one another.
check test coverage: export OMP_NUM_THREADS := 1

.PHONY: demo lint check test coverage bench baseline clean

demo: .venv/.demo
	$(BIN)/rerank-bench run quickstart

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint
	$(PYTEST) tests/unit

test: lint
	$(PYTEST)

coverage: lint  # branch coverage of what runs in process
	$(PYTEST) --cov --cov-report=term:skip-covered

bench: .venv/.dev
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

baseline: .venv/.dev  # after a change that is meant to move scores: what `make test` checks against
	$(BIN)/rerank-bench run regression --fresh --quiet
	$(BIN)/rerank-bench baseline save results/regression --replace
	$(BIN)/rerank-bench run quickstart --fresh --quiet --no-latency  # what README.md publishes
	$(BIN)/rerank-bench baseline save results/quickstart --replace

clean:
	rm -rf .venv build dist *.egg-info

.venv/.base:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "rerank-bench needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.demo: .venv/.base pyproject.toml constraints.txt
	@echo "installing rerank-bench with what the demo needs (a few minutes, once)"
	$(PIP) -e '.[demo]'
	@touch $@

.venv/.dev: .venv/.base pyproject.toml constraints.txt
	@echo "installing rerank-bench with what the tests need (a few minutes, once)"
	$(PIP) -e '.[dev]'
	@touch $@ .venv/.demo
