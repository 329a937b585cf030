# `make asha` and `make test` include the set-up.
PYTHON ?= python3
BIN := .venv/bin
STUDY ?= results

# Three workers for two cores, each with a Ray of its own and one file at a time: most tests of studies
# wait half of the time, for Ray and for what they have broken.
TESTS := $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --ignore=tests/clusters

.PHONY: asha test test-all coverage test-long test-cluster install lint docs bench tensorboard

asha: .venv/installed
	$(BIN)/python tune_jobs/asha_lr_batch.py --yes

test: .venv/installed
	$(TESTS) -m "not long"

# The quick tests with the lines that they run: said, not enforced. Processes of Ray and scripts that
# tests start are not counted.
coverage: .venv/installed
	$(TESTS) -m "not long and not slow" --cov tune_cluster --cov search_spaces --cov trainables \
	    --cov-report term:skip-covered

# What `test` leaves out of `test-all`; ends with the first failure.
test-long: .venv/installed
	$(TESTS) -m long --maxfail 1

test-all: .venv/installed
	$(TESTS)

# Needs root, openssh-server, rsync and iproute2, else skips with the reason. Shows measured times.
test-cluster: .venv/installed
	$(BIN)/python -m pytest tests/clusters -rsP

install: .venv/installed

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --package tests

# Fails on a link to a page, a heading or a name that is not there.
docs: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev,benchmarks]'
# Two packages of one module: Syne Tune's xgboost, which nobody imports, may have come last.
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps xgboost-cpu
	$(BIN)/python benchmarks/all.py

tensorboard: .venv/installed
	$(BIN)/tensorboard --logdir $(STUDY)

# pip resolves torch and torchvision together, so that their wheels match.
.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@
