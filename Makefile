# Every verb of the project. `make` alone lists them; each makes the virtual environment it needs.
PYTHON ?= python3
VENV   ?= .venv
PY     := $(VENV)/bin/python
READY  := $(VENV)/.ready
export PYTHONDONTWRITEBYTECODE := 1
.DEFAULT_GOAL := help

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(READY): requirements/dev.txt
	@sh tools/venv.sh "$(PYTHON)" "$(VENV)" requirements/dev.txt
	@touch $@

venv: $(READY) ## make the virtual environment and install the locked dependencies

demo: $(READY) ## run everything: broker, database, six services, simulated providers and agents [FOR=30s] [RATE=20]
	@$(PY) -m deploy.demo $(if $(FOR),--for $(FOR)) $(if $(RATE),--rate $(RATE)) $(ARGS)

test: $(READY) ## all tests, on a real broker and a real database [ARGS='-k …']
	@$(PY) -m pytest $(ARGS)

check: $(READY) ## formatting, lint, types, walls, sizes, pages that are generated
	@$(VENV)/bin/ruff format --check -q . && $(VENV)/bin/ruff check -q .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports --no-cache
	@$(PY) -m tools.sizes
	@$(PY) -m tools.topics_page --check

bench: $(READY) ## the chain beside a floor of the same hops [ARGS='--rates 50,200']
	@$(PY) -m bench $(ARGS)

bench-matching: $(READY) ## decisions in a pool of ten thousand agents, and its rebuilding [ARGS='--waiting 10000']
	@$(PY) -m bench.matching $(ARGS)

bench-sla: $(READY) ## a million open SLA clocks: restart, lateness of firings, changes [ARGS='--clocks 50000']
	@$(PY) -m bench.sla $(ARGS)

bench-routing: $(READY) ## routing policies on the same simulated days [SEEDS=1-30] [WORLDS=S1,S2-flat] [ARGS='--policies lia_tuned,slack']
	@$(PY) -m bench.routing $(if $(SEEDS),--seeds $(SEEDS)) $(if $(WORLDS),--worlds $(WORLDS)) $(ARGS)

record: $(READY) ## record a running system's topics [OUT=folder] [ARGS='--for 10m'], with SAMBUNG_KAFKA and SAMBUNG_WORKSPACE
	@$(PY) -m libs.flow.record --out "$(or $(OUT),.sambung/recording)" $(ARGS)

replay: $(READY) ## decisions of a recording made again [TOPICS=folder] [POLICY=workspace.yaml]
	@$(PY) -m services.router.replay "$(or $(TOPICS),tests/fixtures/recorded/demo)" $(if $(POLICY),--policy "$(POLICY)") $(ARGS)

dryrun: $(READY) ## SLA clocks of a recording made again [TOPICS=folder], or under other policies [POLICY=workspace.yaml]
	@$(PY) -m services.sla.dryrun $(if $(SINCE),--since "$(SINCE)","$(or $(TOPICS),tests/fixtures/recorded/sla)") $(if $(POLICY),--policy "$(POLICY)") $(ARGS)

chaos: $(READY) ## kill processes, broker and database under load, then count the promises [KILLS=100]
	@$(PY) -m tests.chaos --kills $(or $(KILLS),100) $(ARGS)

dead: $(READY) ## dead letters: ARGS='list | show router:1 | replay router:1 | drop router:1'
	@$(PY) -m libs.flow.dead $(or $(ARGS),--help)

docs: $(READY) ## write the pages that are generated
	@$(PY) -m tools.topics_page

up: $(READY) ## only the broker and the database, with the lines to export
	@$(PY) -m deploy.local up --keep

run-%: $(READY)
	@$(PY) -m services.$*

lock: $(READY) ## refresh the locked dependencies from requirements/*.in
	cd requirements && for f in run dev; do \
	  ../$(VENV)/bin/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header -o $$f.txt $$f.in; done

clean: ## remove the virtual environment, caches and local data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .sambung

.PHONY: help demo test check bench bench-matching bench-routing bench-sla record replay dryrun chaos dead docs up venv lock clean
