# `make run` starts a mailroom on this machine; `make test` checks this one.

PYTHON ?= python3
BIN := .venv/bin
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)
# PyTorch's own index of CPU builds: without a GPU nobody needs gigabytes of CUDA
CPU_INDEX := https://download.pytorch.org/whl/cpu
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: run install test lint needs clean

run: install
	@$(BIN)/mailroom up

install: .venv/.installed

# The folder may have moved or lost its Python since: then it is made anew
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Mailroom needs Python 3.11 or newer: make run PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv \
	  || { echo "Python's venv module is missing: sudo apt-get install python3-venv"; exit 1; }

.venv/.torch: constraints.txt | .venv/bin/python
	@echo "Installing PyTorch ..."
	@if command -v nvidia-smi >/dev/null 2>&1; then \
	  $(PIP) $(TORCH); \
	else \
	  $(PIP) --index-url $(CPU_INDEX) --no-deps --retries 0 --timeout 10 $(TORCH) 2>/dev/null \
	    || { echo "  PyTorch's CPU index did not answer; taking the default build"; $(PIP) $(TORCH); }; \
	fi
	@touch $@

.venv/.installed: pyproject.toml constraints.txt .venv/.torch
	@echo "Installing Mailroom ..."
	@$(PIP) --config-settings editable_mode=compat --editable .
	@touch $@

.venv/.installed-test: .venv/.installed
	@echo "Installing what the tests need ..."
	@$(PIP) --config-settings editable_mode=compat --editable '.[test]'
	@touch $@

needs: .venv/.installed-test
	@$(BIN)/python -m tests.needs

lint: .venv/.installed-test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

test: needs lint
	@$(BIN)/python -m pytest

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache
