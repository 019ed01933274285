# Everything runs from `.venv`, which the first target that needs it sets up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
# What Triton itself loads imports its neighbours by their bare names: checked where it lies.
LOADED := server/src/geulpi_server/backends/onnxruntime conversion/src/geulpi_conversion/_backend \
          models/src/geulpi_models/_backend
ROOMS := analysis client conversion models perf server
PROJECTS := pyproject.toml $(ROOMS:%=%/pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help setup serve test coverage lint fmt models lock perf analyzer clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv (the other targets do it when needed)

$(STAMP): requirements.lock scripts/bootstrap.py scripts/uv.txt $(PROJECTS)
	@command -v $(PYTHON) >/dev/null || { echo "setup: $(PYTHON) not found; Python >= 3.11 is needed (make PYTHON=/path/to/python3 …)"; exit 1; }
	@$(PYTHON) scripts/bootstrap.py
	@touch $@

serve: $(STAMP) ## start Triton and Valkey with the models, until Ctrl-C
	@exec $(BIN)/geulpi serve

test: $(STAMP) ## run every test, on real servers
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest  # threads that wait for each other on few cores cost minutes

coverage: $(STAMP) ## convert and serve every estimator and many pipelines; write docs/coverage.md
	@PYTHONPATH=tests $(BIN)/python -m breadth

lint: $(STAMP) ## check style and types
	@$(BIN)/ruff check --quiet
	@$(BIN)/python scripts/twin.py --check
	@$(BIN)/ruff format --quiet --check || { echo "run: make fmt"; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@for folder in $(LOADED); do (cd $$folder && $(CURDIR)/$(BIN)/mypy --strict --ignore-missing-imports --explicit-package-bases --no-error-summary --config-file= model.py) || exit 1; done

fmt: $(STAMP) ## format the code, mend what can be mended, write the client's threaded twin
	@$(BIN)/ruff check --quiet --fix --exit-zero
	@$(BIN)/ruff format --quiet
	@$(BIN)/python scripts/twin.py

models: $(STAMP) ## train, convert and publish the calendar models
	@$(BIN)/geulpi build

perf: $(STAMP) ## measure the figures of the README anew, into perf/results (7 minutes)
	@$(BIN)/geulpi load --preset seed --duration 30 --output perf/results/seed
	@$(BIN)/geulpi compare --output perf/results

analyzer: $(STAMP) ## set up Triton's perf_analyzer without root, and print where it is
	@$(BIN)/python -m geulpi_perf._perf_analyzer

lock: ## write requirements.lock anew from the pyproject files
	@.tools/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --no-header --all-extras --group dev pyproject.toml \
	  $(ROOMS:%=--no-emit-package geulpi-%) --no-emit-package geulpi -o requirements.lock

clean: ## remove what the set-up made
	rm -rf $(VENV) .tools .pytest_cache .mypy_cache .ruff_cache
