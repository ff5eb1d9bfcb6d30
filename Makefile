# penstock: what you run while working on it. `make run` needs Python ≥ 3.11 and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check

.PHONY: run test check bench lock lock-clients clean

run: $(VENV)/.ready
	@$(BIN)/penstock serve --welcome

# Cog's servers want a core to themselves, so their tests come last and alone.
COG := tests/contract/test_cog_rig.py tests/contract/test_cog_upstream.py
test: $(VENV)/.ready-dev
	@$(BIN)/python -m pytest $(if $(ARGS),$(ARGS),$(COG:%=--ignore=%))
	@$(if $(ARGS),true,$(BIN)/python -m pytest -n 0 $(COG))

check: $(VENV)/.ready-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q -n 0 tests/laws/test_imports.py

bench: $(VENV)/.ready-dev
	@$(BIN)/python -m bench $(ARGS)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("penstock needs Python 3.11 or newer; set PYTHON=python3.11, say" if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: $(VENV)/bin/python requirements.lock pyproject.toml
	@echo "setting up (once, some 20 seconds) …"
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.lock
	@echo "setting up the tools (once) …"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

# The locks name versions and hashes, never where they were downloaded from.
UV := uv pip compile -q --generate-hashes --no-emit-index-url --universal --python-version 3.11
lock:
	$(UV) pyproject.toml --group build -o requirements.lock --custom-compile-command "make lock"
	$(UV) pyproject.toml --group build --group dev -c requirements.lock -o requirements-dev.lock --custom-compile-command "make lock"
	$(UV) bench/litellm.in -o bench/litellm.lock --custom-compile-command "make lock"

lock-clients:
	@for each in tests/contract/clients/*.in; do \
	  $(UV) $$each -o $${each%.in}.lock --custom-compile-command "make lock-clients"; done
	cd tests/contract/clients/js && npm install --package-lock-only --ignore-scripts

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
