# `make demo` shows what the project does, `make test` and `make e2e` prove it. Each target sets up .venv itself
# when it is missing or older than what it is made from.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
USABLE := $(VENV)/.usable
MODEL  := artifacts/resnet34.onnx
SOURCE := $(shell find resnet_deploy -name '*.py')

.DEFAULT_GOAL := help
.PHONY: help demo test e2e lint format docs fuzz kill bench dist compat clean

help:  ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

demo: $(MODEL)  ## export ResNet-34 to verified fp32 and int8 files, then bench them
	$(BIN)/resnet-deploy bench $(MODEL)
	@echo "It is installed in $(VENV): . $(BIN)/activate makes it the command of this shell"

# A file stays with one worker: what its fixtures made is made once. Files keep the order that
# tests/conftest.py gives them; else those of few tests, which take the longest, would come last.
PYTEST := $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

test: $(READY)  ## run the tests of everything but whole programs
	$(PYTEST) --ignore=tests/e2e
	@echo "Whole programs (compilers, browsers, every command of the pages): make e2e"

e2e: $(READY)  ## run the tests of whole programs: compilers, browsers, every command of the pages
	$(PYTEST) tests/e2e

lint: $(READY)  ## check style, types, layers, spelling and wording
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell
	$(BIN)/python -m docgen.prose

format: $(READY)  ## rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The message that is turned off is Material's, about what MkDocs may become.
docs: $(READY)  ## build the site into build/site; open build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

fuzz: $(READY)  ## read damaged files of every kind; FUZZ='onnx --seconds 600' for one, and longer
	$(BIN)/python -W ignore -m tests.fuzz $(FUZZ)

kill: $(READY)  ## end every verb at random moments; KILL='train --kills 100' for one
	$(BIN)/python -W ignore -m tests.fuzz.signals $(KILL)

bench: $(READY)  ## measure beside the peers, record, draw; PEERS='--photos DIR …' as bench/README.md
	PYTHONPATH=bench $(BIN)/python -m peers $(PEERS)

dist: $(READY)  ## build sdist and wheel twice, compare and check them, list what they are made of
	$(BIN)/python -m release

compat: $(READY)  ## try oldest and newest dependencies; COMPAT='--python 3.12 --bound oldest' for one
	$(BIN)/python -m release.compat $(COMPAT)

clean:  ## remove everything that can be made again
	rm -rf $(VENV) build dist *.egg-info .*_cache .hypothesis artifacts/resnet34*.onnx
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MODEL): $(USABLE) $(SOURCE)
	$(BIN)/resnet-deploy export --depth 34

# pip is upgraded first: older ones resolve extras with pinned constraints badly.
$(USABLE): pyproject.toml constraints.txt
	@echo "Installing into $(VENV): PyTorch, ONNX Runtime and what they need, some minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -c constraints.txt -e .
	@touch $@

$(READY): $(USABLE)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@
