# The two commands of a fresh machine: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: $(VENV)/installed ## the pinned packages into .venv

$(VENV)/installed: lock/requirements.txt
	@echo "Installing the pinned packages into $(VENV): one to three minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r lock/requirements.txt
	@touch $@

demo: install ## the whole study on the phantom brain, to results/report.html
	$(BIN)/snakemake --cores $(CORES)

test: install ## all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

format: install ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile workflow/Snakefile rules

lint: install ## format and lint, changing nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/snakefmt --check Snakefile workflow/Snakefile rules
	$(BIN)/snakemake --lint

dry-run: install ## what the demo would do
	$(BIN)/snakemake --dry-run --quiet

.PHONY: help install demo test format lint dry-run
