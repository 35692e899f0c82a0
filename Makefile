# Every target sets up what it needs in .venv, once; `make` alone lists them.
# PYTHON chooses the interpreter, ARGS is passed on: make serve ARGS="--bind 127.0.0.1:0"

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CODE := procserver loadtest tests benchmarks examples

.PHONY: help serve test check loadtest stress bench clean
.NOTPARALLEL:

help:
	@echo 'make TARGET [ARGS="..."]'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 12

serve: $(VENV)/.ok-core ## serve the greeting on 127.0.0.1:9999, each connection shown
	@exec $(BIN)/procserver serve --access-log - $(ARGS)

test: $(VENV)/.ok-dev ## run the tests
	@exec $(BIN)/python -m pytest -n 4 --dist worksteal $(ARGS)

check: $(VENV)/.ok-dev ## lint, formatting, types, and the layers of the code
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-logo

loadtest: $(VENV)/.ok-loadtest ## start a server, load it with Locust, leave a folder of results
	@exec $(BIN)/python -m loadtest run $(if $(filter --serve% --host%,$(ARGS)),,--serve "") $(ARGS)

stress: $(VENV)/.ok-dev ## do everything to servers that may not lose a connection, for minutes, and count
	@exec $(BIN)/python -m tests.stress $(ARGS)

bench: $(VENV)/.ok-dev ## measure against the bounds that docs/performance.md states, as ratios
	@exec $(BIN)/python -m benchmarks $(ARGS)

clean: ## remove .venv, caches and builds; results/ stays
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*
	find $(CODE) -name __pycache__ -prune -exec rm -rf {} +

# One stamp per extra of pyproject.toml; `core` is the project without any.
$(VENV)/.ok-%: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo '$(PYTHON) is missing or older than Python 3.11; choose another: make PYTHON=...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo '$(PYTHON) lacks its venv module (Debian: apt-get install python3-venv)' >&2; exit 1; }
	@echo 'setting up $(VENV) for "$*" (once, and again when pyproject.toml or requirements.lock change)'
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c requirements.lock \
	    -e '.$(if $(filter-out core,$*),[$*])'
	@touch $@
