# The commands the project keeps; `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COMET_VENV := .venv-comet
TOOLS_VENV := .venv-tools
LOCK ?= core
# What plan, prompt, verify and accept are about.
PROFILE ?= quickstart
RUN ?= $(PROFILE)
# Two tests at a time, each file's by one process.
TWO := -n 2 --dist loadgroup --no-loadscope-reorder
profile = test -f envs/profiles/$(PROFILE)/config.yaml || \
  { echo "no profile '$(PROFILE)'; PROFILE= one of: $$(ls envs/profiles | xargs)"; exit 2; }
BENCH_VENV := .venv-bench
BENCH := quickstart startup orchestration scoring contexts embedding finetuning finetuning_gpu generation probing retrieval growth hnswlib_builds anchors
# hnswlib comes as source and would be compiled for the processor at hand, with instructions that older nodes of a cluster
# lack. pip's cache may hold such a build, and so may an environment that is there.
portable = HNSWLIB_NO_NATIVE=1 $(1)/pip install --quiet --disable-pip-version-check --no-deps --no-cache-dir \
  --force-reinstall --no-binary hnswlib $$(grep '^hnswlib==' envs/core.txt)
# snakemake calls `python` by name: the environment's must come first.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export HF_HUB_DISABLE_TELEMETRY := 1

.PHONY: help setup quickstart laptop-study check plan why prompt verify accept verdicts headroom power test test-fast test-all lint format clean clean-state comet-env bench \
  bench-env test-faults test-simulations test-slurm test-with-comet lock audit licences
help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(VENV)/.core ## make .venv from the lock

