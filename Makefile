# tributary: `make help` tells what there is. Everything is installed into .venv, .tools, .build and node_modules; elsewhere only the
# package managers' caches grow.
SHELL := /bin/bash
.DEFAULT_GOAL := help
ENV ?= dev

PYTHON := $(shell for p in python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1 && command -v "$$p" && break; done)
BIN := .venv/bin
CDK := node_modules/.bin/cdk
READY := .venv/ready
LOCKS := $(wildcard requirements/*.txt requirements/*.sha256 requirements/*.xml)

# Every client trusts what the machine trusts, a company's own root certificate included.
SYSTEM_CERTIFICATES := $(wildcard /etc/ssl/certs/ca-certificates.crt)
export UV_SYSTEM_CERTS := 1
ifneq ($(SYSTEM_CERTIFICATES),)
export PIP_CERT ?= $(SYSTEM_CERTIFICATES)
export NODE_EXTRA_CA_CERTS ?= $(SYSTEM_CERTIFICATES)
endif
# Node 22 or 24: the machine's own, else the one of requirements/node.txt.
export PATH := $(CURDIR)/.tools/node/bin:$(PATH)

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY) ## install everything that the rest needs (Python packages, Node, a JDK 17, Spark's jars)

$(READY): $(LOCKS) package-lock.json pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 is needed and was not found on PATH" >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@echo "installing Python packages (about 2 minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --python $(BIN)/python -r requirements/dev.txt
	@$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	@echo "looking for Node 22 or 24 ..."
	@if ! node -e 'process.exit([22, 24].includes(+process.versions.node.split(".")[0]) ? 0 : 1)' 2>/dev/null; then \
		$(BIN)/uv venv --quiet --clear --python $(BIN)/python .tools/node && \
		$(BIN)/uv pip install --quiet --require-hashes --python .tools/node/bin/python -r requirements/node.txt; fi
	@npm ci --silent --no-fund --no-audit
	@echo "preparing Spark (about a minute the first time) ..."
	@$(BIN)/python -m local.toolchain
	@echo "building packages of Lambdas and jobs ..."
	@$(BIN)/python -m stacks.packages >/dev/null
	@touch $@

demo: setup ## from nothing to an answered question: laptop cloud, every source, SQL
	@$(BIN)/lake up
	@$(BIN)/lake run boston311
	@$(BIN)/lake run coins
	@$(BIN)/lake status
	@$(BIN)/lake query "SELECT neighborhood, count(*) AS late, round(approx_percentile(delay_days, 0.5), 2) AS median_delay_days FROM gold.case_delays GROUP BY neighborhood HAVING count(*) >= 50 ORDER BY median_delay_days DESC, neighborhood LIMIT 10"

check: setup ## style and types
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet . && $(BIN)/mypy

test: check ## everything that continuous integration checks
	@$(BIN)/pytest -q -n 2 tests/unit tests/infra
	@$(BIN)/pytest -q tests/local --ignore tests/local/test_end_to_end.py
	@$(BIN)/pytest -q tests/local/test_end_to_end.py # apart: it kills the cloud that the Spark tests keep connections to

# Where an environment lives is its setting, not whatever region the profile names.
IN_REGION = AWS_REGION=$$($(BIN)/python -c 'from lake.settings import load; print(load("$(ENV)").region)') && \
	export AWS_REGION AWS_DEFAULT_REGION=$$AWS_REGION

# The second of the two keys that let a stack delete data; the first is the environment's allow_destroy.
DESTROY := $(if $(filter true,$(DESTROY_DATA)),--context destroy=true)

synth: setup ## the templates of ENV (default dev) into cdk.out; needs no account and no network
	@$(CDK) synth --quiet --context env=$(ENV) >/dev/null
	@echo 'the templates are in cdk.out'

bootstrap: setup ## prepare the AWS account you are signed in to for deployments; once
	@$(IN_REGION) && $(CDK) bootstrap --context env=$(ENV)

deploy: setup ## deploy every stack of ENV to the AWS account you are signed in to
	@$(IN_REGION) && $(CDK) deploy --all --context env=$(ENV) $(DESTROY)

destroy: setup ## remove the stacks of ENV; data stays unless DESTROY_DATA=true and the settings allow it
	@$(IN_REGION) && $(CDK) destroy --all --context env=$(ENV) $(DESTROY)

docs: setup ## write anew the pages that are made from the code (docs/fidelity.md)
	@for env in local everything; do $(CDK) synth --quiet --context env=$$env --output .build/assembly-$$env >/dev/null 2>&1 || exit 1; done
	@$(BIN)/python -m cli.fidelity .build/assembly-local .build/assembly-everything

bench: setup ## measures, side by side with what one would otherwise pick
	@$(BIN)/python -m bench

clean: ## stop the laptop cloud and remove everything that was installed or built
	@if [ -x $(BIN)/lake ]; then $(BIN)/lake down --wipe --yes; fi
	@rm -rf .venv .tools .build node_modules cdk.out build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: help setup demo check test synth bootstrap deploy destroy docs bench clean
