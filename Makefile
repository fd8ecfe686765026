# Every verb of the project. `make` alone lists them; each makes the virtual environment it needs.
PYTHON ?= python3
VENV   ?= .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.ready
export PYTHONDONTWRITEBYTECODE := 1
.DEFAULT_GOAL := help

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(READY): requirements/dev.txt
	@sh tools/venv.sh "$(PYTHON)" "$(VENV)" requirements/dev.txt
	@touch $@

venv: $(READY) ## make the virtual environment and install the locked dependencies

lock: $(READY) ## refresh the locked dependencies from requirements/*.in
	cd requirements && for f in run dev; do \
	  ../$(VENV)/bin/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header -o $$f.txt $$f.in; done

clean: ## remove the virtual environment, caches and local data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .sambung

.PHONY: help venv lock clean
