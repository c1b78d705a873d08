# make demo    learn from bouncing digits, predict, show, export
# make test    lint and tests
# make docs    the pages of docs/ and the reference, build/site/index.html
# make clean   remove what these made, the virtual environment included

PYTHON ?= python3.11
VENV ?= .venv
# XLA keeps what it has compiled until a process ends: the tests that compile
# most have processes of their own.
COMPILED = tests/conformance tests/layers tests/models
PYTEST = $(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile

.PHONY: demo test docs clean

demo: $(VENV)/.installed-demo
	$(VENV)/bin/video-repr pretrain demo --run runs/demo --resume
	$(VENV)/bin/video-repr export runs/demo --output saved_models/demo/1

test: $(VENV)/.installed-test
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(PYTEST) $(COMPILED)
	$(PYTEST) $(COMPILED:%=--ignore=%)

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
