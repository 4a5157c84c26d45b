# `make run` does the main job from nothing; `make test` proves it.  Both install what they need into .venv.
# The first that starts and is promised: the shims of version managers are there whether they start or not.
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3.14 python3; do \
  $$python tests/pythons.py --fits 2>/dev/null && command -v $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
# setuptools writes the path of this folder in the locale's encoding: one that can write any name.
UTF8 := LC_ALL=C.UTF-8 $(BIN)/python
PIP := $(UTF8) -m pip --disable-pip-version-check install --quiet -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help run serve dev test pythons mutants two-sample bench bench-kb bench-site shots lint clean

help: ## say what can be done
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

$(BIN)/python:
	@python="$(PYTHON)"; "$${python:-none}" tests/pythons.py --fits 2>/dev/null || \
	  { echo "Python 3.11 to 3.14 is needed (but not 3.14.1); say which: make PYTHON=/path/to/python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 2; }

# The editable install is a plain path entry (compat), because the other kind adds an import hook that each start of kb
# would pay for.  The entry is made relative: an absolute one with an accent in it stops Python 3.11 and 3.12 under LC_ALL=C.
EDITABLE = $(PIP) -e '.[$(EXTRAS)]' --config-settings editable_mode=compat && $(UTF8) -c 'import os, sysconfig; \
  from pathlib import Path; site = Path(sysconfig.get_path("purelib")); \
  [e.write_text(os.path.relpath(".", site)) for e in site.glob("__editable__.diffusion_kb-*.pth")]'

# torch first, by its pinned version: resolved together with others it may fetch another build.
$(VENV)/run.stamp: EXTRAS := run,site
$(VENV)/run.stamp: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV) (a few minutes the first time) ..."
	@$(PIP) $$(grep -E '^torch==' constraints.txt)
	@$(EDITABLE)
	@touch $@

$(VENV)/dev.stamp: EXTRAS := run,site,dev
$(VENV)/dev.stamp: $(VENV)/run.stamp
	@$(EDITABLE)
	@touch $@

run: $(VENV)/run.stamp ## check the records, train and sample DDPM, build the site with the new samples
	@$(BIN)/kb check
	@$(BIN)/kb run ddpm --out build/runs/ddpm
	@$(BIN)/kb build
	@echo
	@echo "Samples   build/runs/ddpm/    (contact sheet, claims, checkpoint)"
	@echo "Site      build/site/         (index.html)"
	@echo "Look      $(BIN)/kb serve     (then open the address it prints)"

serve: $(VENV)/run.stamp ## serve the site on this machine
	@$(BIN)/kb serve

dev: $(VENV)/dev.stamp ## make the environment that tests and tools need, and do nothing else

test: $(VENV)/dev.stamp ## run every test, browser tests included
	@sh tests/ensure_chromium.sh $(BIN)/python
	@sh tests/ensure_programs.sh
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal --timeout 600 -q

pythons: ## check, build and test (the fast tests) with every Python found here, each in its own environment
	@$(PYTHON) tests/pythons.py

METHODS ?=
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)

mutants: $(VENV)/dev.stamp ## plant one bug at a time and see the tests fail: all, or METHODS="ddim common.noise"
	@OMP_NUM_THREADS=1 $(BIN)/python -m implementations.verification.mutants --jobs $(JOBS) $(METHODS)

two-sample: $(VENV)/dev.stamp ## measure how often the two-sample test is wrong, and what it sees (a minute)
	@OMP_NUM_THREADS=1 $(BIN)/python -m implementations.verification.error_rates

bench: $(VENV)/dev.stamp ## time our U-Net beside its peers, and what importing a method costs (two minutes)
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.unet
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.imports

bench-kb: $(VENV)/dev.stamp ## time kb beside papis at 60 to 10,000 records (about five minutes)
	@$(BIN)/python -m benchmarks.kb_beside_papis

bench-site: $(VENV)/dev.stamp ## build the site at 60 to 1,000 papers beside two generators (under ten minutes)
	@sh tests/ensure_chromium.sh $(BIN)/python
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.site

shots: $(VENV)/dev.stamp ## pictures of the site's pages for docs/site.md, to be looked at
	@$(BIN)/python -m tests.site.shots

lint: $(VENV)/dev.stamp ## ruff, pyright, canonical records
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/kb fmt --check

clean: ## delete what was built, keep .venv
	rm -rf build .kb .pytest_cache .ruff_cache .hypothesis
