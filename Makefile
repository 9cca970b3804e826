.DEFAULT_GOAL := help
SHELL := /bin/bash
UV := .tools/bin/uv
RUN := .venv/bin
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help setup run test test-full check bench

help: ## show what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(UV):
	@test -e .tools || rm -f .tools
	@python3 -m venv .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.8

.venv/.synced: $(UV) pyproject.toml uv.lock
	@UV_PYTHON_DOWNLOADS=never $(UV) sync --frozen --quiet --compile-bytecode --python python3
	@touch $@

setup: .venv/.synced ## set up .venv from the lock file

run: setup ## run everything: database, Stripe sandbox, API, dashboard, worker (honours PORT)
	@exec $(RUN)/helvetia up

test: setup ## run the test suite, two tests at a time
	$(RUN)/python -m pytest -q -n 2 --dist loadgroup

test-full: setup ## run the same tests with their full N; writes the table into docs/reliability.md
	HELVETIA_FULL=1 $(RUN)/python -m pytest -q

check: setup ## format, lint, types, imports, unit tests
	$(RUN)/ruff format --check src tests migrations
	$(RUN)/ruff check src tests migrations
	$(RUN)/mypy
	$(RUN)/lint-imports
	$(RUN)/python -m pytest -q -n 2 --dist loadgroup tests/unit tests/architecture

bench: setup ## measure; writes docs/benchmarks.md and build/bench.json
	$(RUN)/python tests/performance/run.py
