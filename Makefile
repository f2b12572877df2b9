# make demo   install, simulate a cohort, run both levels, say where the reports are
# make docs   install with Sphinx, build the documentation's site into docs/_build; a warning is an error
# make test   install with the test extras, then style, types and the whole test suite
# make coverage   install with the test extras, then the whole test suite, and which branches of the package it takes
# make mutants    install with mutmut, then its small errors in what numbers rest on, which the tests must find: hours
# make faults install with the test extras, then all that is tried to break the program, and its table in
#             docs/reliability.md: an hour
# make test-container   build the container image and run it: needs Docker, or root on Debian
# Everything is installed into $(VENV) with the exact versions that were tested (constraints.txt).

PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
TEST_PROCESSES ?= 2
DEMO_SUBJECTS ?= 8
DEMO_EPOCHS ?= 7
# Small and quick; for real data the defaults are those of the article.
DEMO_OPTIONS ?= --preset demo

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: coverage demo demo-data demo-participant demo-group docs faults install install-test mutants test test-container lint boutiques usage clean

install: $(VENV)/.installed
install-test: $(VENV)/.installed-test

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@ $(VENV)/.installed

demo: demo-data demo-participant demo-group
	@echo
	@echo "Simulated images: these numbers prove the machinery, not clinical value."
	@echo "group report:       $(abspath $(DEMO))/out/group.html"
	@echo "a subject's report: $(abspath $(DEMO))/out/sub-01.html"

demo-data: $(DEMO)/data/dataset_description.json

$(DEMO)/data/dataset_description.json: | $(VENV)/.installed
	mkdir -p $(DEMO)
	$(BIN)/bids_spectsynth-phantom $(DEMO)/data -n $(DEMO_SUBJECTS) --size small --seed 1

demo-participant: demo-data
	$(BIN)/bids_spectsynth $(DEMO)/data $(DEMO)/out participant $(DEMO_OPTIONS) --epochs $(DEMO_EPOCHS)

demo-group: demo-participant
	$(BIN)/bids_spectsynth $(DEMO)/data $(DEMO)/out group

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/bandit --quiet --recursive --severity-level medium --configfile pyproject.toml bids_spectsynth

# A file of tests stays with one process, and each process with one thread.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

coverage: install-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --cov --cov-report=term:skip-covered
	$(BIN)/coverage json -q -o - | $(BIN)/python -c 'import json, sys; \
	  of = json.load(sys.stdin)["totals"]["percent_branches_covered"]; \
	  print(f"branches alone: {of:.1f} %"); sys.exit(of < 90)'

mutants: $(VENV)/.installed-mutants
	$(BIN)/python benchmarks/mutants.py docs/mutants_survived.md

$(VENV)/.installed-mutants: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable ".[mutants]"
	touch $@ $(VENV)/.installed-test $(VENV)/.installed

faults: install-test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "faults or not faults" -n $(TEST_PROCESSES) --dist loadfile \
		--faults-table docs/reliability.md tests/faults

test-container: install-test
	$(BIN)/python -m pytest -m container tests/container

docs: install-test
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build

boutiques: install
	$(BIN)/python -m bids_spectsynth.app.boutiques > boutiques.json.new
	mv boutiques.json.new boutiques.json

usage: install
	$(BIN)/python -m bids_spectsynth.app.usage docs/usage.md

clean:
	rm -rf $(DEMO) build docs/_build *.egg-info
