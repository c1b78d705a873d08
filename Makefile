# make demo       learn from bouncing digits, predict, show, export
# make test       lint and tests, some twenty minutes on two cores
# make test-fast  for one who edits: the quick ones
# make test-hard  what only long runs show: thousands of damaged files, kills
# make docs       the pages of docs/ and the reference, build/site/index.html
# make clean      remove what these made, the virtual environment included

PYTHON ?= python3.11
VENV ?= .venv
# More for pytest: make test FLAGS="-k sample"
FLAGS ?=
PYTEST = $(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile \
    --no-loadscope-reorder $(FLAGS)

.PHONY: demo test test-fast test-hard docs clean

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

docs: $(VENV)/.installed-docs
	$(VENV)/bin/mkdocs build --strict

# Stamps, so that an environment is made once and again when its list changes.
$(VENV)/.installed-demo: EXTRAS = report,digits
$(VENV)/.installed-test: EXTRAS = test
$(VENV)/.installed-docs: EXTRAS = docs
$(VENV)/.installed-%: setup.cfg constraints.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check \
	    --constraint constraints.txt --editable '.[$(EXTRAS)]'
	touch $@

clean:
	rm -rf $(VENV) runs build *.egg-info
