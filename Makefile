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

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## run a workflow on the loopback AWS (WORKFLOW=query, sweep, parent or backfill; EVENT=events/run_query.json SCENARIO=succeeded)
	@PYTHONPATH=.:functions $(BIN)/python -m localaws run --keep .run --workflow '$(WORKFLOW)' --scenario '$(SCENARIO)' $(if $(EVENT),--event '$(EVENT)')

sql: setup ## query the results that the latest make run stored (SQL="SELECT label, max(value) FROM results GROUP BY label"; else a prompt)
	@PYTHONPATH=.:functions $(BIN)/python -m localaws sql --folder .run "$$SQL"

serve: setup ## leave the loopback AWS up with the stack deployed, until Ctrl-C (PORT=5000)
	@PYTHONPATH=.:functions $(BIN)/python -m localaws serve --port $(PORT)

gaps: setup ## the windows that are not stored whole, in your account or where make serve says (FROM=2026-11-24T00:00:00Z TO=… WINDOW=15 STACK=flowquery)
	@$(WINDOWS) gaps $(STRETCH)

backfill: setup ## sweep those windows (FROM= TO= WINDOW=1440 STACK=flowquery); DRY_RUN=1 says what it takes in queries, hours and dollars
	@$(WINDOWS) backfill $(STRETCH) $(if $(DRY_RUN),--dry-run)

test: setup ## the fast tests
	@$(PYTEST) -m 'not slow'

verify: setup setup-sam ## what takes longer: the commands as a user runs them, sam build and deploy, the report in a browser
	@mkdir -p .home
	@command -v "$${CHROMIUM:-chromium}" >/dev/null || \
		echo "verify: no browser, so the report is not tested; apt-get install chromium, or set CHROMIUM" >&2
	@$(PYTEST) -rs -m slow

frontier: setup ## what polling costs and how soon it sees the end, beside every rival (a minute; draws the chart anew)
	@$(BIN)/python -m benchmarks.polling_frontier --chart benchmarks/polling_frontier.svg

cold-start: build setup ## what starting costs, beside plain boto3 (two minutes; needs Python 3.13)
	@$(BIN)/python -m benchmarks.cold_start --rounds 40

throughput: setup ## what fetching and storing results costs, beside the loop of a user, and querying a year of them (four minutes)
	@PYTHONPATH=.:functions $(BIN)/python -m benchmarks.results_throughput

sweep-cost: setup ## what many queries cost, beside a Map of loops and Express children (three minutes)
	@$(BIN)/python -m benchmarks.sweep_cost

check: setup setup-sam ## ruff, mypy, the rules of imports, cfn-lint and sam validate
	@mkdir -p .home
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy functions layer localaws commands tests scripts benchmarks
	PYTHONPATH=functions $(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/cfn-lint template.yaml examples/*/template.yaml
	$(SAM) validate --lint --region us-east-1

format: setup ## put the code into its form
	$(BIN)/python -m ruff format .
	$(BIN)/python -m ruff check --fix .

build: setup-sam ## sam build, which needs Python 3.13
	@mkdir -p .home
	$(SAM) build

deploy: build ## sam build and sam deploy into your account (asks for the parameters)
	SAM_CLI_TELEMETRY=0 .venv-sam/bin/sam deploy --guided

lock: setup ## compile the locks anew
	scripts/lock

clean: ## remove what the commands made
	rm -rf .venv .venv-sam .aws-sam .home .mypy_cache .ruff_cache .hypothesis .matplotlib .run

setup:
	@scripts/setup .venv requirements/dev.txt

setup-sam:
	@scripts/setup .venv-sam requirements/sam.txt
