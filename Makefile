# make run    - the app on http://localhost:8501, with everything it needs
# make demo   - the app as a team uses it, against servers on this machine: no account needed
# make test   - all tests; make test ARGS="tests/core -k fold" runs a part
# make lint   - ruff and mypy
# make format - let ruff format the code and mend what it can
# make bench  - the measurements of docs/speed.md
# make docs   - write the tables of docs/ that come from the code
# make clean  - delete the virtual environment and the tools' caches
VENV    ?= .venv
PYTHON  ?= python3
PY      := $(VENV)/bin/python
PIP     := $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt
TORCH   := $(shell sed -n 's/^torch==//p' requirements.txt)
CPU_WHEELS := https://download.pytorch.org/whl/cpu

.PHONY: run demo test lint format bench docs clean install install-dev
.DELETE_ON_ERROR:

run: install
	@$(PY) -m jobs tag
	@exec $(PY) -m streamlit run streamlit_app.py

demo: install
	@exec $(PY) -m tests.servers team $(MAKE) run

test: install-dev
	$(PY) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: install-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: install-dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: install-dev
	$(PY) -m benchmarks

docs: install
	$(PY) -m docs.tables

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Earmark needs Python 3.11, 3.12 or 3.13; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# On Linux PyPI's torch brings gigabytes of CUDA. Without an NVIDIA GPU PyTorch's own index is tried
# first, once and briefly: its CPU build has 200 MB.
$(VENV)/.installed: requirements.txt constraints.txt | $(VENV)/bin/python
	@echo "Installing what Earmark needs (once, some minutes) ..."
	@[ "$$(uname -s)" != Linux ] || command -v nvidia-smi >/dev/null || \
	  $(PIP) --retries 0 --timeout 8 --no-deps --index-url $(CPU_WHEELS) torch==$(TORCH) 2>/dev/null || true
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(PIP) -r requirements-dev.txt
	@touch $@
