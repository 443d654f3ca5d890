# make report   set everything up and run the main job on the embedded reference model
# make test     set everything up and pass the tests
# make docs     set everything up and build the site in _docs, which opens from disk
# All install what they need into .venv; the second time they start at once.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
export PYTHONUNBUFFERED := 1
export HF_HUB_OFFLINE ?= 1
.PHONY: help setup runtimes report test docs lab verify hooks notebooks readme clean

help:
	@sed -n 's/^# //p' Makefile | head -4

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt .ci/system-packages
	@bash .ci/system-packages
	@python=$$(command -v python3.11 || command -v python3); \
	$$python -c 'import sys; sys.exit(sys.version_info < (3,11) and "decodelab needs Python 3.11 or newer, this is " + sys.version.split()[0])'; \
	test -x $(BIN)/python || { echo "Making .venv with $$($$python --version)"; $$python -m venv .venv; }
	@echo "Installing decodelab and its tested dependencies into .venv (the first time takes a few minutes)"
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

# All four runtimes, lm-eval and (as root) Slurm, for the tests: each is real, on CPU where there is no GPU.
runtimes: setup .venv/.runtimes

.venv/.runtimes: .venv/.ready .ci/runtimes
	@bash .ci/runtimes $(BIN) $@

report: setup
	@$(BIN)/decodelab run eig_eval

# The whole truth: notebooks clean and in sync, floors, types, errors, every lesson against its outputs, every experiment, then pytest.
test: runtimes
	@.ci/part "notebooks are clean, export is in sync" bash .ci/in-sync
	@.ci/part "floors, types and errors" bash -c '$(BIN)/lint-imports --no-logo && $(BIN)/python .ci/types && $(BIN)/ruff check -q pkg nbs tests .ci'
	@.ci/part "lessons, each output held to the committed one" $(BIN)/python .ci/lessons
	@.ci/part "experiments with their defaults" bash .ci/experiments $(BIN)
	@echo "== pytest, two files side by side"; OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile

# JupyterLab with the experiments; a run made there gets its report when its notebook is saved. OPTIONS are its own.
lab: setup
	@$(BIN)/decodelab lab $(OPTIONS)

# Every published report that ran in under ten minutes, again: does each metric agree?
verify: setup
	@$(BIN)/decodelab verify --all --within 600 --record

# Optional: notebooks are merged cell by cell, and cleaned before a commit. Without .venv, git does what it always did,
# and after `bash .ci/git-hooks --off`.
hooks: setup
	@bash .ci/git-hooks

readme: setup
	@$(BIN)/python -m decodelab.lab.readme

# nbdev's own site where Quarto is installed; elsewhere the same notebooks by Sphinx. Reference pages come from the registries in both.
docs: setup
	@if command -v quarto >/dev/null; then $(BIN)/decodelab docs --only-registry nbs/registry && $(BIN)/nbdev-docs; \
	else $(BIN)/decodelab docs --strict; fi

clean:
	rm -rf .venv build dist _proc _docs
