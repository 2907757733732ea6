# Bowei on an empty machine: Python 3.11 or newer with venv, nothing else, no root.
PORT ?=
SPEED ?=
SITE ?=
STATE ?=
ARGS ?=
TESTS ?= tests

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for at in python3.11 python3.12 python3.13 python3; do \
	command -v $$at >/dev/null 2>&1 && \
	$$at -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && \
	echo $$at && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --no-input install
# Scripts in .venv name this folder: a moved checkout is set up anew.
HERE := $(shell pwd | cksum | cut -d' ' -f1)
MADE := $(VENV)/made-$(HERE)
READY := $(VENV)/bowei-$(HERE)
READY_TO_DEVELOP := $(VENV)/bowei-dev-$(HERE)

.PHONY: help setup develop run test check format soak pictures clean
.DEFAULT_GOAL := help

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12
	@echo
	@echo "make run PORT=8080 SPEED=10 SITE=deploy/sites/hangzhou-hospitals STATE=.bowei ARGS=…"

setup: $(READY) ## .venv with bowei in it

develop: $(READY_TO_DEVELOP) ## the same with what tests and checks want

$(MADE):
	@if [ -z "$(PYTHON)" ]; then \
		echo "Bowei needs Python 3.11 or newer with venv. On Debian: apt install python3 python3-venv" >&2; \
		exit 1; fi
	@echo "setup 1/2: $$($(PYTHON) --version) into $(VENV)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(READY): pyproject.toml | $(MADE)
	@echo "setup 2/2: bowei and what it stands on (half a minute the first time)"
	@$(PIP) --editable '.[bench]' || { \
		echo "The packages could not be fetched: is the package index (pip) reachable?" >&2; exit 1; }
	@touch $@

$(READY_TO_DEVELOP): pyproject.toml | $(MADE)
	@echo "setup 2/2: bowei with its tests and checks (a minute the first time)"
	@$(PIP) --editable '.[dev]' || { \
		echo "The packages could not be fetched: is the package index (pip) reachable?" >&2; exit 1; }
	@touch $(READY) $@

# `exec` makes bowei the child of make itself, and BOWEI_PARENT lets it follow make wherever it goes:
# Ctrl-C, a TERM or a KILL of either leaves nothing behind.
run: $(READY) ## everything on this machine, with a district that lives; state in .bowei
	@BOWEI_PARENT=$$PPID exec $(BIN)/bowei run $(if $(PORT),--port $(PORT)) \
		$(if $(SPEED),--speed $(SPEED)) $(foreach one,$(SITE),--site $(one)) \
		$(if $(STATE),--state $(STATE)) $(ARGS)

check: $(READY_TO_DEVELOP) ## lint, format, types, who may import whom, sizes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -p no:cacheprovider tests/unit/test_size.py

format: $(READY_TO_DEVELOP) ## let ruff lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: check ## check, then every test, two at a time
	@BOWEI_PARENT=$$PPID exec $(BIN)/pytest -n 2 --dist worksteal $(TESTS) $(ARGS)

soak: $(READY_TO_DEVELOP) ## the tests that take long
	@BOWEI_PARENT=$$PPID exec $(BIN)/pytest -m soak --timeout 0 $(TESTS) $(ARGS)

pictures: $(READY_TO_DEVELOP) ## the README's pictures, from a service that runs for them
	@$(BIN)/python tests/browser/pictures.py

clean: ## remove what make made (not the state in .bowei)
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
