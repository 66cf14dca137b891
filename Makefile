# Everything a fresh machine needs is set up by the targets themselves: Python 3.11, make and (Debian) apt-get are enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup tools demo demo-down test lint unit cluster bench crds clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(INSTALLED) ## virtual environment with the pinned dependencies

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

tools: setup ## build or fetch the Kubernetes and monitoring programs into the cache
	$(BIN)/python -m sandbox tools

demo: setup ## the main job on a local cluster; KEEP=1 leaves it running
	$(BIN)/python -m sandbox.demo $(if $(filter-out 0,$(KEEP)),--keep)

demo-down: setup ## end what `make demo KEEP=1` left running
	$(BIN)/python -m sandbox down

test: setup lint tools unit cluster ## everything: lint, unit tests, tests against the local cluster

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: setup
	$(BIN)/python -m pytest -n 2 -m "not cluster and not benchmark"

# One process, because the control plane is started once per run.
cluster: setup
	$(BIN)/python -m pytest -m "cluster and not benchmark"

bench: setup ## the committed benchmark programs
	$(BIN)/python -m pytest -m benchmark

crds: setup ## generate crds/ and their reference from the models
	$(BIN)/mfu crds --output-dir crds
	$(BIN)/mfu crds --output-dir charts/mfu-operator/crd-files
	$(BIN)/mfu crds --reference docs/crds.md

clean: ## remove what the targets made in this tree (the tool cache stays)
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
