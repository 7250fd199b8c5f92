# Every verb does its own set-up: Python >= 3.11 with venv, make and git are all that a machine needs.
#   PYTHON=python3.12 make test     choose the interpreter
#   VENV=/tmp/env make test         choose the place of the environment
SHELL = /bin/sh
PYTHON ?=
VENV ?= .venv
ONLY ?=
BIN = $(VENV)/bin
SETUP = PYTHON="$(PYTHON)" sh scripts/setup.sh "$(VENV)"

.DEFAULT_GOAL := help
.PHONY: help setup check test network faults pilot contracts bench docs dist

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## create .venv with everything that developers need
	@$(SETUP) all,dev

check: setup ## lint, format, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest -p no:randomly tests/unit/test_architecture.py

test: setup ## the whole test suite
	$(BIN)/python -m pytest --verbosity=0

network: setup ## build the engine of a consortium's network, once (minutes; needs a C compiler)
	$(BIN)/tallystick network build

faults: setup ## harm a real network and see that nothing is lost: make faults ONLY=kill-one (needs make network)
	$(BIN)/python -m faults --json build/faults.json $(if $(ONLY),--only $(ONLY))

pilot: ## four hospitals on one laptop, end to end (installs only what this needs)
	@$(SETUP) pilot
	$(BIN)/tallystick pilot healthcare --force

contracts: setup ## compile the contracts and rewrite their committed artifacts
	$(BIN)/python scripts/compile_contracts.py

bench: setup ## measure speed and size: make bench ONLY=append,start
	@$(SETUP) all,dev,peers
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

docs: setup ## rewrite the generated pages, then run every example in the documentation
	$(BIN)/python scripts/write_cli_reference.py
	$(BIN)/python -m pytest tests/docs

dist: setup ## build the wheel and the source archive into dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .
