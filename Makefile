# The two commands: `make sweep` and `make test`. Both set up .venv first, and leave a finished one alone.
.DEFAULT_GOAL := help
.PHONY: help sweep test test-slow browser lora lint bench lock clean

PYTHON ?= python3
BIN := .venv/bin
DONE := .venv/.finished
RUN := $(BIN)/python

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

sweep: $(DONE)  ## two optimizers × two inits on real data: the first sweep
	$(RUN) src/train.py -m optimizer=adam,adamw init=xavier,he

test: $(DONE)  ## the tests
	$(RUN) -m pytest -n 2 --dist loadfile -m "not slow and not lora"

test-slow: $(DONE)  ## the tests that take long
	-@$(MAKE) --no-print-directory browser
	$(RUN) -m pytest -n 2 --dist worksteal -m "slow and not lora"
	@$(MAKE) --no-print-directory lora
	$(RUN) -m pytest -m lora

browser:  ## a Chromium, in which the report's page is tested (Debian's; elsewhere any Chrome will do)
	@if command -v chromedriver >/dev/null; then :; \
	elif ! command -v apt-get >/dev/null; then \
	  echo "no chromedriver, and no apt-get to install one: install Chrome or Chromium with it" >&2; exit 1; \
	else \
	  sudo=; [ "$$(id -u)" = 0 ] || sudo="sudo -n"; \
	  $$sudo apt-get update -qq && $$sudo apt-get install -y -qq chromium chromium-driver; \
	fi

lora: $(DONE)  ## peft, which finetune=lora needs; it brings transformers, which slows every start
	$(RUN) -m pip install --quiet --constraint requirements.lock --editable '.[lora]'

lint: $(DONE)  ## format, style and types
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

bench: $(DONE)  ## milliseconds a step over a bare PyTorch loop
	$(RUN) scripts/bench.py overhead

# The stamp is written last, so that an interrupted installation is taken up again.
$(DONE): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "theta0 needs Python 3.11 or newer, and $(PYTHON) is older: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --constraint requirements.lock --editable '.[cluster,dev]'
	@touch $@

lock:  ## requirements.lock anew, from the newest versions that pyproject.toml allows
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet '.[cluster,dev,lora]'
	.venv-lock/bin/pip freeze --exclude theta0 > requirements.lock
	rm -rf .venv-lock

clean:  ## remove the environment and caches; logs/ and data/ stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache src/*.egg-info
