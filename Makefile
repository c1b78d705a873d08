# make demo       learn from bouncing digits, predict, show, export
# make test       lint and tests, 13 to 16 minutes on two cores
# make test-fast  the quick tests, for use while you edit
# make test-hard  long tests: thousands of damaged files, killed processes
# make test-oldest  the wheel with the oldest TensorFlow and its packages
# make wheel      dist/*.whl, to install the package elsewhere
# make docs       docs/ and the reference as a site, build/site/index.html
# make clean      remove what these made, also the virtual environments

PYTHON ?= python3.11
VENV ?= .venv
OLDEST_VENV ?= .venv-oldest
# More for pytest: make test FLAGS="-k sample"
FLAGS ?=
PYTEST_FLAGS = --numprocesses 2 --dist loadfile --no-loadscope-reorder $(FLAGS)
PYTEST = $(VENV)/bin/python -m pytest $(PYTEST_FLAGS)
PIP_FLAGS = --quiet --disable-pip-version-check

.PHONY: demo test test-fast test-hard test-oldest wheel docs clean

demo: $(VENV)/.installed-demo
	$(VENV)/bin/video-repr pretrain demo --run runs/demo --resume
	$(VENV)/bin/video-repr export runs/demo --output saved_models/demo/1

test: $(VENV)/.installed-test
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(PYTEST) -m "not hard"

test-fast: $(VENV)/.installed-test
	$(PYTEST) -m "not hard and not slow"

test-hard: $(VENV)/.installed-test
	$(PYTEST) -m hard

# This tests the wheel, not this folder: `pytest`, unlike `python -m pytest`,
# does not look for packages here. The tests of other files need other extras.
test-oldest: wheel $(OLDEST_VENV)/bin/python
	$(OLDEST_VENV)/bin/pip uninstall $(PIP_FLAGS) --yes video_repr
	$(OLDEST_VENV)/bin/pip install $(PIP_FLAGS) \
	    --constraint constraints-oldest.txt "$$(ls dist/*.whl)[oldest]"
	$(OLDEST_VENV)/bin/pytest $(PYTEST_FLAGS) -m oldest \
	    $$(grep -rl --include='*.py' mark.oldest tests)

# Removed first, as setuptools adds what older builds have left there.
wheel: $(VENV)/bin/python
	rm -rf build/lib dist
	$(VENV)/bin/pip wheel $(PIP_FLAGS) --no-deps --wheel-dir dist .

docs: $(VENV)/.installed-docs
	$(VENV)/bin/mkdocs build --strict

# Stamp files: an environment is made once, and again when its list changes.
$(VENV)/.installed-demo: EXTRAS = report,digits
$(VENV)/.installed-test: EXTRAS = test
$(VENV)/.installed-docs: EXTRAS = docs
$(VENV)/.installed-%: setup.cfg constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/pip install $(PIP_FLAGS) \
	    --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

$(VENV)/bin/python $(OLDEST_VENV)/bin/python: %/bin/python:
	$(PYTHON) -m venv $*

clean:
	rm -rf $(VENV) $(OLDEST_VENV) runs build dist *.egg-info
