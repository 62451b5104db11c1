# Needs Python 3.11 or newer, git and make. All else is installed into .venv from the package registries that pip and npm are set to.
PYTHON ?= python3
PY := .venv/bin/python
# Another lock file is another stamp: the environment is brought up to date exactly when the lock changes.
LOCKED := .venv/locked-$(shell cksum requirements.lock | cut -d' ' -f1)

.DEFAULT_GOAL := help
.PHONY: help run install lint format test bench chaos clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(LOCKED) ## Start everything and serve the dashboard on http://localhost:3000 (PORT)
	@exec $(PY) -m dashboard.run

install: $(LOCKED) ## Make .venv from requirements.lock

lint: $(LOCKED) ## Ruff's rules, ruff's format, mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: $(LOCKED) ## Put the code into ruff's format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

test: $(LOCKED) ## Every test, in parts, two at a time (ARGS="tests/unit -k money": those alone)
	@$(PY) -m tests.browser
	@$(PY) -m dashboard.run --build-only
	@$(PY) -m tests.parts $(ARGS)

bench: $(LOCKED) ## Measure syncs against the sandbox (ARGS="peer --quick")
	$(PY) -m tests.bench $(ARGS)

chaos: $(LOCKED) ## Long runs under faults and kills
	$(PY) -m pytest -m chaos $(ARGS)

clean: ## Remove what was built; .data, with the embedded database, stays
	rm -rf .web .states .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(LOCKED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@test -x $(PY) || $(PYTHON) -m venv .venv \
		|| { rm -rf .venv; echo "$(PYTHON) has no venv; Debian has it in python3-venv" >&2; exit 2; }
	@echo "Installing what requirements.lock names"
	@$(PY) -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@rm -f .venv/locked-*
	@touch $@