$(VENV)/.core: envs/core.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "Python 3.11 is needed for the exact lock; call 'make PYTHON=/path/to/python3.11 …'"; exit 1; }
	@command -v c++ >/dev/null || { echo "a C++ compiler is needed to build hnswlib (Debian: apt-get install g++)"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing the locked environment into $(VENV); this takes 2 to 4 minutes"
	$(call portable,$(BIN))
	$(BIN)/pip install --quiet --disable-pip-version-check -r envs/core.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.core envs/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r envs/dev.txt
	@touch $@

comet-env: $(COMET_VENV)/.done ## make .venv-comet, in which the metric COMET runs

$(COMET_VENV)/.done: envs/comet.txt
	@test -x $(COMET_VENV)/bin/pip || $(PYTHON) -m venv --clear $(COMET_VENV)
	@echo "installing COMET's locked environment into $(COMET_VENV); this takes 2 to 3 minutes"
	$(COMET_VENV)/bin/pip install --quiet --disable-pip-version-check -r envs/comet.txt
	@touch $@

quickstart: $(VENV)/.core ## run the embedded study; prints where report and figures are
	@snakemake --profile envs/profiles/quickstart
	@echo
	@echo "report:  $(CURDIR)/results/quickstart/report.html"
	@for f in results/quickstart/figures/*.png; do echo "figure:  $(CURDIR)/$$f"; done

laptop-study: $(VENV)/.core ## run three tiny families on two synthetic tasks, five seeds each
	@snakemake --profile envs/profiles/laptop-study
	@echo
	@echo "report:  $(CURDIR)/results/laptop-study/report.html"
	@for f in results/laptop-study/figures/*.png; do echo "figure:  $(CURDIR)/$$f"; done

check: $(VENV)/.core ## look for mistakes in a configuration: make check CONFIG="config.yaml mine.yaml"
	@python -m contrastive_context.workflow check $(or $(CONFIG),config.yaml)

plan: $(VENV)/.core ## what would run, and because of which key: make plan PROFILE=quickstart ARGS="--config run=mine"
	@$(profile)
	@python -m contrastive_context.workflow plan --profile envs/profiles/$(PROFILE) $(ARGS)

why: $(VENV)/.core ## the code that a step's version is made of: make why STAGE=finetune OF=results/quickstart/…
	@test -n "$(STAGE)" || { echo "name the step: make why STAGE=finetune"; exit 2; }
	@python -m contrastive_context.workflow why "$(STAGE)" $(if $(OF),--of "$(OF)")

prompt: $(VENV)/.core ## a prompt as text and tokens: make prompt TASK=intents MODEL=smollm2-135m PROFILE=quickstart
	@$(profile)
	@python -m contrastive_context.workflow prompt "$(TASK)" "$(MODEL)" $(if $(TARGET),--target $(TARGET)) \
	  --profile envs/profiles/$(PROFILE) $(ARGS)

verify: $(VENV)/.core ## check every hash of a run's results: make verify RUN=quickstart
	@python -m contrastive_context.workflow verify "$(RUN)"

accept: $(VENV)/.core ## let results stand although a step's code changed: make accept STAGE=score RUN=quickstart
	@test -n "$(STAGE)" || { echo "name the step whose results stand: make accept STAGE=score RUN=$(RUN)"; exit 2; }
	@python -m contrastive_context.workflow accept "$(RUN)" "$(STAGE)"

test: $(VENV)/.dev ## all tests that need only pip, but for the faults
	$(BIN)/python -m pytest -q $(TWO) -m "not slurm" --ignore tests/faults tests

test-fast: $(VENV)/.dev ## the inner loop: what needs neither a run of the workflow nor long training
	$(BIN)/python -m pytest -q $(TWO) -m "not slow and not slurm" tests

test-all: $(VENV)/.dev ## every test; those on a real SLURM, which mostly wait, beside the others
	@$(MAKE) --no-print-directory --jobs=2 --output-sync test-with-comet test-slurm

test-with-comet: comet-env
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory test-faults

test-slurm: $(VENV)/.dev ## tests on a real SLURM; they need its Debian packages and root
	$(BIN)/python -m pytest -q tests/slurm

test-faults: $(VENV)/.dev ## disturb stages and workflows, start them again: make test-faults TRIALS=2000 PIPELINE_TRIALS=40
	FAULT_TRIALS=$(or $(TRIALS),220) PIPELINE_TRIALS=$(or $(PIPELINE_TRIALS),12) $(BIN)/python -m pytest -q tests/faults

test-simulations: $(VENV)/.dev ## error rates of verdicts and coverage of intervals in more simulated studies: SIMULATIONS=5000
	SIMULATIONS=$(or $(SIMULATIONS),5000) $(BIN)/python -m pytest -q $(TWO) -k percent \
	  tests/unit/tables/test_findings.py tests/unit/tables/test_coverage_of_intervals.py

lock: $(TOOLS_VENV)/.done ## let packages of a lock change, or check it: make lock LOCK=core UPGRADE="pandas requests"
	@PATH=$(CURDIR)/$(TOOLS_VENV)/bin:$$PATH envs/lock.sh $(LOCK) $(UPGRADE)

audit: $(TOOLS_VENV)/.done ## ask the public package index which pinned versions have known vulnerabilities
	@$(TOOLS_VENV)/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off -r envs/dev.txt -r envs/comet.txt

verdicts: $(VENV)/.core ## the verdicts of a finished run as a Markdown table: make verdicts RUN=laptop-study
	@python -m contrastive_context.workflow verdicts "$(RUN)"

headroom: $(VENV)/.core ## floor and ceiling of every bucket of synthetic tasks: make headroom RUN=laptop-study
	@python -m contrastive_context.workflow headroom "$(RUN)"

power: $(VENV)/.core ## how many seeds and targets a claim needs, by a run's noise: make power RUN=laptop-study SEEDS="5 8"
	@python -m contrastive_context.workflow power "$(RUN)" $(if $(SEEDS),--seeds $(SEEDS))

licences: $(VENV)/.core $(TOOLS_VENV)/.done ## list the licences of models, data and packages: make licences CONFIG="config.yaml mine.yaml"
	@python -m contrastive_context.workflow licences $(or $(CONFIG),config.yaml)
	@$(TOOLS_VENV)/bin/pip-licenses --python $(BIN)/python --packages $$(sed -n 's/==.*//p' envs/core.txt)

$(TOOLS_VENV)/.done: envs/tools.txt
	@test -x $(TOOLS_VENV)/bin/pip || $(PYTHON) -m venv --clear $(TOOLS_VENV)
	$(TOOLS_VENV)/bin/pip install --quiet --disable-pip-version-check -r envs/tools.txt
	@touch $@

lint: $(VENV)/.dev ## ruff, its format, layers, types, snakefmt, snakemake --lint
	$(BIN)/ruff check workflow_scripts tests benchmarks
	$(BIN)/ruff format --check workflow_scripts tests benchmarks
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint --configfile config.yaml envs/overlays/quickstart.yaml

format: $(VENV)/.dev ## rewrite the code in the project's format
	$(BIN)/ruff check --fix workflow_scripts tests benchmarks
	$(BIN)/ruff format workflow_scripts tests benchmarks
	$(BIN)/snakefmt Snakefile rules

bench-env: $(BENCH_VENV)/.done ## make .venv-bench, which has what the benchmarks compare with

$(BENCH_VENV)/.done: envs/bench.txt envs/core.txt
	@test -x $(BENCH_VENV)/bin/pip || $(PYTHON) -m venv --clear $(BENCH_VENV)
	@echo "installing the locked environment of the benchmarks into $(BENCH_VENV); this takes 2 to 4 minutes"
	$(call portable,$(BENCH_VENV)/bin)
	$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check -r envs/bench.txt
	$(BENCH_VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

bench: $(BENCH_VENV)/.done ## measure against what one would use instead; one alone: make bench BENCH=finetuning
	@export PATH=$(CURDIR)/$(BENCH_VENV)/bin:$$PATH; set -e; for name in $(BENCH); do \
	  echo "== $$name"; python benchmarks/$$name.py; done

clean-state: ## free the disk of what fine-tuning resumes from (no job may run); added checkpoints then train anew
	rm -rf results/*/.state/finetune

clean: ## remove the environments; results and Snakemake's metadata belong together and stay
	rm -rf $(VENV) $(COMET_VENV) $(TOOLS_VENV) $(BENCH_VENV)
