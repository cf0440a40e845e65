# Needs only a Python 3.11 to 3.14; everything else is installed into this folder.
.DEFAULT_GOAL := help
SHELL := /bin/sh
WORKFLOW ?= query
SCENARIO ?= succeeded
EVENT ?=
PORT ?= 0

BIN := .venv/bin
SAM := HOME="$(CURDIR)/.home" SAM_CLI_TELEMETRY=0 PATH="$(CURDIR)/.venv-sam/bin:$(PATH)" .venv-sam/bin/sam
PYTEST := $(BIN)/python -m pytest -q -n 2

WINDOWS := PYTHONPATH=.:functions $(BIN)/python -m commands.windows
STRETCH = --from '$(FROM)' --to '$(TO)' $(if $(WINDOW),--window '$(WINDOW)') $(if $(STACK),--stack '$(STACK)')

.PHONY: help run sql serve gaps backfill test verify check format build deploy lock clean frontier cold-start throughput sweep-cost setup setup-sam

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## run a workflow on the loopback AWS (WORKFLOW=query, sweep, parent or backfill; EVENT=events/run_query.json; SCENARIO=succeeded)
	@PYTHONPATH=.:functions $(BIN)/python -m localaws run --keep .run --workflow '$(WORKFLOW)' --scenario '$(SCENARIO)' $(if $(EVENT),--event '$(EVENT)')

sql: setup ## query what the latest make run has stored (SQL="SELECT label, max(value) FROM results GROUP BY label"; without SQL, a prompt)
	@PYTHONPATH=.:functions $(BIN)/python -m localaws sql --folder .run "$$SQL"

serve: setup ## keep the loopback AWS up, with the stack deployed, until Ctrl-C (PORT=5000)
	@PYTHONPATH=.:functions $(BIN)/python -m localaws serve --port $(PORT)

gaps: setup ## list the windows that are not stored whole, in your account or on make serve (FROM=2026-11-24T00:00:00Z TO=… WINDOW=15 STACK=flowquery)
	@$(WINDOWS) gaps $(STRETCH)

backfill: setup ## sweep those windows (FROM= TO= WINDOW=1440 STACK=flowquery); with DRY_RUN=1 only say how many queries, hours and dollars that takes
	@$(WINDOWS) backfill $(STRETCH) $(if $(DRY_RUN),--dry-run)

test: setup ## run the fast tests
	@$(PYTEST) -m 'not slow'

verify: setup setup-sam ## run the slow tests: the commands as a user runs them, sam build and sam deploy, the reports in a browser
	@mkdir -p .home
	@command -v "$${CHROMIUM:-chromium}" >/dev/null || \
		echo "verify: the reports are not tested, because there is no browser; apt-get install chromium, or set CHROMIUM" >&2
	@$(PYTEST) -rs -m slow

frontier: setup ## measure what polling costs and how soon it sees the end, beside every rival (one minute; draws the chart)
	@$(BIN)/python -m benchmarks.polling_frontier --chart benchmarks/polling_frontier.svg

cold-start: build setup ## measure what a cold start costs, beside plain boto3 (two minutes; needs Python 3.13)
	@$(BIN)/python -m benchmarks.cold_start --rounds 40

throughput: setup ## measure what fetching, storing and querying results costs, beside the loop of a user (four minutes)
	@PYTHONPATH=.:functions $(BIN)/python -m benchmarks.results_throughput

sweep-cost: setup ## measure what many queries cost, beside a Map of loops and Express children (three minutes)
	@$(BIN)/python -m benchmarks.sweep_cost

check: setup setup-sam ## ruff, mypy, the rules of imports, cfn-lint and sam validate
	@mkdir -p .home
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy functions layer localaws commands tests scripts benchmarks
	PYTHONPATH=functions $(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/cfn-lint template.yaml examples/*/template.yaml
	$(SAM) validate --lint --region us-east-1

format: setup ## format the code, and apply what ruff can fix
	$(BIN)/python -m ruff format .
	$(BIN)/python -m ruff check --fix .

build: setup-sam ## sam build (needs Python 3.13)
	@mkdir -p .home
	$(SAM) build

deploy: build ## sam build and sam deploy into your account; asks for the parameters
	SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam deploy --guided

lock: setup ## compile the locks
	scripts/lock

clean: ## remove what the commands made
	rm -rf .venv .venv-sam .aws-sam .home .mypy_cache .ruff_cache .hypothesis .matplotlib .run

setup:
	@scripts/setup .venv requirements/dev.txt

setup-sam:
	@scripts/setup .venv-sam requirements/sam.txt
