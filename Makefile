# make run   - the app, with everything it needs, on http://localhost:8501
# make test  - all tests        make lint  - ruff and types
# make bench - measured comparisons        make clean - forget the virtual environment
VENV    ?= .venv
PYTHON  ?= python3
PY      := $(VENV)/bin/python
TORCH   := $(shell sed -n 's/^torch==//p' requirements.txt)
CPU_WHEELS := https://download.pytorch.org/whl/cpu

.PHONY: run test lint bench clean install install-dev
.DELETE_ON_ERROR:

run: install
	@$(PY) -m jobs.tagging
	@exec $(PY) -m streamlit run streamlit_app.py

test: install-dev
	$(PY) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

lint: install-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

bench: install-dev
	$(PY) -m benchmarks

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Earmark needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# On Linux without an NVIDIA GPU PyTorch's own index has a build of 200 MB; PyPI's brings gigabytes of CUDA. One quick try.
$(VENV)/.installed: requirements.txt | $(VENV)/bin/python
	@echo "Installing what Earmark needs (once, some minutes) ..."
	@if [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null && ! $(PY) -c 'import importlib.metadata as m, sys; sys.exit(m.version("torch").split("+")[0] != "$(TORCH)")' 2>/dev/null; then \
	  $(PY) -m pip install --quiet --disable-pip-version-check --retries 0 --timeout 8 --index-url $(CPU_WHEELS) torch==$(TORCH) 2>/dev/null \
	  || $(PY) -m pip install --quiet --disable-pip-version-check torch==$(TORCH); fi
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

clean:
	rm -rf $(VENV)
