# make venv   an environment of its own in .venv, every version from requirements.lock (checked by hash)
# make test   lint, types, import contracts, then every test, on a real Kafka that the tests start themselves
# make check  the quick part of it: lint, types, import contracts and the tests that need no broker
# make demo   the whole way on real input: from a fresh clone to one screen of figures (CONSOLE=1: then the console, until Ctrl-C)
# make bench  throughput and latency side by side with the yardsticks
# make bench-peers  the counter job beside Kafka Streams, Quix, faust-streaming and a bare loop (OPTIONS="--only ours,bare")
# make bench-scale  one worker's cost at more users, policies and history, with plots
# make bench-edge  events and requests a second of one edge process, each durable before its answer
# make screenshots  every page of the console at work, light, dark and on a phone, into screenshots/
# make lock   resolves the versions anew (takes minutes); only after a change of the dependencies in pyproject.toml

PYTHON ?= python3.11
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: venv test check lint types imports demo bench bench-edge lock bench-peers bench-scale screenshots
.DEFAULT_GOAL := test

venv: $(INSTALLED)

# The stamp is newer than what was installed from: a second run does nothing.
$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Truelift needs Python 3.11 or newer: make PYTHON=python3.x")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv
	$(BIN)/mypy

# Imports run one way, and the engine reads no clock.
imports: venv
	$(BIN)/lint-imports

# The tests come last, so that pytest's closing lines close the run.
test: lint types imports
	$(BIN)/pytest

check: lint types imports
	$(BIN)/pytest -m "not kafka and not slow"

demo: venv
	$(BIN)/truelift demo $(if $(CONSOLE),--console)

bench: venv
	$(BIN)/python -m tests.bench

bench-peers: venv
	$(BIN)/python -m tests.bench.peers $(OPTIONS)

bench-scale: venv
	$(BIN)/python -m tests.bench.growth $(OPTIONS)

bench-edge: venv
	$(BIN)/python -m tests.bench edge

screenshots: venv
	$(BIN)/pytest -q tests/console/screenshots.py

lock:
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --upgrade --extra dev --generate-hashes --allow-unsafe --no-emit-index-url --no-emit-find-links \
		--strip-extras --output-file requirements.lock pyproject.toml
