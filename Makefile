# `make asha` and `make test` do all the set-up themselves.
PYTHON ?= python3
BIN := .venv/bin
STUDY ?= results

.PHONY: asha test test-all test-cluster install lint bench tensorboard

asha: .venv/installed
	$(BIN)/python tune_jobs/asha_lr_batch.py --yes

test: .venv/installed
	$(BIN)/python -m pytest -m "not long" --ignore=tests/cluster

test-all: .venv/installed
	$(BIN)/python -m pytest --ignore=tests/cluster

# Needs root, openssh-server, rsync and iproute2, and skips with the reason. Shows what it has timed.
test-cluster: .venv/installed
	$(BIN)/python -m pytest tests/cluster -rsP

install: .venv/installed

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev,benchmarks]'
	$(BIN)/python benchmarks/all.py

tensorboard: .venv/installed
	$(BIN)/tensorboard --logdir $(STUDY)

# pip resolves torch and torchvision together, so that their wheels match.
.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
