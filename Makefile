# stylerepro: `make run` does everything once, `make test` checks everything, `make help` lists the rest.

VENV     ?= .venv
PYTHON   ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
              command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
              && { echo $$p; break; }; done)
PROFILE  ?= laptop
# Two notebooks at a time, where there are two cores: small pictures use a second thread badly.
JOBS     ?= $(shell n=$$(env -u OMP_NUM_THREADS nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 1); [ "$$n" -ge 2 ] && echo 2 || echo 1)
PIP_ARGS ?=
# As many processes as notebooks at once; a file's tests stay together, since they share what they set up.
PYTEST_ARGS ?= -n $(JOBS) --dist loadfile

BIN   := $(VENV)/bin
READY := $(VENV)/.ready
STYLEREPRO := $(BIN)/stylerepro

# The environment's own kernel and command come first, whatever else is installed for this user.
export PATH := $(abspath $(BIN)):$(PATH)
export PYTHONNOUSERSITE := 1
# Every process imports PyTorch, and compiling its modules anew takes ten seconds each time: let Python keep them.
unexport PYTHONDONTWRITEBYTECODE

.NOTPARALLEL:
.PHONY: run test bench book lint environment announce help clean clean-all

help:  ## this list
	@echo "stylerepro: five documents on image style transfer, every claim put to the test"
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 22
	@echo
	@echo "Variables: PROFILE=$(PROFILE) (smoke, laptop, reference, crosscheck, paper), JOBS=$(JOBS), VENV=$(VENV), PYTHON=$(PYTHON),"
	@echo "PIP_ARGS=... handed to pip (see README: the CPU-only PyTorch), PYTEST_ARGS=... handed to pytest"

run: announce $(READY)  ## environment, all notebooks of PROFILE, then the book of those runs
	@$(STYLEREPRO) run --profile $(PROFILE) --jobs $(JOBS); status=$$?; \
	if [ $$status -ge 128 ]; then exit $$status; fi; \
	$(STYLEREPRO) book --profile $(PROFILE) && exit $$status

test: $(READY) lint  ## environment, ruff, mypy, the order of imports, then all tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(READY)  ## ruff, mypy and the order of imports between rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(READY)  ## seconds of a loss evaluation against a bare loop of the same arithmetic, and the share of the peak
	$(BIN)/python tests/bench_evaluation.py

book: $(READY)  ## the book of the committed reference runs
	$(STYLEREPRO) book

environment: $(READY)  ## only the environment, in VENV

announce:
	@if [ ! -e $(READY) ]; then \
	  echo "First the environment, in $(VENV): three to ten minutes, about 6 GB of disk with the plain PyTorch (its CUDA"; \
	  echo "libraries alone take 4 GB). A computer without a GPU does as well with the CPU-only PyTorch, 2 GB in all:"; \
	  echo "    make run PIP_ARGS='--extra-index-url ADDRESS'"; \
	  echo "where ADDRESS is the one that PyTorch's page 'Get started' shows for pip and CPU."; \
	  echo "Free here: $$(df -Pk . | awk 'NR == 2 {printf "%.0f GB", $$4 / 1048576}')."; \
	fi
	@echo "Then what is not fresh of the notebooks, profile $(PROFILE) (all of laptop: about 20 minutes on two cores), with"
	@echo "the time left shown as it goes, and the book (under a minute)."
	@echo "Ctrl-C loses nothing that has finished: the next 'make run' goes on."

# Remade only when what it is made from has changed. The two stamps keep a changed pyproject.toml from
# asking for every package again.
$(VENV)/.requirements: requirements.txt
	@if [ -z "$(PYTHON)" ]; then \
	  echo "stylerepro needs Python 3.11 or newer, and none was found on the PATH." >&2; \
	  echo "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; fi
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "stylerepro needs Python 3.11 or newer; $(PYTHON) is $$("$(PYTHON)" -V 2>&1)." >&2; \
	  echo "Name a newer one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV) || { \
	  echo "$(PYTHON) could not make an environment; on Debian and Ubuntu its package python3-venv is missing." >&2; \
	  exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile $(PIP_ARGS) -r requirements.txt
	@touch $@

$(READY): $(VENV)/.requirements pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean:  ## remove caches and the built book; keeps the environment and the runs
	rm -rf book/_build book/_generated .pytest_cache .ruff_cache .mypy_cache .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

clean-all: clean  ## the same, and the environment; own runs in results/runs stay
	rm -rf $(VENV)
