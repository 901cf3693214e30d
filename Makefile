# Two commands: `make run` (everything on loopback) and `make test`.
# Needs Python 3.11+, make and python3-venv; everything else is installed here from the lock files.

PYTHON       ?= python3
VENV         := .venv
BIN          := $(VENV)/bin
STATE        ?= .state
SIM_PORT     ?= 8800
GATEWAY_PORT ?= 8855
LEDGER_PORT  ?= 50051
PEERS        ?= 1
BANKS        ?= 1
WORKERS      ?= 3

.PHONY: run reset test check lint bench faults lock protos map clean help
.DEFAULT_GOAL := help

help: ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | column -t -s '|'

run: $(VENV)/.installed ## Start ledger, gateway and simulator; STATE= SIM_PORT= GATEWAY_PORT= LEDGER_PORT= PEERS= BANKS=
	@exec $(BIN)/ussd-sim up --state $(STATE) --port $(SIM_PORT) \
	  --gateway-port $(GATEWAY_PORT) --ledger-port $(LEDGER_PORT) --peers $(PEERS) --banks $(BANKS)

reset: ## Forget everything `make run` has kept; STATE=
	@if [ -e $(STATE)/up.pid ] && kill -0 "$$(cat $(STATE)/up.pid)" 2>/dev/null; then \
	  echo "make run is still going (process $$(cat $(STATE)/up.pid)): stop it first with Ctrl-C" >&2; exit 1; fi
	rm -rf $(STATE)

test: $(VENV)/.installed-dev system-packages ## Every test, with real PostgreSQL, Valkey and Chromium
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

check: $(VENV)/.installed-dev ## Lint, types, import rules, and the proofs over every screen
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	@$(BIN)/python -m menus.lint --shown-in README.md

bench: $(VENV)/.installed-dev ## Turns per second beside a bare handler, in the same run
	@$(BIN)/python -m tests.bench

faults: $(VENV)/.installed-dev ## Everything that can go wrong, and what was promised of it; SEEDS= LONG=1
	@$(BIN)/python tests/faults $(if $(SEEDS),--seeds $(SEEDS)) $(if $(LONG),--long)

map: $(VENV)/.installed ## Draw the README's map of all screens again
	@$(BIN)/python -m menus.lint --map README.md

lock: $(VENV)/.installed-dev ## Renew the lock files
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 \
	  --upgrade --extra build pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 \
	  --upgrade --extra build --extra dev pyproject.toml -o requirements-dev.lock

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# --- how it is installed -------------------------------------------------------------------------

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer is needed ($(PYTHON) is missing or older): apt-get install python3, or make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "Python's venv is missing: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/pip
	@echo "Installing what it runs on (once) …"
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed
	@echo "Installing what the tests need (once) …"
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

.PHONY: system-packages
system-packages:
	@sh .ci/system-packages
