# Everything from a bare clone with make and Python 3.11 to 3.13 (with its venv module). What is written lies in .venv
# and, for the weights, in the user's cache folder (ISTHMUS_CACHE moves it). A second run needs seconds and no network.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SMALL := starter/minilm starter/qwen2.5-coder-0.5b
STARTERS := $(SMALL) starter/qwen2.5-coder-1.5b
LOCK := $(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.PHONY: help install demo test check check-static lint types imports docs docs-check lock clean
.DEFAULT_GOAL := help

help:
	@echo "make install       virtual environment and starter weights (1.7 GB, once)"
	@echo "make demo          the whole of it on a small example organisation; ONCE=1 stops the server at the end"
	@echo "make test          the tests, with the smallest model (ARGS='-k labels' chooses)"
	@echo "make check         what CI runs: format, lint, types, import contracts, generated docs, tests"
	@echo "make docs          write the generated pages of docs/ anew"
	@echo "make lock          resolve the dependencies anew"
	@echo "make clean         remove .venv and the tools' caches (weights: isthmus models remove)"

install: $(VENV)/installed
	$(BIN)/isthmus models pull $(STARTERS)
	@echo "Ready: try make demo, or $(BIN)/isthmus --help"

demo: install
	ONCE=$(ONCE) $(BIN)/python examples/demo.py

test: $(VENV)/installed
	$(BIN)/isthmus models pull $(SMALL)
	$(BIN)/python -m pytest $(ARGS)

check: check-static test

check-static: lint types imports docs-check

lint: $(VENV)/installed
	$(BIN)/ruff format --check
	$(BIN)/ruff check

types: $(VENV)/installed
	$(BIN)/mypy

imports: $(VENV)/installed
	$(BIN)/lint-imports

docs: $(VENV)/installed
	$(BIN)/python -m tools.docs

docs-check: $(VENV)/installed
	$(BIN)/python -m tools.docs --check

# The stamps lie in .venv, so that they go when it goes.
$(BIN)/python:
	tools/make-venv $(VENV)

$(VENV)/locked: requirements.lock $(BIN)/python
	$(PIP) install --require-hashes --only-binary :all: -r requirements.lock
	@touch $@

$(VENV)/installed: pyproject.toml $(VENV)/locked
	$(PIP) install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

# Two locks: everything, and what a deployment needs. uv is used for nothing else and lives in an environment of its own.
lock: $(VENV)/lock/bin/uv
	$(LOCK) --all-extras --group dev pyproject.toml --output-file requirements.lock
	$(LOCK) --constraint requirements.lock pyproject.toml --output-file requirements-base.lock

$(VENV)/lock/bin/uv: | $(BIN)/python
	$(BIN)/python -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip --disable-pip-version-check install --quiet uv

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
