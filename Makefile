# Every target works on a fresh machine: what is missing is installed, and said.
# `make` alone lists the targets.

PYTHON  ?= python3
VENV    ?= .venv
PROFILE ?= auto
STACK   ?= deployctl
ARGS    ?=

# An interpreter of our own: the system's may be externally managed or lack venv.
# To make, a space in a name is written with a backslash; to the shell, quotes do.
nothing   :=
comma     := ,
space     := $(nothing) $(nothing)
STAMP     := $(subst $(space),\$(space),$(VENV)/.installed)
DEV_STAMP := $(subst $(space),\$(space),$(VENV)/.installed-dev)
TOOL      := '$(VENV)/bin/deployctl'
PY        := '$(VENV)/bin/python'
PIP       := $(PY) -m pip -qq --disable-pip-version-check

# Hints name deployctl, which lies in the virtual environment: where it is, said once they are read.
OF_STACK := $(if $(filter-out deployctl,$(STACK)), STACK=$(STACK))
SAY       = command -v deployctl >/dev/null || echo '(deployctl is $(VENV)/bin/deployctl here$(1))'
OR_SAY    = || { code=$$?; $(SAY) >&2; exit $$code; }

.DEFAULT_GOAL := help
# Suites share one Docker and this folder: `make -j` must not run them at once.
.NOTPARALLEL:
.PHONY: help up down status logs setup test test-fast test-docker test-e2e test-faults lint format golden screenshots bench bench-fit bench-profiles bench-ready bench-cycles bench-agrees bench-defaults bench-gateways clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

$(STAMP): pyproject.toml
	@sh .ci/python '$(PYTHON)' '$(VENV)' '$(MAKECMDGOALS)'
	@$(PIP) install --editable .
	@touch '$@'

$(DEV_STAMP): $(STAMP)
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --group dev
	@touch '$@'

up: $(STAMP) ## Bring a stack up until it has answered (PROFILE=auto, STACK=deployctl)
	@$(TOOL) setup $(OR_SAY)
	@$(TOOL) up --profile '$(PROFILE)' --stack '$(STACK)' $(ARGS) $(OR_SAY)
	@$(call SAY,; make status$(OF_STACK)$(comma) make logs$(OF_STACK) and make down$(OF_STACK) work too)

down: $(STAMP) ## Stop and remove the stack; the chats stay (ARGS=--volumes removes them)
	@$(TOOL) down --stack '$(STACK)' $(ARGS) $(OR_SAY)

status: $(STAMP) ## Say how the stack is now
	@$(TOOL) status --stack '$(STACK)' $(ARGS) $(OR_SAY)

logs: $(STAMP) ## Print the containers' logs (ARGS=-f follows)
	@$(TOOL) logs --stack '$(STACK)' $(ARGS) $(OR_SAY)

setup: $(STAMP) ## Give this machine a working Docker, if it has none
	@$(TOOL) setup $(ARGS) $(OR_SAY)

test: lint test-fast test-docker test-e2e ## Lint, then all tests but the long half of the faults, on a real Docker

# One process more than processors: a tenth of the tests waits for something.
PROCESSES = $$($(PY) -c 'import os; print((os.cpu_count() or 1) + 1)')

test-fast: $(DEV_STAMP) ## Unit, golden, property and command-line tests; needs nothing
	@$(PY) -m pytest -q --numprocesses $(PROCESSES) --dist worksteal -m "not network and not slow" tests/unit tests/golden tests/property tests/cli $(ARGS)

test-docker: $(DEV_STAMP) ## Tests of the adapters against a real daemon
	@$(TOOL) setup --yes
	@$(PY) -m pytest -q -m "docker or network or slow" tests/docker tests/unit $(ARGS)

test-e2e: $(DEV_STAMP) ## From nothing to a browser chat, with real images and a real model
	@$(TOOL) setup --yes
	@sh .ci/browser
	@$(PY) -m pytest -q -m "not long" tests/e2e $(ARGS)

test-faults: $(DEV_STAMP) ## The long half of the faults; restarts the Docker daemon
	@$(TOOL) setup --yes
	@$(PY) -m pytest -q -m long tests/e2e $(ARGS)

lint: $(DEV_STAMP) ## ruff and mypy
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

format: $(DEV_STAMP) ## Let ruff put the code in order
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

golden: $(DEV_STAMP) ## Write the checked-in files that are made from the code
	@$(PY) -m tests.golden.update

screenshots: $(DEV_STAMP) ## Take the pictures of the guides, of a stack of their own
	@$(TOOL) setup --yes
	@sh .ci/browser
	@$(PY) -m docs.screenshots.take

bench: $(DEV_STAMP) ## Compare up, no-op and down with raw docker compose, in one run
	@$(TOOL) setup --yes
	@$(PY) -m benchmarks.lifecycle $(ARGS)

bench-fit: $(DEV_STAMP) ## Compare predicted with measured memory, on the real engine
	@$(TOOL) setup --yes
	@$(PY) -m benchmarks.fit $(ARGS)

bench-profiles: $(DEV_STAMP) ## Plan and render 1 000 profiles, mutate 10 000
	@$(PY) -m benchmarks.profiles $(ARGS)

bench-ready: $(DEV_STAMP) ## From the first possible answer to "ready"
	@$(TOOL) setup --yes
	@$(PY) -m benchmarks.ready $(ARGS)

bench-cycles: $(DEV_STAMP) ## 50 times up and down: what is left of each
	@$(TOOL) setup --yes
	@$(PY) -m benchmarks.cycles $(ARGS)

bench-agrees: $(DEV_STAMP) ## Compare our figures with another load generator's, on one stack
	@$(TOOL) setup --yes
	@$(PY) -m benchmarks.bench_agrees $(ARGS)

bench-defaults: $(DEV_STAMP) ## Compare a profile's derived flags with the engine's own defaults
	@$(TOOL) setup --yes
	@$(PY) -m benchmarks.defaults $(ARGS)

bench-gateways: $(DEV_STAMP) ## Compare gateways that keep answers: LiteLLM with Redis, nginx
	@$(TOOL) setup --yes
	@$(PY) -m benchmarks.gateways $(ARGS)

clean: ## Remove what the targets above made in this folder
	@rm -rf '$(VENV)' .mypy_cache .ruff_cache .pytest_cache .hypothesis artifacts build dist
