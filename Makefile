# Two commands set up everything they need, in a virtual environment of their own (.venv):
#   make demo    trains LeNet on built-in digits
#   make test    runs the tests
# Others: make lint, make bench, make bench-compare, make clean.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# Nets as small as the tests' gain nothing from more threads, and lose on a machine that does other work.
test: export OPENBLAS_NUM_THREADS ?= 1
test: export OMP_NUM_THREADS ?= 1

.PHONY: demo test lint bench bench-compare clean

demo: $(VENV)/.package
	$(BIN)/pycaffe-lite demo

test: $(VENV)/.test
	$(BIN)/python -m pytest

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/layers_table.py --check

bench: $(VENV)/.test
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/lenet.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/and_gate.py

# Beside PyTorch, OpenCV and onnxruntime, which it installs: 30 minutes on a machine that does nothing else.
bench-compare: $(VENV)/.rivals
	$(BIN)/python benchmarks/compare.py
	$(BIN)/python benchmarks/compare.py --table

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "Python 3.10 or newer is needed; $(PYTHON) is `$(PYTHON) --version`. Try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); echo "Making a virtual environment failed. On Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.package: $(VENV)/.made pyproject.toml setup.py proto/caffe.proto
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all]'
	@touch $@

$(VENV)/.test: $(VENV)/.package
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

$(VENV)/.lint: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

$(VENV)/.rivals: $(VENV)/.test benchmarks/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache demo
