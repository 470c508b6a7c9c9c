# Every target installs what it needs first; nothing asks a question, and only a package index is reached.
#
#   make              make the environment (.venv) and the page of dvc plots show
#   make repro        run the whole pipeline: train until the comparisons are decided, then dvc repro
#   make report       run only the stages that the report needs
#   make showcase     copy the figures that README shows into docs/showcase
#   make prune        delete the outputs of datasets and variants that params.yaml no longer runs;
#                     make prune DRY_RUN=1 lists them
#   make check        style, types, layers and plain language
#   make test         the tests that take seconds
#   make test-slow    the tests that train or run whole pipelines
#   make bench        the measurements of speed; those of correctness take hours and have options
#   make lock         resolve requirements.lock; UPGRADE=--upgrade takes newer versions
#   make clean        remove the environment, caches and drawn pages; data, models and finished jobs stay

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: all repro report showcase prune check test test-slow bench lock clean scm

PYTHON ?= python3
BIN := .venv/bin
PLOTS_PAGE := .dvc/plots_page.html
# No bytecode: Python compiles what is really imported, which is a small part.
LOCKED := --quiet --no-deps --require-hashes -r requirements.lock
STARTED := $(shell date +%s)
CORES = $(shell getconf _NPROCESSORS_ONLN)
DATASETS = $(shell $(BIN)/python -c 'from convnet.params.load import load_params; print(*load_params().run.datasets)' 2>/dev/null)
# Most tests wait for a process of one thread. By file, because the tests of a file share costly fixtures.
TWO_AT_A_TIME := $(BIN)/pytest -n 2 --dist loadfile
# Stage commands say `exec python ...`: they must find this environment's python, and so must tests that start dvc.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export VIRTUAL_ENV := $(CURDIR)/.venv
export DVC_NO_ANALYTICS := 1
# Importing Keras takes half the time from bytecode. A shell may forbid to write it; here it is written.
export PYTHONDONTWRITEBYTECODE :=
export PIP_NO_INPUT := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Only the environment and the plots page: what an editor or a bare `dvc repro` needs.
all: .venv/.stamp $(PLOTS_PAGE)

repro: .venv/.stamp $(PLOTS_PAGE) scm
	$(BIN)/convnet decide --no-report
	-$(if $(word 2,$(DATASETS)),$(MAKE) --jobs=$(CORES) $(DATASETS:%=results-of-%))
	$(BIN)/python -m convnet.pipeline.repro $(STARTED)

# DVC runs one stage at a time; here each dataset has a process, whose lines name it. The last `dvc repro` runs the other stages.
results-of-%:
	exec $(BIN)/dvc --wait-for-lock repro --single-item --glob '*@$*' \
	  > >(trap '' INT; awk '!/^Use .dvc push/ { print "$* | " $$0; fflush() }') 2>&1

report: .venv/.stamp $(PLOTS_PAGE) scm
	$(BIN)/dvc repro report

showcase: report
	for name in accuracy curves_loss robustness; do cp reports/figures/pets/$$name.png docs/showcase/pets/ || exit 1; done

prune: .venv/.stamp scm
	$(BIN)/convnet prune $(if $(DRY_RUN),--dry-run)

check: .venv/.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --quiet tests/pipeline/test_language.py

test: .venv/.stamp scm
	$(TWO_AT_A_TIME) -m "not slow"

test-slow: .venv/.stamp scm
	$(TWO_AT_A_TIME) -m slow

bench: .venv/.stamp
	for script in bench/speed/*.py; do module=$${script%.py}; $(BIN)/python -m "$${module//\//.}" || exit 1; done
	$(BIN)/python -m bench.lib.make_table

# The environment is made once and brought up to date in place, so a changed setting in pyproject.toml costs seconds.
.venv/.stamp: requirements.lock pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "make: $(PYTHON) was not found: install Python 3.11, 3.12 or 3.13, or name one with make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "make: $$("$(PYTHON)" --version) is not supported: name Python 3.11, 3.12 or 3.13 with make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "make: $(PYTHON) cannot make virtual environments: install its venv module (Debian: apt install python3-venv)." >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear .venv
	# The installers first: what comes with Python may need minutes for what a new one does in seconds.
	$(BIN)/python -m pip install --quiet --require-hashes -r <(sed -nE '/^(pip|uv)==/,/[^\]$$/p' requirements.lock)
	# uv is the fast one; pip knows indexes and certificates that only its own settings name. The lock file names everything.
	$(BIN)/uv pip install $(LOCKED) || $(BIN)/python -m pip install --no-compile $(LOCKED)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

# A page for `dvc plots show` that loads nothing from a network. Without it DVC takes its own page.
$(PLOTS_PAGE): .venv/.stamp src/convnet/pipeline/plots_page.py
	$(BIN)/python -m convnet.pipeline.plots_page $@
	$(BIN)/dvc config --local plots.html_template $(notdir $@)

# A source archive has no git history, and DVC refuses to run there without this setting.
scm: .venv/.stamp
	@if [ -e .git ]; then \
	  ! grep -qs no_scm .dvc/config.local || $(BIN)/dvc config --local --unset core.no_scm; \
	elif ! grep -qs no_scm .dvc/config.local; then \
	  $(BIN)/dvc config --local core.no_scm true || exit 1; \
	  echo "make: no git history here: dvc repro, metrics show and plots show work, dvc exp and every dvc ... diff do not." >&2; \
	fi

lock: .venv/.stamp
	$(BIN)/uv pip compile pyproject.toml --extra test --extra export --extra ray --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(UPGRADE) -o requirements.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dvc_plots $(PLOTS_PAGE)
	find $(wildcard src tests stages bench) -name __pycache__ -type d -prune -exec rm -rf {} +
