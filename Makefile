# Every target works on a fresh machine: what is missing is installed, and said.
# `make` alone lists the targets.

PYTHON  ?= python3
VENV    ?= .venv
BIN     := $(VENV)/bin
PROFILE ?= auto
STACK   ?= deployctl
ARGS    ?=

# An interpreter of our own: the system's may be externally managed or lack venv.
STAMP     := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help up down status logs setup test test-fast test-docker test-e2e lint format golden bench clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1|\2/' | column -t -s'|'

$(STAMP): pyproject.toml
	@sh .ci/python $(PYTHON) $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(DEV_STAMP): $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@

up: $(STAMP) ## Bring a stack up until it has answered (PROFILE=auto, STACK=deployctl)
	@$(BIN)/deployctl setup
	@$(BIN)/deployctl up --profile $(PROFILE) --stack $(STACK) $(ARGS)

down: $(STAMP) ## Stop and remove the stack; the chats stay (ARGS=--volumes removes them)
	@$(BIN)/deployctl down --stack $(STACK) $(ARGS)

status: $(STAMP) ## Say how the stack is now
	@$(BIN)/deployctl status --stack $(STACK) $(ARGS)

logs: $(STAMP) ## Print the containers' logs (ARGS=-f follows)
	@$(BIN)/deployctl logs --stack $(STACK) $(ARGS)

setup: $(STAMP) ## Give this machine a working Docker, if it has none
	@$(BIN)/deployctl setup $(ARGS)

test: lint test-fast test-docker test-e2e ## Everything: lint, then all tests, on a real Docker

test-fast: $(DEV_STAMP) ## Unit, golden, property and command-line tests; needs nothing
	@$(BIN)/python -m pytest -q -m "not network" tests/unit tests/golden tests/property tests/cli $(ARGS)

test-docker: $(DEV_STAMP) ## Tests of the adapters against a real daemon
	@$(BIN)/deployctl setup --yes
	@$(BIN)/python -m pytest -q -m "docker or network" tests/docker tests/unit $(ARGS)

test-e2e: $(DEV_STAMP) ## From nothing to a browser chat, with real images and a real model
	@$(BIN)/deployctl setup --yes
	@sh .ci/browser
	@$(BIN)/python -m pytest -q tests/e2e $(ARGS)

lint: $(DEV_STAMP) ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(DEV_STAMP) ## Let ruff put the code in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

golden: $(DEV_STAMP) ## Write the checked-in files that are made from the code
	@$(BIN)/python -m tests.golden.update

bench: $(DEV_STAMP) ## Compare up, no-op and down with raw docker compose, in one run
	@$(BIN)/python -m benchmarks.lifecycle $(ARGS)

clean: ## Remove what the targets above made in this folder
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis artifacts build dist
