# Every target runs in .venv: made on first use, made again when pyproject.toml or the constraints change.
# Another interpreter: make PYTHON=python3.12 test

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# Some projects have dropped Python 3.10: it has versions of its own.
CONSTRAINTS := $(shell $(PYTHON) -c 'import sys; print("constraints-3.10.txt" if sys.version_info[:2] == (3, 10) else "constraints.txt")' 2>/dev/null || echo constraints.txt)

.DEFAULT_GOAL := help
.PHONY: help setup quickstart test test-long test-timm lint check format clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do printf '%-12s %s\n' "$$name" "$$text"; done

setup: $(INSTALLED) ## Make .venv and install segkd into it, with the pinned versions

$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	@command -v $(PYTHON) >/dev/null || \
		{ echo "segkd: there is no $(PYTHON); install Python 3.10 or newer, or name one: make PYTHON=/path/to/python" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "segkd: needs Python 3.10 or newer, $(PYTHON) is $$($(PYTHON) -V 2>&1); name another: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "segkd: $(PYTHON) has no venv module; install it (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 2; }
	@echo "segkd: installing into .venv (takes minutes the first time)" >&2
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c $(CONSTRAINTS) -e '.[train,export,report,dev]'
	@touch $@

quickstart: $(INSTALLED) ## The whole chain on built-in street scenes, into quickstart/
	$(BIN)/segkd quickstart --out quickstart

test: $(INSTALLED) ## The tests, without the long ones
	$(BIN)/pytest -n 2

test-long: $(INSTALLED) ## The long tests: whole runs
	$(BIN)/pytest -m long

# timm needs torchvision, and torchvision the full build of torch: an environment of its own.
.venv-timm/.installed: pyproject.toml $(CONSTRAINTS) constraints-timm.txt
	@echo "segkd: installing into .venv-timm (6 GB: full torch, torchvision, timm)" >&2
	@$(PYTHON) -m venv .venv-timm
	@grep -v '^torch==' $(CONSTRAINTS) | cat - constraints-timm.txt > .venv-timm/constraints.txt
	@.venv-timm/bin/python -m pip install -qq --disable-pip-version-check -c .venv-timm/constraints.txt \
		-e '.[train,export,timm]' hypothesis pytest pytest-timeout
	@touch $@

test-timm: .venv-timm/.installed ## The tests of timm's encoders, in .venv-timm
	.venv-timm/bin/pytest tests/timm

lint: $(INSTALLED) ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

check: lint test ## lint and test

format: $(INSTALLED) ## Sort imports and format in place
	$(BIN)/ruff check --select I --fix
	$(BIN)/ruff format

clean: ## Remove what the other targets made, except .venv
	rm -rf build dist quickstart .mypy_cache .ruff_cache .pytest_cache
	find core distill export deploy tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
