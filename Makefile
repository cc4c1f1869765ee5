# Each target sets itself up: the first one on a fresh machine makes .venv from requirements.lock. The other Pythons that
# pyproject.toml allows are tested by hand: make fast PYTHON=python3.13 VENV=.venv-3.13
PYTHON ?= python3
VENV ?= .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
ENVIRONMENT := $(VENV)/.complete
# A process for each core, four at most: each has TensorFlow in memory, 1 GB. They take file after file, in order.
SHARED := --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: help repro label cluster compare sweep report test fast test-label-studio mutants bench peers lint lock clean
.DEFAULT_GOAL := help

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

repro: $(ENVIRONMENT)  ## Run the pipeline: whatever is not in the cache yet
	python -m experiments.repository
	python -m stages.check
	dvc repro
	python -m experiments.table

label: $(ENVIRONMENT)  ## With oracle: people, label pictures in the browser; WHO=ana
	python -m stages.check
	dvc repro kmeans
	fewlabels label $(if $(WHO),--who "$(WHO)")

cluster: $(ENVIRONMENT)  ## Start a Dask scheduler, workers and a dashboard on this machine, until Ctrl-C
	python -m stages.cluster

compare: $(ENVIRONMENT)  ## Print the workspace, the last commit and all experiments as one table
	python -m experiments.compare

sweep: $(ENVIRONMENT)  ## Run a sweep of experiments/sweeps.yaml, or the rest of it: NAME=study
	python -m experiments.sweep $(or $(NAME),study)

report: $(ENVIRONMENT)  ## Put all runs together in metrics/results.csv and metrics/report.html
	python -m experiments.report

test: lint  ## Run ruff, mypy and the tests
	pytest -m "not label_studio" $(SHARED)

fast: lint  ## Run ruff, mypy and the tests without DVC, browser and workers, that train no network
	pytest -m "not slow and not label_studio" $(SHARED)

test-label-studio: $(ENVIRONMENT)  ## Push to and pull from a real Label Studio, installed into .venv-label-studio; some minutes
	test -x .venv-label-studio/bin/label-studio || \
		{ $(PYTHON) -m venv .venv-label-studio && .venv-label-studio/bin/pip install --quiet label-studio==1.23.2; }
	pytest -m label_studio tests/labelling/test_label_studio_server.py

mutants: $(ENVIRONMENT)  ## Change the code in 40 places of each module: which do the tests notice? Hours; EACH=10 ONLY=fewlabels.choosing
	python -m benchmarks.mutants $(if $(EACH),--each $(EACH)) $(ONLY)

bench: $(ENVIRONMENT)  ## Time k-means, the classifiers, the pipeline and large piles, some five hours; QUICK=1 for a check
	dvc repro describe
	python -m benchmarks.kmeans $(if $(QUICK),--quick)
	python -m benchmarks.dimensions $(if $(QUICK),--quick)
	python -m benchmarks.neighbours $(if $(QUICK),--quick)
	python -m benchmarks.models $(if $(QUICK),--quick)
	$(if $(QUICK),,python -m benchmarks.other_images)
	$(if $(QUICK),,dvc repro propagate && python -m benchmarks.rounding)
	$(if $(QUICK),,python -m benchmarks.reading)
	$(if $(QUICK),,python -m benchmarks.own_images)
	$(if $(QUICK),,python -m benchmarks.person)
	$(if $(QUICK),,python -m benchmarks.pipeline 650034f HEAD 650034f HEAD)
	$(if $(QUICK),,python -m benchmarks.one_budget)
	$(if $(QUICK),,python -m benchmarks.growth)
	$(if $(QUICK),,python -m benchmarks.scale)
	$(if $(QUICK),,python -m benchmarks.pipeline_on_pile)

peers: $(ENVIRONMENT)  ## Compare with what a user would pick instead, some 20 minutes, needs a C++ compiler; QUICK=1 for a check
	pip install --quiet --require-hashes --no-build-isolation --requirement requirements-peers.lock
	dvc repro describe
	python -m benchmarks.peers $(if $(QUICK),--quick)

lint: $(ENVIRONMENT)
	ruff check .
	ruff format --check .
	mypy

lock: $(ENVIRONMENT)  ## Pin every dependency of pyproject.toml anew in requirements.lock and requirements-peers.lock
	pip install --quiet uv
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --upgrade --quiet --output-file requirements.lock
	uv pip compile pyproject.toml --extra peers --universal --python-version 3.11 --constraint requirements.lock \
		--generate-hashes --no-emit-index-url --upgrade --quiet --output-file requirements-peers.lock

clean:  ## Remove the environments (the data stays in DVC's cache)
	rm -rf .venv .venv-*

$(ENVIRONMENT): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --require-hashes --requirement requirements.lock
	$(VENV)/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@
