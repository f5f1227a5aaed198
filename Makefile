# `make study` and `make test` work on a fresh machine with Python 3.11 or newer, make and git. `make help` lists the rest.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
PYTEST_ARGS ?=

# The first words of every command that needs the environment. Jobs of the workflow call plain `python`, hence the PATH;
# `python -m` instead of the installed scripts, because those stop working when the checkout is moved.
bin := $(if $(filter /%,$(VENV)),,$(CURDIR)/)$(VENV)/bin
run := PATH="$(bin):$$PATH" "$(bin)/python" -m

.DEFAULT_GOAL := help
.PHONY: help study test environment lint types pytest format docs notebook site lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "  PYTHON=python3.12 names the interpreter that .venv is made with, WORKERS=8 the processes that run the tests,"
	@echo "  PYTEST_ARGS='tests/methods -k byol' the tests that are run."

study: $(VENV)/.run ## reproduce the default study: tables, figures and one page of all results under results/
	@LONGTAIL_COMMAND='make $@' $(run) snakemake --cores all
	@$(run) snakemake --report results/report.html
	@echo
	@echo "The tables:"
	@find results -path '*/tables/*' -name '*.md' | sort | sed 's/^/  /'
	@echo "Snakemake's report, with the provenance of every file:"
	@echo "  results/report.html"
	@echo "All results, to be opened in a browser:"
	@printf '  ' && $(run) longtail page

test: environment lint types pytest ## everything that must pass before a change is merged

environment: $(VENV)/.dev ## create or refresh .venv with all that the checks need

lint: $(VENV)/.dev ## style of the Python and Snakemake code
	@echo "== lint"
	$(run) ruff check .
	$(run) ruff format --check .
	$(run) snakefmt --check Snakefile workflow/rules
	$(run) snakemake --lint

types: $(VENV)/.dev ## type hints
	@echo "== types"
	$(run) mypy

pytest: $(VENV)/.dev ## tests
	@echo "== pytest"
	OMP_NUM_THREADS=1 $(run) pytest -n $(WORKERS) $(PYTEST_ARGS)

format: $(VENV)/.dev ## rewrite the code in the project's style
	$(run) ruff check --fix .
	$(run) ruff format .
	$(run) snakefmt Snakefile workflow/rules

docs: $(VENV)/.run ## write the pages under docs/ that catalogue, schemas and records make again
	$(run) longtail reference --out docs
	$(run) longtail recorded --page docs/reproduction

notebook: $(VENV)/.dev ## execute docs/notebook.ipynb anew
	$(run) docs.execute

site: $(VENV)/.dev ## build the documentation's site, to be opened as site/index.html
	NO_MKDOCS_2_WARNING=1 $(run) mkdocs build --strict

# Versions that are pinned already stay, unless `make lock UPGRADE=--upgrade` asks for the newest. One lock holds for
# every Python from 3.11 on and every system: what only one of them needs carries a marker.
lock: $(VENV)/.created ## resolve requirements/*.in into the pinned requirements/*.txt
	$(run) pip install --quiet --requirement requirements/lock.txt
	cd requirements && for name in run dev; do \
	  UV_CUSTOM_COMPILE_COMMAND='make lock' $(run) uv --quiet pip compile $(UPGRADE) --universal --fork-strategy fewest --python-version 3.11 \
	    --annotation-style line $$name.in --output-file $$name.txt || exit 1; \
	done

clean: ## remove .venv and the caches of the tools, never a result
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis

# The stamps are touched last, so an interrupted installation starts again. Each waits for the one before it: two
# installations at once in one environment would break it.
$(VENV)/.created:
	@echo "== environment"
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, and '$(PYTHON)' is not: $$("$(PYTHON)" --version 2>&1)." >&2; \
	  echo "Name another interpreter: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@"$(PYTHON)" -m venv "$(VENV)" || { \
	  echo "'$(PYTHON) -m venv' failed. Debian and Ubuntu keep it in a package of its own: apt install python3-venv" >&2; \
	  exit 1; }
	@touch $@

$(VENV)/.packages: requirements/run.txt $(VENV)/.created
	"$(bin)/python" -m pip install --disable-pip-version-check --quiet --requirement $<
	@touch $@

# In the activated environment `longtail` is a command and a package in any folder. What points to the checkout is made
# relative, so that both may be moved, or copied, together.
$(VENV)/.run: pyproject.toml workflow/longtail/__init__.py $(VENV)/.packages
	"$(bin)/python" -m pip install --disable-pip-version-check --quiet --no-deps --editable .
	@"$(bin)/python" -c 'import os, pathlib, sysconfig; \
	  packages = pathlib.Path(sysconfig.get_path("purelib")).resolve(); \
	  (packages / "_longtail.pth").write_text(os.path.relpath("workflow", packages) + "\n")'
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	"$(bin)/python" -m pip install --disable-pip-version-check --quiet --requirement $<
	@touch $@
