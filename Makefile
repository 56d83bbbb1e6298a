# Countenance. `make` alone lists what there is.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PHOTOS ?=
HOME_DIR ?= $(HOME)/.local/share/countenance

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test test-milvus check fmt lint types arch bench docs soak clean

help:
	@echo "make setup   make the virtual environment, install Countenance into it, fetch the model weights"
	@echo "make demo    the main job in a temporary home; PHOTOS=folder does it with your own photos"
	@echo "make serve   serve the home in HOME_DIR=$(HOME_DIR), made if it is missing"
	@echo "make test    the tests, all of them"
	@echo "make test-milvus   the index in Milvus, with a real server that it installs in the cache folder"
	@echo "make check   lint, types, architecture, then the tests"
	@echo "make fmt     put the code in shape"
	@echo "make bench   the figures of docs/numbers.md; DATA=folder with the labelled sets"
	@echo "make docs    write the generated lists of docs/ anew"
	@echo "make soak    kill ledger, galleries and server hundreds of times each and look for loss"

setup: $(READY)
	@$(BIN)/countenance models pull
	@$(BIN)/countenance models pull labels

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Countenance needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(READY)

demo: setup
	@$(BIN)/python examples/demo.py $(if $(PHOTOS),--photos "$(PHOTOS)")

serve: setup
	@test -e "$(HOME_DIR)/settings.toml" || $(BIN)/countenance init --home "$(HOME_DIR)"
	@$(BIN)/countenance serve --home "$(HOME_DIR)"

# Three at a time on two processors: many tests wait, for processes that they start and kill, or for the disk.
test: setup
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile

test-milvus: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[milvus]'
	$(BIN)/python -m tests.milvus $(BIN)/python -m pytest tests/contract/test_indexes.py tests/door/test_milvus.py

check: setup lint types arch test

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

arch: $(READY)
	$(BIN)/lint-imports

fmt: $(READY)
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .

bench: setup
	@test -n "$(DATA)" || { echo 'say where the labelled sets are: make bench DATA=folder'; exit 2; }
	@for what in lfw wild crowd similarity alarms attributes; do \
		$(BIN)/countenance bench $$what --data "$(DATA)" || exit; \
	done

docs: $(READY)
	$(BIN)/python -m tests.docs.lists --write

soak: setup
	$(BIN)/python -m tests.door.kills --kills 1000
	$(BIN)/python -m tests.door.gallery_kills --kills 300
	$(BIN)/python -m tests.door.soak --kills 1000

clean:
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
