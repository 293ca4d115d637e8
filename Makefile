# `make demo` and `make test` need Python 3.11+, make and a package index; nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# Test processes at once: most tests wait for servers, so more of them than processors are quicker.
WORKERS ?= 4

.PHONY: demo test check bench load soak format readme configs tour pins clean conformance patience test-all dist bundle
.DEFAULT_GOAL := test

# The pins and this package (editable). No build isolation: the build backend is pinned too.
$(VENV)/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	@echo "Installing the pinned dependencies into $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# What tests take from npm, where there is one: the TypeScript SDK's clients, for the view the official
# host's side of MCP Apps, and the official packer of the bundle. Without it, those tests say that they are skipped.
PACKER := bundle/node_modules/.installed
NPM := tests/typescript/node_modules/.installed tests/view/node_modules/.installed $(PACKER)
%/node_modules/.installed: %/package.json %/package-lock.json
	@if command -v npm >/dev/null; then \
	  echo "Installing npm packages for $* (once)"; \
	  cd $* && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch node_modules/.installed; \
	else \
	  echo "There is no npm: WHAT NEEDS $* WILL NOT BE TESTED"; \
	fi

# The tests of the view share a browser: one process runs them all.
PYTEST := pytest -n $(WORKERS) --dist loadgroup

demo: $(VENV)/installed
	$(BIN)/mcp-server-seedream demo

test: $(VENV)/installed $(NPM)
	$(BIN)/python -m $(PYTEST)

# The same on every Python of those that is on this machine, pyenv's versions included. Its shims don't count:
# they are on the PATH even where what they stand for can't be run.
PYTHONS ?= 3.11 3.12 3.13
test-all:
	@missing=; for version in $(PYTHONS); do \
	  found=; for python in python$$version $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python; do \
	    if [ -z "$$found" ] && "$$python" -c '' 2>/dev/null; then found=$$python; fi; \
	  done; \
	  if [ -z "$$found" ]; then missing="$$missing $$version"; continue; fi; \
	  echo "== Python $$version: $$found"; \
	  $(MAKE) --no-print-directory test PYTHON=$$found VENV=.venv-$$version || exit 1; \
	done; \
	if [ -n "$$missing" ]; then echo "NOT TESTED, for they are not on this machine: Python$$missing"; fi

# The official conformance suite over HTTP, and the Inspector's command line over every transport.
conformance: $(VENV)/installed tests/conformance/node_modules/.installed
	$(BIN)/python -m $(PYTEST) -m conformance tests/test_conformance.py tests/test_inspector.py

# The TypeScript clients with their own timeout of 60 s, against generations of 90 s. `make test` is quicker.
patience: $(VENV)/installed $(NPM)
	PATIENCE=1 $(BIN)/python -m pytest -n 3 tests/test_typescript.py -k patient

# The wheel and the sdist, looked into; and the wheel installed where nothing else is, with the pins.
dist: $(VENV)/installed
	rm -rf dist
	$(BIN)/uv build --quiet --no-build-isolation --python $(BIN)/python
	$(BIN)/python -m pytest -m dist tests/test_dist.py

# Without a Redis or Valkey its tests are skipped, loudly, and what only they reach is not counted.
FLOOR = $(if $(shell command -v redis-server || command -v valkey-server),100,94)
check: $(VENV)/installed $(NPM)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/coverage erase
	$(BIN)/coverage run -m $(PYTEST)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under $(FLOOR)

bench: $(VENV)/installed
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.ledger
	$(BIN)/python -m benchmarks.network

# Replicas behind nginx, one killed and one stopped, and an audit. LOAD="--seconds 20 --clients 100" is a
# short form; --help tells the rest.
load: $(VENV)/installed
	$(BIN)/python -m benchmarks.load $(LOAD)

# The randomized histories of tests/histories.py, for longer than the tests have time for.
SECONDS ?= 600
soak: $(VENV)/installed
	$(BIN)/python -m tests.histories --seconds $(SECONDS)

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The generated tables of the README, and server.json.
readme: $(VENV)/installed
	$(BIN)/python -m tests.readme
	$(BIN)/python -m bundle.registry

# dist/mcp-server-seedream-VERSION.mcpb, which hosts install by a click.
bundle: $(VENV)/installed $(PACKER)
	$(BIN)/python -m bundle

# The files of client_configs/ and the tables of its README.
configs: $(VENV)/installed
	$(BIN)/python -m tests.configs

# docs/tour.md and its pictures; needs npm and a Chromium.
tour: $(VENV)/installed $(NPM)
	$(BIN)/python -m tests.tour

# Anew from pyproject.toml; --universal, so that one file holds for every platform and Python. Of the same
# pins the image takes those that a server needs, and those of the build backend.
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-annotate --no-header --quiet
pins: $(VENV)/installed
	$(COMPILE) --upgrade --group dev pyproject.toml -o requirements.txt
	$(COMPILE) --constraint requirements.txt --extra redis --extra otel pyproject.toml -o deploy/requirements.txt
	echo hatchling | $(COMPILE) --constraint requirements.txt - -o deploy/requirements.build.txt

clean:
	rm -rf .venv .venv-* tests/*/node_modules bundle/node_modules dist .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis
