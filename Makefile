# make demo       learn from bouncing digits, predict, show, export
# make test       lint and tests, some seventeen minutes on two cores
# make test-fast  for one who edits: the quick ones
# make test-hard  what only long runs show: thousands of damaged files, kills
# make test-oldest  the oldest TensorFlow, and what goes with it: the wheel
# make wheel      the package to install elsewhere, in dist/
# make docs       the pages of docs/ and the reference, build/site/index.html
# make clean      remove what these made, the virtual environments included

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

# The wheel is tested, not this folder: `pytest`, unlike `python -m pytest`,
# does not look for packages here. Other files' tests need other extras.
test-oldest: wheel $(OLDEST_VENV)/bin/python
	$(OLDEST_VENV)/bin/pip uninstall $(PIP_FLAGS) --yes video_repr
	$(OLDEST_VENV)/bin/pip install $(PIP_FLAGS) \
	    --constraint constraints-oldest.txt "$$(ls dist/*.whl)[oldest]"
	$(OLDEST_VENV)/bin/pytest $(PYTEST_FLAGS) -m oldest \
	    $$(grep -rl --include='*.py' mark.oldest tests)

# setuptools puts in whatever older builds have left.
wheel: $(VENV)/bin/python
	rm -rf build/lib dist
	$(VENV)/bin/pip wheel $(PIP_FLAGS) --no-deps --wheel-dir dist .

docs: $(VENV)/.installed-docs
	$(VENV)/bin/mkdocs build --strict

# Stamps, so that an environment is made once and again when its list changes.
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
